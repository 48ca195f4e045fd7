//! The `score` stage: how well synthetic queries fit their documents.

use std::collections::BTreeMap;

use ablate_core::{
    ArtifactKind, Input, Io, Needs, Numeric, Output, Ports, Problems, Record, Slot, Stage, StageError,
    rows::{Document, Pair},
};
use ablate_models::{
    encoder::{Prefixes, Role},
    reranker::Activation,
    source::{ENCODER, MODEL_SOURCE, RERANKER, require_role},
};
use arrow::array::RecordBatch;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    analysis::Analyser,
    bm25::Searcher,
    dense::{Encoding, Reading, dot},
    index::{Fields, Index, Scheme},
    retrieve::{b, k1},
    scoring::{self, Scoring},
    similarity::Bm25,
};

/// What a score is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum By {
    /// That of a cross-encoder or a monoT5 (the filter of InPars-V2).
    #[default]
    Reranker,
    /// The cosine of the vectors of a sentence encoder.
    Cosine,
    /// BM25 of the document for the query, over the corpus.
    Bm25,
    /// weights.cosine · (1 + cosine) / 2 + weights.bm25 · softmax of BM25 over the corpus (InPars+).
    Weighted,
}

/// The parts of `by: weighted`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Weights {
    /// Of (1 + cosine) / 2.
    cosine: f64,
    /// Of the softmax of BM25.
    bm25: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            cosine: 0.5,
            bm25: 0.5,
        }
    }
}

/// Parameters of `score`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Params {
    /// What a score is.
    #[serde(default)]
    by: By,
    /// What a reranker's score is reported as.
    #[serde(default)]
    activation: Activation,
    /// How texts are put to the model.
    #[serde(flatten)]
    scoring: Scoring,
    /// What stands before texts of a sentence encoder.
    #[serde(flatten)]
    prefixes: Prefixes,
    /// The parts of `by: weighted`.
    #[serde(default)]
    weights: Weights,
    /// BM25's term frequency saturation.
    #[serde(default = "k1")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    k1: f64,
    /// BM25's length normalisation.
    #[serde(default = "b")]
    #[schemars(range(min = 0, max = 1))]
    b: f64,
    /// How text becomes BM25's terms.
    #[serde(default)]
    analyser: Analyser,
}

impl Params {
    /// How a sentence encoder reads texts.
    fn reading(&self) -> Reading {
        Reading {
            max_length: self.scoring.max_length,
            prefixes: self.prefixes.clone(),
            dim: None,
        }
    }
}

/// The stage.
pub struct Score;

impl Stage for Score {
    const NAME: &'static str = "score";
    const VERSION: u32 = 5;
    const ABOUT: &'static str = "synthetic queries scored against their documents, by a model, BM25 or both";
    const EXAMPLE: &'static str =
        "scored: {use: score, pairs: queries, by: reranker, model: ms-marco-minilm-l12}";
    const INPUTS: &'static [Input] = &[
        Input::of("pairs", ArtifactKind::Pairs).about("queries, each with the document it is about"),
        Input::of("model", ArtifactKind::Model)
            .or_source(&MODEL_SOURCE)
            .optional()
            .about("a reranker, or a sentence encoder for cosines; not for `by: bm25`"),
        Input::of("corpus", ArtifactKind::Corpus)
            .optional()
            .about("the documents BM25 counts in; those of the pairs if not given"),
    ];
    const OUTPUTS: &'static [Output] =
        &[Output::of("pairs", ArtifactKind::Pairs).about("the same pairs, each with its score")];
    const EXECUTION: &'static [&'static str] = &["batch"];
    const SLOT: Slot = Slot::Device;
    const NUMERIC: Numeric = "f32";
    type Params = Params;

    fn needs(params: &Params) -> Needs {
        Needs {
            slot: if params.by == By::Bm25 {
                Slot::Cpu
            } else {
                Self::SLOT
            },
            memory: Self::MEMORY,
        }
    }

    fn check(params: &Params, problems: &mut Problems) {
        let Weights { cosine, bm25 } = params.weights;
        let sound = cosine >= 0.0 && bm25 >= 0.0 && cosine + bm25 > 0.0;
        problems.require(sound, "weights", "must not lie below 0, and not both be 0");
    }

    fn check_ports(params: &Params, ports: &Ports<'_>, problems: &mut Problems) {
        let role = match params.by {
            By::Bm25 => return,
            By::Reranker => RERANKER,
            By::Cosine | By::Weighted => ENCODER,
        };
        problems.require(
            ports.has("model"),
            "by",
            "needs a model: set `model`, or `by: bm25`",
        );
        require_role(role, "model", ports, problems);
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let mut pairs: Vec<Pair> = io.rows("pairs")?;
        let scores = match params.by {
            By::Reranker => by_reranker(params, &pairs, io)?,
            By::Cosine => cosines(params, &pairs, io)?,
            By::Bm25 => lexical(params, &pairs, io, Searcher::score_of)?,
            By::Weighted => {
                let parts = cosines(params, &pairs, io)?.into_iter().zip(lexical(
                    params,
                    &pairs,
                    io,
                    |searcher, query, document| softmax(&searcher.scores(query), document as usize),
                )?);
                let Weights { cosine, bm25 } = params.weights;
                let sum = |(near, lexical): (f32, f32)| {
                    (cosine * f64::midpoint(1.0, f64::from(near)) + bm25 * f64::from(lexical)) as f32
                };
                parts.map(sum).collect()
            }
        };
        for (pair, score) in pairs.iter_mut().zip(scores) {
            pair.score = Some(score);
        }
        io.put("pairs", pairs)
    }
}

