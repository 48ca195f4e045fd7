//! BM25 over inverted indexes in memory.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::{
    analysis::{Analyser, Pipeline},
    feedback::Rm3,
    length,
    similarity::{Bm25, Variant},
};

/// A query as terms with weights.
pub(crate) type Weights = BTreeMap<String, f32>;

/// An inverted index over the texts of one field, by position.
pub(crate) struct Index {
    terms: BTreeMap<String, usize>,
    /// Per term, (document, frequency) in document order.
    pub(crate) postings: Vec<Vec<(u32, u32)>>,
    lengths: Vec<u32>,
    average_length: f32,
    /// How many documents the weights of terms are relative to.
    documents: usize,
}

impl Index {
    fn build(texts: &[String], analyser: &Pipeline) -> Self {
        let counted: Vec<(BTreeMap<String, u32>, u32)> =
            texts.par_iter().map(|text| count(text, analyser)).collect();
        let lengths: Vec<u32> = counted.iter().map(|(_, length)| *length).collect();
        let total: u64 = lengths.iter().map(|length| u64::from(*length)).sum();
        let mut terms = BTreeMap::new();
        let mut postings: Vec<Vec<(u32, u32)>> = Vec::new();
        for (document, (counts, _)) in counted.into_iter().enumerate() {
            for (term, frequency) in counts {
                let at = *terms.entry(term).or_insert_with(|| {
                    postings.push(Vec::new());
                    postings.len() - 1
                });
                postings[at].push((document as u32, frequency));
            }
        }
        let documents = lengths.len();
        let mut index = Self {
            terms,
            postings,
            lengths,
            average_length: 0.0,
            documents,
        };
        // Lucene's avgdl counts the documents that have the field at all.
        index.average_length = (total as f64 / index.filled().max(1) as f64) as f32;
        index
    }

    /// How many documents have a term in this field.
    fn filled(&self) -> usize {
        self.lengths.iter().filter(|length| **length > 0).count()
    }

    /// The norm of each document.
    fn norms(&self, bm25: Bm25) -> Vec<f32> {
        let norm = |length: u32| bm25.norm(length as f32, self.average_length);
        if bm25.variant == Variant::Lucene {
            let known: Vec<f32> = (0..=255).map(|byte| norm(length::decode(byte))).collect();
            let byte = |length: &u32| usize::from(length::encode(*length));
            self.lengths.iter().map(|length| known[byte(length)]).collect()
        } else {
            self.lengths.iter().map(|length| norm(*length)).collect()
        }
    }

    /// Every term of each document with its frequency.
    pub(crate) fn documents(&self) -> Vec<Vec<(&str, u32)>> {
        let mut documents = vec![Vec::new(); self.lengths.len()];
        for (term, at) in &self.terms {
            for (document, frequency) in &self.postings[*at] {
                documents[*document as usize].push((term.as_str(), *frequency));
            }
        }
        documents
    }

    /// In how many documents a term is.
    pub(crate) fn frequency(&self, term: &str) -> usize {
        self.terms.get(term).map_or(0, |at| self.postings[*at].len())
    }
}

fn count(text: &str, analyser: &Pipeline) -> (BTreeMap<String, u32>, u32) {
    let mut counts = BTreeMap::new();
    let terms = analyser.terms(text);
    let length = terms.len() as u32;
    terms
        .into_iter()
        .for_each(|term| *counts.entry(term).or_default() += 1);
    (counts, length)
}

struct Field {
    index: Index,
    boost: f32,
    norms: Vec<f32>,
}

/// Finds documents, numbered by position, in one field or several.
pub struct Searcher {
    analyser: Pipeline,
    bm25: Bm25,
    fields: Vec<Field>,
}

impl Searcher {
    /// Over one field that every document has.
    pub fn flat(texts: &[String], analyser: &Analyser, bm25: Bm25) -> Self {
        let analyser = analyser.pipeline();
        let index = Index::build(texts, &analyser);
        let norms = index.norms(bm25);
        let field = Field {
            index,
            boost: 1.0,
            norms,
        };
        Self {
            analyser,
            bm25,
            fields: vec![field],
        }
    }

    /// Over several fields: the sum of each field's score times its boost, as a disjunction of Lucene's over fields.
    /// Statistics of a field count the documents that have it.
    pub fn fielded(fields: &[(Vec<String>, f32)], analyser: &Analyser, bm25: Bm25) -> Self {
        let analyser = analyser.pipeline();
        let field = |(texts, boost): &(Vec<String>, f32)| {
            let mut index = Index::build(texts, &analyser);
            index.documents = index.filled();
            let norms = index.norms(bm25);
            Field {
                index,
                boost: *boost,
                norms,
            }
        };
        let fields = fields.iter().map(field).collect();
        Self {
            analyser,
            bm25,
            fields,
        }
    }

