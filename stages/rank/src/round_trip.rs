//! How well queries find the documents they were written from: the round trip by which Promptagator filters (Dai et al. 2022),
//! as a number.

use std::collections::BTreeMap;

use ablate_core::{
    Io, StageError,
    rows::{Document, Pair},
};
use ablate_models::{
    encoder::{Embeddings, Role},
    reranker::{Activation, Truncation},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    bm25::Searcher,
    dense::{Encoding, Match, Reading, search},
    index::{Index, Scheme},
    retrieve::{b, k1},
    scoring::{self, Scoring, default_batch},
    similarity::Bm25,
};

/// The port of the documents that are searched.
const CORPUS: &str = "corpus";
/// The port of the model that scores.
const SCORER: &str = "scorer";

/// What a query is worth for its document, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// The reciprocal rank of the document in BM25 over the corpus, with Anserini's constants.
    #[default]
    Bm25,
    /// Its reciprocal rank by the cosine of the vectors of `scorer`, a sentence encoder.
    Dense,
    /// The probability of its relevance by `scorer`, a cross-encoder or a monoT5 (the filter of InPars-V2).
    Reranker,
}

/// A metric at work.
pub struct Judge<'a> {
    io: &'a Io<'a>,
    by: By<'a>,
    depth: usize,
}

/// What is needed to look at queries.
enum By<'a> {
    Bm25(Searcher),
    Dense {
        encoding: Encoding<'a>,
        places: BTreeMap<String, usize>,
        vectors: Embeddings,
    },
    Reranker,
}

impl<'a> Judge<'a> {
    /// A metric over the documents at the port `corpus`, by the model at `scorer` where it takes one. Documents behind rank
    /// `depth` count as not found.
    ///
    /// # Errors
    /// If the metric needs a model and there is none, or the model or the corpus cannot be read.
    pub fn open(metric: Metric, depth: usize, io: &'a Io<'a>) -> Result<Self, StageError> {
        let has_scorer = io.optional_tree(SCORER)?.is_some();
        let by = match (metric, has_scorer) {
            (Metric::Bm25, false) => {
                let index = Index::of_stage(io, io.parts(CORPUS)?, &Scheme::default())?;
                By::Bm25(Searcher::new(index, Bm25::lucene(k1() as f32, b() as f32), &[]))
            }
            (Metric::Dense, true) => dense(io)?,
            (Metric::Reranker, true) => By::Reranker,
            (Metric::Bm25, true) => {
                let help = "leave `scorer` out, or set `metric: dense` or `metric: reranker`";
                return Err(StageError::with_help("BM25 has no use for a model", help));
            }
            (_, false) => {
                let help = "set `scorer`: a sentence encoder for `metric: dense`, a cross-encoder for `metric: reranker`";
                return Err(StageError::with_help("this metric needs a model", help));
            }
        };
        Ok(Self { io, by, depth })
    }

    /// What the query of each pair is worth for its document.
    ///
    /// # Errors
    /// If a document is not in the corpus, or a model fails; the message names it.
    pub fn worths(&self, pairs: &[&Pair]) -> Result<Vec<f64>, StageError> {
        match &self.by {
            By::Bm25(searcher) => self.lexical(searcher, pairs),
            By::Dense {
                encoding,
                places,
                vectors,
            } => {
                let queries: Vec<String> = pairs.iter().map(|pair| pair.query.clone()).collect();
                let queries = encoding.units(Role::Query, &queries)?;
                nearest(&search(&queries, vectors, self.depth), places, pairs)
            }
            By::Reranker => self.probabilities(pairs),
        }
    }

    fn lexical(&self, searcher: &Searcher, pairs: &[&Pair]) -> Result<Vec<f64>, StageError> {
        let queries: Vec<&str> = pairs.iter().map(|pair| pair.query.as_str()).collect();
        let found = searcher.search_texts(&queries, self.depth);
        let worth = |(pair, found): (&&Pair, Vec<(u32, f32)>)| {
            let place = searcher
                .index()
                .find(&pair.doc_id)
                .ok_or_else(|| stranger(pair))?;
            Ok(reciprocal_rank(found.iter().map(|(at, _)| *at), place))
        };
        pairs.iter().zip(found).map(worth).collect()
    }

    fn probabilities(&self, pairs: &[&Pair]) -> Result<Vec<f64>, StageError> {
        let texts: Vec<(&str, &str)> = pairs
            .iter()
            .map(|pair| (pair.query.as_str(), pair.text.as_str()))
            .collect();
        let scoring = Scoring {
            max_length: None,
            truncation: Truncation::default(),
            batch: default_batch(),
        };
        let logits = scoring::logits(self.io, SCORER, &texts, &scoring)?;
        Ok(logits
            .into_iter()
            .map(|logit| f64::from(Activation::Sigmoid.apply(logit)))
            .collect())
    }
}

/// The scorer as a sentence encoder, with the vectors of the corpus.
fn dense<'a>(io: &'a Io<'a>) -> Result<By<'a>, StageError> {
    let encoding = Encoding::open(io, SCORER, &Reading::default(), default_batch())?;
    let documents: Vec<Document> = io.rows(CORPUS)?;
    let texts: Vec<String> = documents.iter().map(Document::full_text).collect();
    Ok(By::Dense {
        vectors: encoding.units(Role::Document, &texts)?,
        encoding,
        places: documents
            .into_iter()
            .map(|document| document.doc_id)
            .zip(0..)
            .collect(),
    })
}

/// What the query of each pair is worth, by what was found for it.
fn nearest(
    found: &[Vec<Match>],
    places: &BTreeMap<String, usize>,
    pairs: &[&Pair],
) -> Result<Vec<f64>, StageError> {
    let worth = |(pair, found): (&&Pair, &Vec<Match>)| {
        let place = places.get(&pair.doc_id).ok_or_else(|| stranger(pair))?;
        Ok(reciprocal_rank(found.iter().map(|hit| hit.document), *place))
    };
    pairs.iter().zip(found).map(worth).collect()
}

/// 1 over the rank, from 1, of what is wanted; 0 where it was not found.
fn reciprocal_rank<T: PartialEq>(mut found: impl Iterator<Item = T>, wanted: T) -> f64 {
    found
        .position(|at| at == wanted)
        .map_or(0.0, |at| 1.0 / (at as f64 + 1.0))
}

fn stranger(pair: &Pair) -> StageError {
    StageError::with_help(
        format!(
            "the document `{}` is not in the corpus that is searched",
            pair.doc_id
        ),
        "connect the corpus that the documents were drawn from",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_counted_from_one_and_what_is_not_found_is_worth_nothing() {
        let sixths = |wanted| (6.0 * reciprocal_rank([7, 3, 5].into_iter(), wanted)).round() as u32;
        assert_eq!([7, 3, 5, 4].map(sixths), [6, 3, 2, 0]);
    }
}
