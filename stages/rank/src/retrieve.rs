//! The `retrieve/bm25` stage.

use ablate_core::{
    ArtifactKind, Input, Io, Memory, Output, Ports, Problems, Stage, StageError,
    rows::{Hit, Query},
};
use arrow::array::RecordBatch;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    analysis::Analyser,
    bm25::{Searcher, Weights},
    feedback::Rm3,
    hits::Hits,
    index::{Fields, Index, Scheme},
    similarity::{Bm25, Variant},
};

/// Lexical retrieval.
pub struct RetrieveBm25;

/// Parameters of `retrieve/bm25`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Hits per query.
    #[serde(default = "depth")]
    #[schemars(range(min = 1))]
    depth: u32,
    /// Term frequency saturation; Anserini's default.
    #[serde(default = "k1")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    k1: f64,
    /// Length normalisation; Anserini's default.
    #[serde(default = "b")]
    #[schemars(range(min = 0, max = 1))]
    b: f64,
    /// How text becomes terms [default: lucene-english, or as the index has it].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    analyser: Option<Analyser>,
    /// Which BM25.
    #[serde(default, skip_serializing_if = "Variant::is_default")]
    variant: Variant,
    /// The shift of BM25L and BM25+ [default: 0.5, as bm25s].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    delta: Option<f64>,
    /// Search title and text as fields of their own, with these boosts; without it they are one text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fields: Option<Boosts>,
    /// Expand each query with terms of its first hits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rm3: Option<Rm3>,
}

/// What a hit in each field counts.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Boosts {
    /// The title's.
    #[serde(default = "one")]
    #[schemars(range(min = 0))]
    title: f64,
    /// The text's.
    #[serde(default = "one")]
    #[schemars(range(min = 0))]
    text: f64,
}

fn one() -> f64 {
    1.0
}

fn depth() -> u32 {
    1000
}
pub(crate) fn k1() -> f64 {
    0.9
}
pub(crate) fn b() -> f64 {
    0.4
}

impl Params {
    fn bm25(&self) -> Bm25 {
        Bm25 {
            k1: self.k1 as f32,
            b: self.b as f32,
            variant: self.variant,
            delta: self.delta.unwrap_or(0.5) as f32,
        }
    }

    fn fields(&self) -> Fields {
        match self.fields {
            None => Fields::Together,
            Some(_) => Fields::Apart,
        }
    }

    fn searcher(&self, index: Index) -> Searcher {
        let boosts = self
            .fields
            .as_ref()
            .map(|boosts| [boosts.title as f32, boosts.text as f32]);
        Searcher::new(
            index,
            self.bm25(),
            boosts.as_ref().map_or(&[], |boosts| boosts.as_slice()),
        )
    }

    /// The index at the port, or one made of the corpus.
    fn index(&self, io: &Io<'_>) -> Result<Index, StageError> {
        let corpus = io.optional_parts("corpus")?;
        match (io.optional_tree("index")?, corpus) {
            (None, Some(corpus)) => {
                let analyser = self.analyser.clone().unwrap_or_default();
                let fields = self.fields();
                Index::of_stage(io, corpus, &Scheme { analyser, fields })
            }
            (None, None) => Err(StageError::with_help(
                "there is nothing to search",
                "set `corpus` or `index`",
            )),
            (Some(folder), _) => self.fitting(Index::open(&folder)?),
        }
    }

    /// Refuses an index that was made otherwise than the parameters say.
    fn fitting(&self, index: Index) -> Result<Index, StageError> {
        let scheme = index.scheme();
        if self
            .analyser
            .as_ref()
            .is_some_and(|analyser| *analyser != scheme.analyser)
        {
            return Err(StageError::with_help(
                "`analyser` is not the one of the index",
                "leave it out: queries are analysed as the index was",
            ));
        }
        if self.fields() != scheme.fields {
            return Err(match scheme.fields {
                Fields::Together => StageError::with_help(
                    "`fields` is set, and the index has title and text as one",
                    "set `fields: apart` for the index, or leave out the boosts",
                ),
                Fields::Apart => StageError::with_help(
                    "the index has title and text as fields of their own",
                    "set `fields`, as in `fields: {title: 2}`",
                ),
            });
        }
        Ok(index)
    }
}

/// Queries whose hits are in memory at once.
const QUERIES: usize = 1024;

