//! The `hardness` stage: how hard the negatives of triples are.

use std::collections::{BTreeMap, BTreeSet};

use ablate_core::{
    ArtifactKind, Input, Io, Output, Ports, Problems, Slot, Stage, StageError,
    rows::{Document, Hardness as Row, Triple},
};
use ablate_models::{
    encoder::Embeddings,
    source::{ENCODER, MODEL_SOURCE, require_role},
};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    bm25::Searcher,
    dense::{dot, unit_vectors},
    index::{Index, Scheme},
    retrieve::{b, k1},
    scoring::default_batch,
    similarity::Bm25,
};

/// How hard each negative is for its query.
pub struct Hardness;

/// Parameters of `hardness`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// BM25's term frequency saturation.
    #[serde(default = "k1")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    k1: f64,
    /// BM25's length normalisation.
    #[serde(default = "b")]
    #[schemars(range(min = 0, max = 1))]
    b: f64,
    /// Tokens a text is cut at by the encoder; the model's own limit if not given.
    #[serde(default)]
    #[schemars(range(min = 3))]
    max_length: Option<usize>,
    /// Texts the encoder takes at once. Cannot change a result.
    #[serde(default = "default_batch")]
    #[schemars(range(min = 1))]
    batch: usize,
}

impl Stage for Hardness {
    const NAME: &'static str = "hardness";
    const VERSION: u32 = 1;
    const ABOUT: &'static str =
        "how hard negatives are: their ranks in BM25 and for an encoder, and how like the positive they are";
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
    let queries: Vec<&[Triple]> = triples
        .chunk_by(|a, b| a.query_id == b.query_id && a.query == b.query)
        .collect();
    let of_query = |triples: &&[Triple]| -> Result<Vec<Row>, StageError> {
        let scores = searcher.scores(&triples[0].query);
        let place = |id: &str| {
            searcher
                .index()
                .find(id)
                .map(|place| place as usize)
                .ok_or_else(|| stranger(id))
        };
        let row = |triple: &Triple| {
            let (negative, positive) = (place(&triple.neg_id)?, place(&triple.pos_id)?);
            Ok(Row {
                query_id: triple.query_id.clone(),
                pos_id: triple.pos_id.clone(),
                neg_id: triple.neg_id.clone(),
                source: triple.source.clone(),
                // Without a term of the query it scores 0 and has no rank.
                bm25_rank: (scores[negative] > 0.0).then(|| rank(&scores, negative)),
                bm25_score: scores[negative],
                bm25_margin: scores[positive] - scores[negative],
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

/// The rank from 1 of the document at a place, equal scores going by place.
fn rank(scores: &[f32], place: usize) -> u32 {
    let score = scores[place];
    // Equal to the bit is what a tie is; 0 and -0 do not meet.
    let before = |(at, other): (usize, &f32)| other.total_cmp(&score).then(place.cmp(&at)).is_gt();
    1 + scores.iter().enumerate().filter(|other| before(*other)).count() as u32
}

fn stranger(id: &str) -> StageError {
    StageError::with_help(
        format!("the triples name the document `{id}`, which is not in the corpus"),
        "connect the corpus the negatives come from; negatives that a model wrote have no rank",
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
    let numbers: BTreeMap<&str, usize> = queries.iter().copied().zip(0..).collect();
    let texts: Vec<String> = documents
        .iter()
        .map(Document::full_text)
        .chain(queries.iter().map(|query| (*query).to_owned()))
        .collect();
    let mut vectors = unit_vectors(io, "encoder", &texts, params.max_length, params.batch)?;
    let queries = vectors.split_off(documents.len());
    let fill = |(row, triple): (&mut Row, &Triple)| -> Result<(), StageError> {
        let place = |id: &str| places.get(id).copied().ok_or_else(|| stranger(id));
        let (negative, positive) = (place(&triple.neg_id)?, place(&triple.pos_id)?);
        let query = numbers[triple.query.as_str()];
        let scores: Vec<f32> = vectors
            .rows()
            .map(|vector| dot(row_of(&queries, query), vector))
            .collect();
        row.dense_rank = Some(rank(&scores, negative));
        row.dense_score = Some(scores[negative]);
        row.dense_margin = Some(scores[positive] - scores[negative]);
        row.positive_similarity = Some(dot(row_of(&vectors, positive), row_of(&vectors, negative)));
        Ok(())
    };
    rows.par_iter_mut().zip(triples).try_for_each(fill)
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
        let ranks = [0, 1, 2, 3, 4].map(|place| rank(&scores, place));
        assert_eq!(ranks, [3, 1, 4, 5, 2]);
    }
}
