//! Whether queries are copied from their documents, as generators come to do that were tuned too far.

use ablate_core::rows::Pair;

use crate::likeness::Grams;

/// Words of the runs that are looked for.
const RUN: usize = 3;
/// The share of a query's runs in its document from which on it is a copy.
const COPIED: f64 = 0.5;
/// The share of copies from which on they are worth a word.
const WORTH_TELLING: f64 = 0.1;

/// The share of a query's runs of three words, or of the whole of a shorter one, that stand in its document: 0 to 1.
pub fn copied_share(pair: &Pair) -> f64 {
    let query = Grams::of(&pair.query, RUN);
    query.within(&Grams::of(&pair.text, query.run()))
}

/// A line on how many of these queries are copies, if they are many.
pub(crate) fn told(pairs: &[Pair]) -> Option<String> {
    let copies = pairs.iter().filter(|pair| copied_share(pair) >= COPIED).count();
    let all = pairs.len();
    (copies > 0 && copies as f64 >= WORTH_TELLING * all as f64).then(|| {
        format!("{copies} of {all} queries copy their document: half of their runs of {RUN} words, or more, stand in it (`filter` has `max_overlap`)")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::pair;

    fn of(query: &str) -> Pair {
        pair(query, "A kettle boils water in three minutes.")
    }

    /// By hand: `kettle boils water` of two runs; all of one; a short query as a whole; none.
    #[test]
    fn overlap_is_the_share_of_runs_in_the_document() {
        let halves = |query: &str| (2.0 * copied_share(&of(query))) as u32;
        let found = [
            "Kettle boils water fast",
            "boils water in",
            "three minutes",
            "how long",
        ]
        .map(halves);
        assert_eq!(found, [1, 2, 2, 0]);
    }

    #[test]
    fn copies_are_told_where_they_are_many() {
        let queries = |copies: usize| -> Vec<Pair> {
            let query = |at| {
                if at < copies {
                    "a kettle boils water"
                } else {
                    "why is tea hot"
                }
            };
            (0..20).map(|at| of(query(at))).collect()
        };
        assert!(told(&queries(2)).is_some_and(|line| line.starts_with("2 of 20 queries copy")));
        assert_eq!(told(&queries(1)), None);
        assert_eq!(told(&[]), None);
    }
}
