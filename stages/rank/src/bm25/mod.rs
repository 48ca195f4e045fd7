//! BM25 over an index: of any variant and constants, exhaustive or pruned, with the same bits.

mod norms;
mod outside;
mod scored;
mod search;
mod top;
mod window;

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::{
    analysis::Pipeline,
    index::{BLOCK, Field, Index, Unpacked},
    similarity::Bm25,
};
use norms::Norms;
use scored::{Scored, gains_of};
use search::Scratch;

/// A query as terms with weights.
pub(crate) type Weights = BTreeMap<String, f32>;

/// A document, by its number in the index, and its score.
pub(crate) type Found = (u32, f32);

/// Finds documents in an index.
///
/// A score is the sum of what each term of the query adds in each field, in double precision, rounded to single
/// precision once (as Lucene's disjunctions do). Equal scores go by the lower number.
pub struct Searcher {
    index: Index,
    pipeline: Pipeline,
    bm25: Bm25,
    fields: Vec<Scoring>,
}

/// What of a field depends on the variant and its constants.
struct Scoring {
    boost: f32,
    /// Documents that weights of terms are relative to.
    documents: usize,
    norms: Norms,
    /// The largest gain of each term for a weight of 1, by its place.
    list_bounds: Vec<f32>,
    /// The same of each block, one list behind the other.
    block_bounds: Vec<f32>,
}

impl Searcher {
    /// Over an index; the gains of each of its fields are multiplied by its boost, and by 1 where there is none.
    pub fn new(index: Index, bm25: Bm25, boosts: &[f32]) -> Self {
        let boosts = boosts.iter().copied().chain(std::iter::repeat(1.0));
        let fields = index.fields().zip(boosts).map(|((field, statistics), boost)| {
            let norms = Norms::new(field, bm25, statistics.average_length);
            let (list_bounds, block_bounds) = bounds(field, bm25, &norms);
            Scoring {
                boost,
                documents: statistics.documents,
                norms,
                list_bounds,
                block_bounds,
            }
        });
        Self {
            fields: fields.collect(),
            pipeline: index.scheme().analyser.pipeline(),
            index,
            bm25,
        }
    }

    /// What is searched.
    pub fn index(&self) -> &Index {
        &self.index
    }

    pub(crate) fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// The terms of a query; each counts as often as it stands there.
    pub(crate) fn weights(&self, query: &str) -> Weights {
        let mut weights = Weights::new();
        for term in self.pipeline.terms(query) {
            *weights.entry(term).or_default() += 1.0;
        }
        weights
    }

    /// The best `depth` documents for a query. Documents that gain nothing are no hits.
    pub fn search(&self, query: &str, depth: usize) -> Vec<(u32, f32)> {
        self.find(&self.weights(query), depth, &mut Scratch::new())
    }

    /// Searches many queries over all cores, in the order given.
    pub(crate) fn search_all(&self, queries: &[Weights], depth: usize) -> Vec<Vec<Found>> {
        let search = |scratch: &mut Scratch, query: &Weights| self.find(query, depth, scratch);
        queries.par_iter().map_init(Scratch::new, search).collect()
    }

    /// The same for queries as they were written.
    pub fn search_texts<S: AsRef<str> + Sync>(&self, queries: &[S], depth: usize) -> Vec<Vec<(u32, f32)>> {
        let search =
            |scratch: &mut Scratch, query: &S| self.find(&self.weights(query.as_ref()), depth, scratch);
        queries.par_iter().map_init(Scratch::new, search).collect()
    }

    fn find(&self, query: &Weights, depth: usize, scratch: &mut Scratch) -> Vec<Found> {
        let (mut lists, floor) = self.lists(query);
        search::search(&mut lists, floor, depth, scratch)
    }

    /// The score of every document for `query`; for those that gain nothing, what every document has.
    pub(crate) fn scores(&self, query: &str) -> Vec<f32> {
        let (mut lists, floor) = self.lists(&self.weights(query));
        search::sort(&mut lists);
        let mut sums = vec![0.0; self.index.documents() as usize];
        lists.iter_mut().for_each(|list| list.add_all(&mut sums));
        sums.into_iter().map(|sum| (floor + sum) as f32).collect()
    }

    /// The score of one document for `query`.
    pub(crate) fn score_of(&self, query: &str, document: u32) -> f32 {
        let (mut lists, floor) = self.lists(&self.weights(query));
        search::sort(&mut lists);
        let sum: f64 = lists.iter_mut().map(|list| list.gain_of(document)).sum();
        (floor + sum) as f32
    }

    /// What a term of this weight in the query, found in `frequency` documents of a field, weighs there.
    fn weight_of(&self, weight: f32, frequency: u32, scoring: &Scoring) -> f32 {
        weight * scoring.boost * self.bm25.weight(frequency as usize, scoring.documents)
    }

    /// The lists of a query in all fields, and what every document gets.
    fn lists(&self, query: &Weights) -> (Vec<Scored<'_>>, f64) {
        let (mut lists, mut floor) = (Vec::new(), 0.0);
        for ((field, _), scoring) in self.index.fields().zip(&self.fields) {
            for (term, weight) in query {
                let Some(place) = field.find(term) else { continue };
                let list = field.list(place);
                let weight = self.weight_of(*weight, list.count, scoring);
                floor += f64::from(self.bm25.floor(weight));
                let bounds = &scoring.block_bounds[field.first_block(place)..][..list.blocks()];
                let bound = scoring.list_bounds[place];
                lists.push(Scored::new(
                    list,
                    bounds,
                    bound,
                    &scoring.norms,
                    self.bm25,
                    weight,
                ));
            }
        }
        (lists, floor)
    }
}

/// The largest gain for a weight of 1 in each list of a field and in each block.
fn bounds(field: &Field, bm25: Bm25, norms: &Norms) -> (Vec<f32>, Vec<f32>) {
    let of_list = |place: usize| {
        let list = field.list(place);
        let (mut unpacked, mut into) = (Unpacked::new(), [0.0; BLOCK]);
        let of_block = move |at| {
            list.unpack(at, &mut unpacked);
            gains_of(&unpacked, norms, bm25, 1.0, &mut into);
            into[..unpacked.len].iter().copied().fold(0.0, f32::max)
        };
        (0..list.blocks()).map(of_block).collect::<Vec<f32>>()
    };
    let blocks: Vec<Vec<f32>> = (0..field.terms()).into_par_iter().map(of_list).collect();
    let most = |blocks: &Vec<f32>| blocks.iter().copied().fold(0.0, f32::max);
    (blocks.iter().map(most).collect(), blocks.concat())
}

#[cfg(test)]
mod tests;