impl Stage for RetrieveBm25 {
    const NAME: &'static str = "retrieve/bm25";
    const VERSION: u32 = 4;
    const ABOUT: &'static str = "BM25 as Lucene computes it, over title and text";
    const EXAMPLE: &'static str = "lexical: {use: retrieve/bm25, corpus: data.corpus, queries: data.queries.test, depth: 1000, k1: 0.9, b: 0.4}";
    const INPUTS: &'static [Input] = &[
        Input::of("corpus", ArtifactKind::Corpus)
            .or_port("index")
            .about("the documents to rank; beside an index, what rm3 reads"),
        Input::of("queries", ArtifactKind::Queries).about("the queries to answer"),
        Input::of("index", ArtifactKind::Index)
            .optional()
            .about("their index, instead of one that is made for this search alone"),
    ];
    const OUTPUTS: &'static [Output] =
        &[Output::of("run", ArtifactKind::Run).about("the best documents of each query")];
    const NUMERIC: &'static str = "f32";
    // Corpus and run go by in parts.
    const MEMORY: Memory = Memory {
        tables: 1.0,
        models: 1.5,
        least: 512 << 20,
    };
    type Params = Params;

    fn check(params: &Params, problems: &mut Problems) {
        let shifted = matches!(params.variant, Variant::Bm25l | Variant::Bm25Plus);
        problems.require(
            shifted || params.delta.is_none(),
            "delta",
            "only bm25l and bm25+ have a delta",
        );
        problems.require(
            params.rm3.is_none() || params.fields.is_none(),
            "rm3",
            "expands queries of one text: leave out `fields` or `rm3`",
        );
    }

    fn check_ports(params: &Params, ports: &Ports<'_>, problems: &mut Problems) {
        let (corpus, index) = (ports.has("corpus"), ports.has("index"));
        problems.require(
            corpus || params.rm3.is_none(),
            "rm3",
            "reads its feedback from the documents: set `corpus` beside `index`",
        );
        problems.require(
            !(corpus && index) || params.rm3.is_some(),
            "corpus",
            "is of no use beside an index, unless rm3 reads it: leave out `corpus` or `index`",
        );
        let indexed = ports.params("index").map(|made| made["analyser"].clone());
        let own = params.analyser.as_ref().map(|analyser| json!(analyser));
        let agree = indexed.zip(own).is_none_or(|(indexed, own)| indexed == own);
        problems.require(agree, "analyser", "is not the one of the index: leave it out");
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let searcher = params.searcher(params.index(io)?);
        let queries: Vec<Query> = io.rows("queries")?;
        let mut weights: Vec<Weights> = queries
            .iter()
            .map(|query| searcher.weights(&query.text))
            .collect();
        if let Some(rm3) = &params.rm3 {
            weights = rm3.expand_all(&searcher, &weights, io.parts("corpus")?)?;
        }
        let (mut done, all) = (0, queries.len());
        let parts = queries.chunks(QUERIES).zip(weights.chunks(QUERIES));
        let parts = parts.map(|(queries, weights)| {
            let part = ranked(&searcher, queries, weights, params.depth)?;
            done += queries.len();
            io.progress(done, all, "queries")?;
            Ok(part)
        });
        io.put_parts::<Hit>("run", parts)
    }
}

