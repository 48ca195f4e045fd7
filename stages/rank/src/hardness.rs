//! The `hardness` stage: how hard the negatives of triples are.

use std::collections::{BTreeMap, BTreeSet};

use ablate_core::{
    ArtifactKind, Input, Io, Output, Ports, Problems, Slot, Stage, StageError,
    rows::{Document, Hardness as Row, Triple},
};
use ablate_models::{
    encoder::{Embeddings, Role},
    source::{ENCODER, MODEL_SOURCE, require_role},
};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    bm25::Searcher,
    dense::{Encoding, Reading, dot},
    index::{Index, Scheme},
    retrieve::{b, k1},
    scoring::default_batch,
    similarity::Bm25,
};

/// How hard each negative is for its query.
pub struct Hardness;

/// Parameters of `hardness`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Params {
    /// BM25's term frequency saturation.
    #[serde(default = "k1")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    k1: f64,
    /// BM25's length normalisation.
    #[serde(default = "b")]
    #[schemars(range(min = 0, max = 1))]
    b: f64,
    /// How the encoder reads texts.
    #[serde(flatten)]
    reading: Reading,
    /// Texts the encoder takes at once. Cannot change a result.
    #[serde(default = "default_batch")]
    #[schemars(range(min = 1))]
    batch: usize,
}

impl Stage for Hardness {
    const NAME: &'static str = "hardness";
    const VERSION: u32 = 3;
    const ABOUT: &'static str = "how hard negatives are: their ranks in BM25 and for an encoder, and how like the positive they are; one that a model wrote has the rank it would take";
    const EXAMPLE: &'static str = "hard: {use: hardness, triples: triples, corpus: data.corpus}";
    const INPUTS: &'static [Input] = &[
        Input::of("triples", ArtifactKind::Triples).about("queries, each with its positives and negatives"),
        Input::of("corpus", ArtifactKind::Corpus)
            .or_port("index")
            .about("the documents negatives are ranked among; needed for an encoder"),
        Input::of("index", ArtifactKind::Index)
            .optional()
            .about("their index, instead of one that is made for this alone"),
        Input::of("encoder", ArtifactKind::Model)
            .or_source(&MODEL_SOURCE)
            .optional()
            .about("a sentence encoder, for ranks and similarities by its vectors"),
    ];
    const OUTPUTS: &'static [Output] = &[Output::of("hardness", ArtifactKind::Hardness)
        .about("a row a query and negative: ranks, scores, similarities")];
    const EXECUTION: &'static [&'static str] = &["batch"];
    const SLOT: Slot = Slot::Device;
    const NUMERIC: &'static str = "f32";
    type Params = Params;

    fn check_ports(_: &Params, ports: &Ports<'_>, problems: &mut Problems) {
        require_role(ENCODER, "encoder", ports, problems);
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let triples: Vec<Triple> = io.rows("triples")?;
        let mut rows = lexical(params, &triples, io)?;
        if io.optional_tree("encoder")?.is_some() {
            dense(params, &triples, &mut rows, io)?;
        }
        io.put("hardness", rows)
    }
}

fn index(io: &Io<'_>) -> Result<Index, StageError> {
    match (io.optional_tree("index")?, io.optional_parts("corpus")?) {
        (Some(folder), _) => Index::open(&folder),
        (None, Some(corpus)) => Index::of_stage(io, corpus, &Scheme::default()),
        (None, None) => Err(StageError::with_help(
            "there is nothing to rank negatives among",
            "set `corpus` or `index`",
        )),
    }
}

/// A row a triple, with the scores and ranks of BM25.
fn lexical(params: &Params, triples: &[Triple], io: &Io<'_>) -> Result<Vec<Row>, StageError> {
    let searcher = Searcher::new(index(io)?, Bm25::lucene(params.k1 as f32, params.b as f32), &[]);
    // Triples of a query stand together: it is scored once.
    let queries: Vec<&[Triple]> = triples.chunk_by(is_same_query).collect();
    let of_query = |triples: &&[Triple]| -> Result<Vec<Row>, StageError> {
        let scores = searcher.scores(&triples[0].query);
        let place = |id: &str| searcher.index().find(id).map(|place| place as usize);
        let row = |triple: &Triple| {
            let positive = place(&triple.pos_id).ok_or_else(|| stranger(&triple.pos_id))?;
            let (rank, score) = match place(&triple.neg_id) {
                Some(negative) => of_document(&scores, negative),
                None if is_written(triple) => {
                    of_text(&scores, searcher.score_of_text(&triple.query, &triple.neg_text))
                }
                None => return Err(stranger(&triple.neg_id)),
            };
            Ok(Row {
                query_id: triple.query_id.clone(),
                pos_id: triple.pos_id.clone(),
                neg_id: triple.neg_id.clone(),
                source: triple.source.clone(),
                // Without a term of the query it scores 0 and has no rank.
                bm25_rank: (score > 0.0).then_some(rank),
                bm25_score: score,
                bm25_margin: scores[positive] - score,
                dense_rank: None,
                dense_score: None,
                dense_margin: None,
                positive_similarity: None,
            })
        };
        triples.iter().map(row).collect()
    };
    let rows: Vec<Vec<Row>> = queries.par_iter().map(of_query).collect::<Result<_, _>>()?;
    Ok(rows.concat())
}

fn is_same_query(a: &Triple, b: &Triple) -> bool {
    a.query_id == b.query_id && a.query == b.query
}

