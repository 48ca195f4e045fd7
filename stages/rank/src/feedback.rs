//! RM3: a query is expanded with terms of its first hits (Abdul-Jaleel et al. 2004, as Anserini's Rm3Reranker).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bm25::{Index, Weights};

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

impl Rm3 {
    /// The expanded query. `documents` are the terms of each document with their frequencies.
    pub(crate) fn expand(
        &self,
        query: &Weights,
        hits: &[(u32, f32)],
        index: &Index,
        documents: &[Vec<(&str, u32)>],
    ) -> Weights {
        let mut model = Weights::new();
        for (document, score) in hits {
            let terms = documents[*document as usize].iter();
            let kept = terms.filter(|(term, _)| is_feedback(term, index, documents.len()));
            let vector = self.pruned(kept.map(|(term, count)| ((*term).to_owned(), *count as f32)));
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

/// Whether a term may be feedback: 2 to 20 lower-case letters or digits, in at most a tenth of the documents.
fn is_feedback(term: &str, index: &Index, documents: usize) -> bool {
    (2..=20).contains(&term.len())
        && term
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        && index.frequency(term) as f32 / documents as f32 <= COMMON
}

/// Weights that sum to `total`.
fn scaled(mut weights: Weights, total: f32) -> Weights {
    let sum: f32 = weights.values().sum();
    weights.values_mut().for_each(|weight| *weight *= total / sum);
    weights
}
