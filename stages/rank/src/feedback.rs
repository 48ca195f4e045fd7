//! RM3: a query is expanded with terms of its first hits (Abdul-Jaleel et al. 2004, as Anserini's Rm3Reranker).

use std::collections::{BTreeMap, BTreeSet};

use ablate_core::{Parts, Record, StageError, rows::Document};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    bm25::{Found, Searcher, Weights},
    index::Index,
};

/// Parameters of RM3; the defaults are Anserini's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rm3 {
    /// Terms of the relevance model.
    #[serde(default = "ten")]
    #[schemars(range(min = 1))]
    pub fb_terms: u32,
    /// Hits the model is estimated from.
    #[serde(default = "ten")]
    #[schemars(range(min = 1))]
    pub fb_docs: u32,
    /// The share of the original query.
    #[serde(default = "half")]
    #[schemars(range(min = 0, max = 1))]
    pub original_query_weight: f64,
}

fn ten() -> u32 {
    10
}
fn half() -> f64 {
    0.5
}

/// Terms in a larger share of the documents are no feedback.
const COMMON: f32 = 0.1;

/// The terms of a document with their frequencies.
type Terms = BTreeMap<String, u32>;

impl Rm3 {
    /// Every query expanded from its first hits, whose texts are read from `corpus`, the corpus of the index.
    ///
    /// # Errors
    /// What a part of the corpus gives, and a corpus that the index was not made from.
    pub(crate) fn expand_all(
        &self,
        searcher: &Searcher,
        queries: &[Weights],
        corpus: Parts<'_>,
    ) -> Result<Vec<Weights>, StageError> {
        let first = searcher.search_all(queries, self.fb_docs as usize);
        let wanted: BTreeSet<u32> = first.iter().flatten().map(|(document, _)| *document).collect();
        let documents = terms_of(&wanted, searcher, corpus)?;
        let expand = |(query, hits): (&Weights, &Vec<Found>)| self.expand(query, hits, searcher, &documents);
        Ok(queries.iter().zip(&first).map(expand).collect())
    }

    fn expand(
        &self,
        query: &Weights,
        hits: &[Found],
        searcher: &Searcher,
        documents: &BTreeMap<u32, Terms>,
    ) -> Weights {
        let mut model = Weights::new();
        for (document, score) in hits {
            let terms = documents.get(document).into_iter().flatten();
            let kept = terms.filter(|(term, _)| is_feedback(term, searcher.index()));
            let vector = self.pruned(kept.map(|(term, count)| (term.clone(), *count as f32)));
            let norm: f32 = vector.values().sum();
            for (term, count) in vector {
                *model.entry(term).or_default() += count / norm * score;
            }
        }
        let share = self.original_query_weight as f32;
        let mut expanded = scaled(query.clone(), share);
        for (term, weight) in scaled(self.pruned(model.into_iter()), 1.0 - share) {
            *expanded.entry(term).or_default() += weight;
        }
        expanded
    }

    /// The heaviest terms, ties in the order of the alphabet.
    fn pruned(&self, terms: impl Iterator<Item = (String, f32)>) -> Weights {
        let mut terms: Vec<(String, f32)> = terms.collect();
        terms.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        terms.truncate(self.fb_terms as usize);
        terms.into_iter().collect::<BTreeMap<_, _>>()
    }
}

/// The terms of the documents of these numbers.
fn terms_of(
    wanted: &BTreeSet<u32>,
    searcher: &Searcher,
    corpus: Parts<'_>,
) -> Result<BTreeMap<u32, Terms>, StageError> {
    let mut found = BTreeMap::new();
    let mut first = 0;
    for part in corpus {
        let part = part?;
        let next = first + part.num_rows() as u32;
        for number in wanted.range(first..next) {
            let rows = Document::decode(&part.slice((number - first) as usize, 1))?;
            for document in rows {
                if *number >= searcher.index().documents() || document.doc_id != searcher.index().id(*number)
                {
                    return Err(other_corpus());
                }
                found.insert(
                    *number,
                    counted(&searcher.pipeline().terms(&document.full_text())),
                );
            }
        }
        first = next;
    }
    if first == searcher.index().documents() {
        Ok(found)
    } else {
        Err(other_corpus())
    }
}

fn other_corpus() -> StageError {
    StageError::with_help(
        "the corpus is not the one the index was made from",
        "connect the same corpus to both",
    )
}

fn counted(terms: &[String]) -> Terms {
    let mut counts = Terms::new();
    for term in terms {
        *counts.entry(term.clone()).or_default() += 1;
    }
    counts
}

/// Whether a term may be feedback: 2 to 20 lower-case letters or digits, in at most a tenth of the documents.
fn is_feedback(term: &str, index: &Index) -> bool {
    (2..=20).contains(&term.len())
        && term
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        && index.frequency(term) as f32 / index.documents() as f32 <= COMMON
}

/// Weights that sum to `total`.
fn scaled(mut weights: Weights, total: f32) -> Weights {
    let sum: f32 = weights.values().sum();
    weights.values_mut().for_each(|weight| *weight *= total / sum);
    weights
}