/// The hits of some queries.
fn ranked(
    searcher: &Searcher,
    queries: &[Query],
    weights: &[Weights],
    depth: u32,
) -> Result<RecordBatch, StageError> {
    let mut hits = Hits::default();
    let found = searcher.search_all(weights, depth as usize);
    for (query, found) in queries.iter().zip(found) {
        let named = found
            .into_iter()
            .map(|(document, score)| (searcher.index().id(document), score));
        hits.add(&query.query_id, named);
    }
    hits.finish()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use ablate_core::{Parts, Record, rows::Document};
    use serde_json::{Value, json};

    use super::*;

    fn params(mut fields: Value) -> Params {
        fields["analyser"] = json!("whitespace");
        serde_json::from_value(fields).unwrap()
    }

    fn document(at: usize, title: Option<&str>, text: &str) -> Document {
        Document {
            doc_id: format!("d{at}"),
            title: title.map(str::to_owned),
            text: text.to_owned(),
        }
    }

    /// What a search of `corpus` with these parameters finds.
    fn found(params: &Params, corpus: &[Document], queries: &[String]) -> Vec<Vec<(u32, f32)>> {
        let scratch = tempfile::tempdir().unwrap();
        let parts = || -> Parts<'_> { Box::new(std::iter::once(Ok(Document::encode(corpus).unwrap()))) };
        let analyser = params.analyser.clone().unwrap_or_default();
        let fields = params.fields();
        let index =
            Index::temporary(scratch.path(), parts(), &Scheme { analyser, fields }, |_| Ok(())).unwrap();
        let searcher = params.searcher(index);
        let mut weights: Vec<Weights> = queries.iter().map(|query| searcher.weights(query)).collect();
        if let Some(rm3) = &params.rm3 {
            weights = rm3.expand_all(&searcher, &weights, parts()).unwrap();
        }
        searcher.search_all(&weights, params.depth as usize)
    }

    /// Scores by bm25s and, for RM3, by the script: tests/fixtures/bm25.py.
    #[test]
    fn variants_and_expansion_equal_the_reference() {
        let fixture: Value = serde_json::from_str(include_str!("../../../tests/fixtures/bm25.json")).unwrap();
        let strings = |name: &str| serde_json::from_value::<Vec<String>>(fixture[name].clone()).unwrap();
        let texts = strings("texts");
        let corpus: Vec<Document> = texts
            .iter()
            .enumerate()
            .map(|(at, text)| document(at, None, text))
            .collect();
        for case in fixture["cases"].as_array().unwrap() {
            let mut fields = case["params"].clone();
            fields["depth"] = json!(15);
            let found = found(&params(fields), &corpus, &strings("queries"));
            let expected: Vec<Vec<(u32, f32)>> = serde_json::from_value(case["hits"].clone()).unwrap();
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found.len(), expected.len(), "{}", case["params"]);
                for ((_, score), (_, wanted)) in found.iter().zip(expected) {
                    assert!(
                        (score - wanted).abs() < 1e-5 * wanted.abs(),
                        "{}: {score}, not {wanted}",
                        case["params"]
                    );
                }
                assert_eq!(found[0].0, expected[0].0, "{}", case["params"]);
            }
        }
    }

    #[test]
    fn fields_are_scored_apart_and_added() {
        let corpus = [
            document(0, Some("red"), "apple"),
            document(1, None, "apple red"),
            document(2, Some("blue apple"), "sky"),
        ];
        // In titles: 2 documents have one, 1 has the word, and 1.5 words is their mean length. In texts: 3, 1 and 4/3.
        let score = |all: f32, length: f32, mean: f32| {
            let idf = (1.0 + (all - 0.5) / 1.5).ln();
            idf / (1.0 + 0.9 * (0.6 + 0.4 * length / mean))
        };
        let params = params(json!({"fields": {"title": 2.0}}));
        let hits = found(&params, &corpus, &["red".into()]).remove(0);
        let expected = [(0, 2.0 * score(2.0, 1.0, 1.5)), (1, score(3.0, 2.0, 4.0 / 3.0))];
        assert_eq!(hits.len(), 2);
        for (hit, expected) in hits.iter().zip(expected) {
            assert_eq!(hit.0, expected.0);
            assert!((hit.1 - expected.1).abs() < 1e-6, "{hit:?} {expected:?}");
        }
    }

    #[test]
    fn an_index_made_otherwise_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let fitting = |fields: Value, scheme: Value| {
            let params: Params = serde_json::from_value(fields).unwrap();
            let none: Parts<'_> = Box::new(std::iter::empty());
            let scheme: Scheme = serde_json::from_value(scheme).unwrap();
            let index = Index::temporary(scratch.path(), none, &scheme, |_| Ok(())).unwrap();
            params.fitting(index).err().map(|error| error.to_string())
        };
        let flat = json!({"analyser": "whitespace", "fields": "together"});
        let apart = json!({"analyser": "whitespace", "fields": "apart"});
        assert_eq!(fitting(json!({}), flat.clone()), None);
        assert_eq!(
            fitting(json!({"fields": {}, "analyser": "whitespace"}), apart.clone()),
            None
        );
        let told = fitting(json!({"analyser": "lucene-english"}), flat.clone()).unwrap();
        assert_eq!(told, "`analyser` is not the one of the index");
        assert!(
            fitting(json!({"fields": {}}), flat)
                .unwrap()
                .starts_with("`fields` is set")
        );
        assert!(
            fitting(json!({}), apart)
                .unwrap()
                .ends_with("fields of their own")
        );
    }

    #[test]
    fn spelled_out_defaults_are_not_written() {
        let written =
            |fields: Value| serde_json::to_value(serde_json::from_value::<Params>(fields).unwrap()).unwrap();
        let plain = json!({"depth": 1000, "k1": 0.9, "b": 0.4});
        assert_eq!(written(json!({})), plain);
        assert_eq!(written(json!({"variant": "lucene"})), plain);
    }
}