/// The rank from 1 of the document at a place, equal scores going by place, and its score.
fn of_document(scores: &[f32], place: usize) -> (u32, f32) {
    let score = scores[place];
    // Equal to the bit is what a tie is; 0 and -0 do not meet.
    let before = |(at, other): (usize, &f32)| other.total_cmp(&score).then(place.cmp(&at)).is_gt();
    let rank = 1 + scores.iter().enumerate().filter(|other| before(*other)).count() as u32;
    (rank, score)
}

/// The rank from 1 that a text of this score would take, behind all that score the same, and the score.
fn of_text(scores: &[f32], score: f32) -> (u32, f32) {
    let before = |other: &&f32| other.total_cmp(&score).is_ge();
    (1 + scores.iter().filter(before).count() as u32, score)
}

/// Whether a model wrote the negative, and it is in no corpus: `negatives/llm` has it as the source, programs of one's own may
/// begin ids so.
fn is_written(triple: &Triple) -> bool {
    triple.source == "llm" || triple.neg_id.starts_with("llm:")
}

fn stranger(id: &str) -> StageError {
    StageError::with_help(
        format!("the triples name the document `{id}`, which is not in the corpus"),
        "connect the corpus the negatives come from",
    )
}

/// Fills in what the vectors of the encoder say.
fn dense(params: &Params, triples: &[Triple], rows: &mut [Row], io: &Io<'_>) -> Result<(), StageError> {
    let documents: Vec<Document> = io.optional_rows("corpus")?.ok_or_else(|| {
        StageError::with_help(
            "an encoder ranks the texts of the corpus",
            "set `corpus` beside `encoder`",
        )
    })?;
    let places: BTreeMap<&str, usize> = documents
        .iter()
        .map(|document| document.doc_id.as_str())
        .zip(0..)
        .collect();
    let queries: BTreeSet<&str> = triples.iter().map(|triple| triple.query.as_str()).collect();
    // Beside documents: negatives that a model wrote.
    let written = triples.iter().filter(|triple| is_written(triple));
    let written: BTreeSet<&str> = written.map(|triple| triple.neg_text.as_str()).collect();
    let encoding = Encoding::open(io, "encoder", &params.reading, params.batch)?;
    let texts: Vec<String> = documents.iter().map(Document::full_text).collect();
    let vectors = encoding.units(Role::Document, &texts)?;
    let [queries, written] = [(Role::Query, queries), (Role::Document, written)]
        .map(|(role, texts)| Vectors::of(&encoding, role, texts));
    let (queries, written) = (queries?, written?);
    let fill = |(row, triple): (&mut Row, &Triple), query: &[f32], scores: &[f32]| {
        let place = |id: &str| places.get(id).copied();
        let positive = place(&triple.pos_id).ok_or_else(|| stranger(&triple.pos_id))?;
        let (negative, (rank, score)) = match place(&triple.neg_id) {
            Some(place) => (row_of(&vectors, place), of_document(scores, place)),
            None if is_written(triple) => {
                let vector = written.of_text(&triple.neg_text);
                (vector, of_text(scores, dot(query, vector)))
            }
            None => return Err(stranger(&triple.neg_id)),
        };
        row.dense_rank = Some(rank);
        row.dense_score = Some(score);
        row.dense_margin = Some(scores[positive] - score);
        row.positive_similarity = Some(dot(row_of(&vectors, positive), negative));
        Ok(())
    };
    by_query(rows, triples)
        .into_par_iter()
        .try_for_each(|(rows, triples)| {
            let query = queries.of_text(&triples[0].query);
            let scores: Vec<f32> = vectors.rows().map(|vector| dot(query, vector)).collect();
            let mut both = rows.iter_mut().zip(triples);
            both.try_for_each(|both| fill(both, query, &scores))
        })
}

/// The rows and triples of each query.
fn by_query<'t>(mut rows: &'t mut [Row], triples: &'t [Triple]) -> Vec<(&'t mut [Row], &'t [Triple])> {
    let with_rows = |triples: &'t [Triple]| {
        let (own, rest) = std::mem::take(&mut rows).split_at_mut(triples.len());
        rows = rest;
        (own, triples)
    };
    triples.chunk_by(is_same_query).map(with_rows).collect()
}

/// The vectors of texts, by the texts.
struct Vectors<'t> {
    places: BTreeMap<&'t str, usize>,
    vectors: Embeddings,
}

impl<'t> Vectors<'t> {
    fn of(encoding: &Encoding<'_>, role: Role, texts: BTreeSet<&'t str>) -> Result<Self, StageError> {
        let owned: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        Ok(Self {
            places: texts.into_iter().zip(0..).collect(),
            vectors: encoding.units(role, &owned)?,
        })
    }

    fn of_text(&self, text: &str) -> &[f32] {
        row_of(&self.vectors, self.places[text])
    }
}

/// The vector at a place.
fn row_of(vectors: &Embeddings, at: usize) -> &[f32] {
    &vectors.values[at * vectors.dim..][..vectors.dim]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_scores_rank_by_place() {
        let scores = [1.0, 3.0, 1.0, 0.0, 3.0];
        let ranks = [0, 1, 2, 3, 4].map(|place| of_document(&scores, place).0);
        assert_eq!(ranks, [3, 1, 4, 5, 2]);
    }

    #[test]
    fn a_text_ranks_behind_documents_of_its_score() {
        let scores = [1.0, 3.0, 1.0, 0.0, 3.0];
        let ranks = [4.0, 3.0, 2.0, 1.0, 0.5].map(|score| of_text(&scores, score).0);
        assert_eq!(ranks, [1, 3, 3, 5, 5]);
    }
}
