//! The `retrieve/bm25` stage.

use ablate_core::{
    ArtifactKind, Input, Io, Output, Problems, Stage, StageError,
    rows::{Document, Hit, Query},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    analysis::Analyser,
    bm25::Searcher,
    feedback::Rm3,
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
    /// How text becomes terms.
    #[serde(default)]
    analyser: Analyser,
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
    fn searcher(&self, corpus: &[Document]) -> Searcher {
        let bm25 = Bm25 {
            k1: self.k1 as f32,
            b: self.b as f32,
            variant: self.variant,
            delta: self.delta.unwrap_or(0.5) as f32,
        };
        let Some(boosts) = &self.fields else {
            let texts: Vec<String> = corpus.iter().map(Document::full_text).collect();
            return Searcher::flat(&texts, &self.analyser, bm25);
        };
        let titles = corpus
            .iter()
            .map(|document| document.title.clone().unwrap_or_default());
        let texts = corpus.iter().map(|document| document.text.clone());
        let fields = [
            (titles.collect(), boosts.title as f32),
            (texts.collect(), boosts.text as f32),
        ];
        Searcher::fielded(&fields, &self.analyser, bm25)
    }
}

impl Stage for RetrieveBm25 {
    const NAME: &'static str = "retrieve/bm25";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "BM25 as Lucene computes it, over title and text";
    const EXAMPLE: &'static str = "lexical: {use: retrieve/bm25, corpus: data.corpus, queries: data.queries.test, depth: 1000, k1: 0.9, b: 0.4}";
    const INPUTS: &'static [Input] = &[
        Input::of("corpus", ArtifactKind::Corpus).about("the documents to rank"),
        Input::of("queries", ArtifactKind::Queries).about("the queries to answer"),
    ];
    const OUTPUTS: &'static [Output] =
        &[Output::of("run", ArtifactKind::Run).about("the best documents of each query")];
    const NUMERIC: &'static str = "f32";
    type Params = Params;

    fn check(params: &Params, problems: &mut Problems) {
        let shifted = matches!(params.variant, Variant::Bm25l | Variant::Bm25Plus);
        problems.require(
            shifted || params.delta.is_none(),
            "delta",
            "only bm25l and bm25+ have a delta",
        );
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        if params.rm3.is_some() && params.fields.is_some() {
            let message = "rm3 expands queries of one text, and fields are set";
            return Err(StageError::with_help(message, "leave out `fields` or `rm3`"));
        }
        // Rows come in id order, so a tie goes to the lower document id.
        let corpus: Vec<Document> = io.rows("corpus")?;
        let queries: Vec<Query> = io.rows("queries")?;
        let asked: Vec<String> = queries.iter().map(|query| query.text.clone()).collect();
        let searcher = params.searcher(&corpus);
        let found = searcher.search_all(&asked, params.depth as usize, params.rm3.as_ref());
        let mut run = Vec::new();
        for (query, hits) in queries.iter().zip(found) {
            for (at, (document, score)) in hits.into_iter().enumerate() {
                let doc_id = corpus[document as usize].doc_id.clone();
                run.push(Hit {
                    query_id: query.query_id.clone(),
                    doc_id,
                    rank: at as u32 + 1,
                    score,
                });
            }
        }
        io.progress(queries.len(), queries.len(), "queries")?;
        io.put("run", run)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
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
            let params = params(case["params"].clone());
            let found = params
                .searcher(&corpus)
                .search_all(&strings("queries"), 15, params.rm3.as_ref());
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
        let ask = |fields: Value| params(fields).searcher(&corpus).search("red", 10);
        // In titles: 2 documents have one, 1 has the word, and 1.5 words is their mean length. In texts: 3, 1 and 4/3.
        let score = |all: f32, length: f32, mean: f32| {
            let idf = (1.0 + (all - 0.5) / 1.5).ln();
            idf / (1.0 + 0.9 * (0.6 + 0.4 * length / mean))
        };
        let hits = ask(json!({"fields": {"title": 2.0}}));
        let expected = [(0, 2.0 * score(2.0, 1.0, 1.5)), (1, score(3.0, 2.0, 4.0 / 3.0))];
        assert_eq!(hits.len(), 2);
        for (hit, expected) in hits.iter().zip(expected) {
            assert_eq!(hit.0, expected.0);
            assert!((hit.1 - expected.1).abs() < 1e-6, "{hit:?} {expected:?}");
        }
    }

    #[test]
    fn spelled_out_defaults_are_not_written() {
        let written =
            |fields: Value| serde_json::to_value(serde_json::from_value::<Params>(fields).unwrap()).unwrap();
        let plain = json!({"depth": 1000, "k1": 0.9, "b": 0.4, "analyser": "lucene-english"});
        assert_eq!(written(json!({})), plain);
        assert_eq!(written(json!({"variant": "lucene"})), plain);
    }
}
