//! Which rows make a batch.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ablate_core::{Seed, rows::Triple};

/// The batches of a run, one a step. They are made epoch by epoch: those of all steps may be more than memory holds.
pub struct Batches<'a> {
    /// Those of the epoch of a number, counted from 0.
    epoch: Box<dyn Fn(usize) -> Vec<Vec<usize>> + 'a>,
    steps: usize,
}

impl<'a> Batches<'a> {
    /// Of so many steps, epoch after epoch; none may be without a batch.
    pub fn new(steps: usize, epoch: impl Fn(usize) -> Vec<Vec<usize>> + 'a) -> Self {
        let epoch = Box::new(epoch);
        Self { epoch, steps }
    }

    /// These.
    pub fn of(batches: &'a [Vec<usize>]) -> Self {
        Self::new(batches.len(), |_| batches.to_vec())
    }

    /// Those of the epoch of a number, counted from 0.
    pub fn epoch(&self, number: usize) -> Vec<Vec<usize>> {
        (self.epoch)(number)
    }

    /// How many steps they make.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Those that are left behind so many steps.
    pub fn after(&self, done: usize) -> impl Iterator<Item = Vec<usize>> {
        let left = self.steps.saturating_sub(done);
        (0..).flat_map(&self.epoch).skip(done).take(left)
    }
}

/// The batches of one epoch: every one of `rows` rows once, shuffled by `seed`.
pub fn shuffled(rows: usize, size: usize, seed: &Seed) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..rows).collect();
    seed.stream().shuffle(&mut order);
    order.chunks(size).map(<[usize]>::to_vec).collect()
}

/// The batches of one epoch: every row once, shuffled by `seed`, no text twice in a batch.
///
/// A text that stands twice would be a wrong negative of its own query. A row that would bring one waits for the next
/// batch; so the last batches may be smaller than `size`. The rule of sentence-transformers'
/// `BatchSamplers.NO_DUPLICATES`.
pub fn no_duplicates(rows: &[Triple], size: usize, seed: &Seed) -> Vec<Vec<usize>> {
    let texts = text_numbers(rows);
    let mut order: Vec<usize> = (0..rows.len()).collect();
    seed.stream().shuffle(&mut order);
    let mut waiting = VecDeque::from(order);
    let mut batches = Vec::new();
    while !waiting.is_empty() {
        let mut batch = Vec::with_capacity(size);
        let mut taken = BTreeSet::new();
        let mut refused = Vec::new();
        while batch.len() < size
            && let Some(row) = waiting.pop_front()
        {
            if texts[row].iter().any(|text| taken.contains(text)) {
                refused.push(row);
            } else {
                taken.extend(texts[row]);
                batch.push(row);
            }
        }
        refused.into_iter().rev().for_each(|row| waiting.push_front(row));
        batches.push(batch);
    }
    batches
}

/// The rows of each query and positive, which differ in their negatives.
pub(crate) fn by_positive(rows: &[Triple]) -> impl Iterator<Item = &[Triple]> {
    rows.chunk_by(|a, b| (&a.query_id, &a.pos_id) == (&b.query_id, &b.pos_id))
}

/// The three texts of each row as numbers, equal where the texts are.
fn text_numbers(rows: &[Triple]) -> Vec<[usize; 3]> {
    let mut numbers = BTreeMap::new();
    let mut number = |text| {
        let next = numbers.len();
        *numbers.entry(text).or_insert(next)
    };
    let texts = rows.iter().map(|row| [&row.query, &row.pos_text, &row.neg_text]);
    texts.map(|texts| texts.map(&mut number)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn row(query: usize, negative: usize) -> Triple {
        Triple {
            query_id: format!("q{query}"),
            query: format!("query {query}"),
            pos_id: format!("p{query}"),
            pos_text: format!("positive {query}"),
            neg_id: format!("n{negative}"),
            neg_text: format!("negative {negative}"),
            source: "test".into(),
        }
    }

    #[test]
    fn every_row_comes_once_and_no_text_twice_in_a_batch() {
        let rows: Vec<_> = (0..200).map(|i| row(i / 4, i % 23)).collect();
        let batches = no_duplicates(&rows, 16, &Seed::root(1));
        let mut seen: Vec<usize> = batches.concat();
        seen.sort_unstable();
        assert_eq!(seen, (0..200).collect::<Vec<_>>());
        for batch in &batches {
            let texts = batch
                .iter()
                .flat_map(|i| [&rows[*i].query, &rows[*i].pos_text, &rows[*i].neg_text]);
            assert_eq!(texts.collect::<BTreeSet<_>>().len(), 3 * batch.len());
            assert!((1..=16).contains(&batch.len()));
        }
    }

    #[test]
    fn rows_without_shared_texts_fill_their_batches() {
        let rows: Vec<_> = (0..100).map(|i| row(i, i)).collect();
        let sizes: Vec<_> = no_duplicates(&rows, 32, &Seed::root(1))
            .iter()
            .map(Vec::len)
            .collect();
        assert_eq!(sizes, [32, 32, 32, 4]);
    }

    #[test]
    fn batches_are_made_an_epoch_at_a_time() {
        let made = Cell::new(0);
        let batches = Batches::new(1_000_000_000_000, |epoch| {
            made.set(made.get() + 1);
            vec![vec![epoch, 0], vec![epoch, 1]]
        });
        let next = |done| batches.after(done).take(3).collect::<Vec<_>>();
        assert_eq!(next(0), [[0, 0], [0, 1], [1, 0]]);
        assert_eq!(made.get(), 2);
        assert_eq!(next(3), [[1, 1], [2, 0], [2, 1]]);
        let all = [vec![2], vec![0, 1]];
        let few = Batches::of(&all);
        assert_eq!(few.after(1).collect::<Vec<_>>(), [[0, 1]]);
        assert_eq!((few.steps(), few.after(2).count()), (2, 0));
    }

    #[test]
    fn the_seed_decides_the_order() {
        let rows: Vec<_> = (0..50).map(|i| row(i, i)).collect();
        let order = |seed| no_duplicates(&rows, 8, &Seed::root(seed));
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
    }
}