fn by_reranker(params: &Params, pairs: &[Pair], io: &Io<'_>) -> Result<Vec<f32>, StageError> {
    let texts: Vec<(&str, &str)> = pairs
        .iter()
        .map(|pair| (pair.query.as_str(), pair.text.as_str()))
        .collect();
    let logits = scoring::logits(io, "model", &texts, &params.scoring)?;
    Ok(logits
        .into_iter()
        .map(|logit| params.activation.apply(logit))
        .collect())
}

/// The cosine of each query and its document.
fn cosines(params: &Params, pairs: &[Pair], io: &Io<'_>) -> Result<Vec<f32>, StageError> {
    let encoding = Encoding::open(io, "model", &params.reading(), params.scoring.batch)?;
    let queries: Vec<String> = pairs.iter().map(|pair| pair.query.clone()).collect();
    let queries = encoding.units(Role::Query, &queries)?;
    let documents: Vec<String> = pairs.iter().map(|pair| pair.text.clone()).collect();
    let documents = encoding.units(Role::Document, &documents)?;
    Ok(queries
        .rows()
        .zip(documents.rows())
        .map(|(a, b)| dot(a, b))
        .collect())
}

/// What `value` makes of a searcher of the whole corpus, a query and the number of its document.
fn lexical(
    params: &Params,
    pairs: &[Pair],
    io: &Io<'_>,
    value: impl Fn(&Searcher, &str, u32) -> f32 + Sync,
) -> Result<Vec<f32>, StageError> {
    let scheme = Scheme {
        analyser: params.analyser.clone(),
        fields: Fields::Together,
    };
    let corpus = match io.optional_parts("corpus")? {
        Some(corpus) => corpus,
        None => Box::new(std::iter::once(documents_of(pairs))),
    };
    let index = Index::of_stage(io, corpus, &scheme)?;
    let searcher = Searcher::new(index, Bm25::lucene(params.k1 as f32, params.b as f32), &[]);
    let score = |pair: &Pair| match searcher.index().find(&pair.doc_id) {
        Some(document) => Ok(value(&searcher, &pair.query, document)),
        None => Err(StageError::with_help(
            format!(
                "the document `{}` of the pair `{}` is not in the corpus",
                pair.doc_id, pair.query_id
            ),
            "connect the corpus that the queries were made from",
        )),
    };
    pairs.par_iter().map(score).collect()
}

/// The documents of the pairs as a corpus.
fn documents_of(pairs: &[Pair]) -> Result<RecordBatch, StageError> {
    let texts: BTreeMap<&str, &str> = pairs
        .iter()
        .map(|pair| (pair.doc_id.as_str(), pair.text.as_str()))
        .collect();
    let document = |(doc_id, text): (&str, &str)| Document {
        doc_id: doc_id.to_owned(),
        title: None,
        text: text.to_owned(),
    };
    let documents: Vec<Document> = texts.into_iter().map(document).collect();
    Ok(Document::encode(&documents)?)
}

/// The share of one document in the softmax of all scores.
fn softmax(scores: &[f32], at: usize) -> f32 {
    let most = scores.iter().copied().fold(0.0, f32::max);
    let share = |score: f32| f64::from(score - most).exp();
    (share(scores[at]) / scores.iter().map(|score| share(*score)).sum::<f64>()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_softmax_counts_documents_without_a_term() {
        // e² / (e² + e + 1)
        assert!((softmax(&[2.0, 1.0, 0.0], 0) - 0.665_240_9).abs() < 1e-6);
        assert!((softmax(&[0.0, 0.0], 1) - 0.5).abs() < 1e-7);
    }
}