    /// The best `depth` documents for `query`: by score, ties by position. Documents without a query term are no hits.
    pub fn search(&self, query: &str, depth: usize) -> Vec<(u32, f32)> {
        self.find(&self.weights(query), depth)
    }

    /// The score of every document for `query`; 0 for those without a query term.
    pub fn scores(&self, query: &str) -> Vec<f32> {
        self.score(&self.weights(query)).0
    }

    /// Searches many queries over all cores, in the order given; with `rm3`, each expanded from its first hits.
    pub fn search_all(&self, queries: &[String], depth: usize, rm3: Option<&Rm3>) -> Vec<Vec<(u32, f32)>> {
        let Some(rm3) = rm3 else {
            return queries
                .par_iter()
                .map(|query| self.search(query, depth))
                .collect();
        };
        let index = &self.fields[0].index;
        let documents = index.documents();
        let search = |query: &String| {
            let weights = self.weights(query);
            let first = self.find(&weights, rm3.fb_docs as usize);
            self.find(&rm3.expand(&weights, &first, index, &documents), depth)
        };
        queries.par_iter().map(search).collect()
    }

    fn weights(&self, query: &str) -> Weights {
        let mut weights = Weights::new();
        for term in self.analyser.terms(query) {
            *weights.entry(term).or_default() += 1.0;
        }
        weights
    }

    fn find(&self, query: &Weights, depth: usize) -> Vec<(u32, f32)> {
        let (scores, floor) = self.score(query);
        let mut hits = best(&scores, depth);
        hits.iter_mut().for_each(|(_, score)| *score += floor);
        hits
    }

    /// The score of every document above the floor, and the floor: what every document gets.
    fn score(&self, query: &Weights) -> (Vec<f32>, f32) {
        let documents = self.fields.first().map_or(0, |field| field.norms.len());
        let (mut scores, mut floor) = (vec![0.0f32; documents], 0.0);
        for field in &self.fields {
            floor += self.add(field, query, &mut scores);
        }
        (scores, floor)
    }

    /// Adds the scores of one field; what every document gets on top is returned.
    fn add(&self, field: &Field, query: &Weights, scores: &mut [f32]) -> f32 {
        let terms = query
            .iter()
            .filter_map(|(term, weight)| Some((*field.index.terms.get(term)?, *weight)));
        // Terms in the order of the index, so that sums round alike whatever the query's order.
        let terms: BTreeMap<usize, f32> = terms.collect();
        let mut floor = 0.0;
        for (term, weight) in terms {
            let postings = &field.index.postings[term];
            let weight = weight * field.boost * self.bm25.weight(postings.len(), field.index.documents);
            floor += self.bm25.floor(weight);
            for (document, frequency) in postings {
                let document = *document as usize;
                scores[document] += self.bm25.gain(weight, *frequency, field.norms[document]);
            }
        }
        floor
    }
}

fn best(scores: &[f32], depth: usize) -> Vec<(u32, f32)> {
    let mut hits: Vec<(u32, f32)> = scores
        .iter()
        .enumerate()
        .filter(|(_, score)| **score > 0.0)
        .map(|(at, score)| (at as u32, *score))
        .collect();
    let order = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if hits.len() > depth && depth > 0 {
        hits.select_nth_unstable_by(depth - 1, order);
        hits.truncate(depth);
    }
    hits.sort_unstable_by(order);
    hits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Named;

    fn searcher<const N: usize>(texts: [&str; N]) -> Searcher {
        Searcher::flat(
            &texts.map(String::from),
            &Analyser::Named(Named::Whitespace),
            Bm25::lucene(0.9, 0.4),
        )
    }

    #[test]
    fn a_hand_computed_score() {
        let hits = searcher(["red apple pie", "green apple", "blue sky over the sea"]).search("apple", 10);
        // N = 3, df = 2: idf = ln(1 + 1.5 / 2.5) = .4700; avgdl = 10/3; dl = 2: norm = 1 / (.9 (.6 + .4 · 2 / 3.3333)).
        let (idf, norm) = (1.6f64.ln(), 1.0 / (0.9 * (0.6 + 0.4 * 2.0 / (10.0 / 3.0))));
        assert_eq!(hits.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1, 0]);
        assert!(
            (f64::from(hits[0].1) - idf * norm / (1.0 + norm)).abs() < 1e-6,
            "{hits:?}"
        );
    }

    #[test]
    fn ties_go_by_position_and_depth_cuts() {
        let hits = searcher(["same words", "same words", "same words"]).search("words", 2);
        assert_eq!(hits.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 1]);
    }
}
