//! How much of two texts is the same.

use std::collections::BTreeSet;

/// A text as the runs of words in it.
pub(crate) struct Grams {
    /// Words of a run.
    run: usize,
    runs: BTreeSet<Vec<String>>,
}

impl Grams {
    /// All runs of `n` words, of letters and digits in lower case; of a text with fewer words, the whole of it.
    pub(crate) fn of(text: &str, n: usize) -> Self {
        let words = words(text);
        let run = n.min(words.len()).max(1);
        Self {
            run,
            runs: words.windows(run).map(<[String]>::to_vec).collect(),
        }
    }

    /// Words of a run: fewer than asked for in a shorter text.
    pub(crate) fn run(&self) -> usize {
        self.run
    }

    /// The share of these runs that the other text has: 0 to 1.
    pub(crate) fn within(&self, other: &Self) -> f64 {
        let both = self.runs.intersection(&other.runs).count();
        both as f64 / self.runs.len().max(1) as f64
    }

    /// The share of the runs of the one with fewer that the other has, too (Szymkiewicz and Simpson's overlap coefficient): 0 to 1. An
    /// excerpt is like what it was taken from, however much longer that is.
    pub(crate) fn overlap(&self, other: &Self) -> f64 {
        self.within(other).max(other.within(self))
    }
}

/// The words of a text: letters and digits, in lower case.
pub(crate) fn words(text: &str) -> Vec<String> {
    text.split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn likeness(a: &str, b: &str, n: usize) -> f64 {
        Grams::of(a, n).overlap(&Grams::of(b, n))
    }

    /// By hand: 2 of 3 pairs of words of either are shared; both of an excerpt's.
    #[test]
    fn likeness_is_the_share_of_common_runs() {
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(close(
            likeness("The cat sat down", "the cat, sat up", 2),
            2.0 / 3.0
        ));
        let whole = "The cat sat down and slept until it was woken";
        assert!(close(likeness("and slept until", whole, 2), 1.0));
        assert!(close(likeness(whole, "and slept until", 2), 1.0));
        assert!(close(likeness("one two", "ONE two!", 3), 1.0));
        assert!(close(likeness("one two", "two one", 3), 0.0));
        assert!(close(likeness("", "", 3), 0.0));
    }
}
