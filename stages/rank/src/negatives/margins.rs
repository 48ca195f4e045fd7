//! Which candidates are kept by their scores: the margins of sentence-transformers' `mine_hard_negatives`.

use ablate_core::Problems;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bounds on the score of a negative; those not given hold nothing off.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Margins {
    /// A negative must score at least this much less than its positive.
    #[serde(rename = "absolute_margin")]
    pub(super) absolute: Option<f64>,
    /// A negative must score less than its positive by at least this share of the positive's absolute score (NV-Retriever,
    /// Moreira et al., 2024).
    #[serde(rename = "relative_margin")]
    pub(super) relative: Option<f64>,
    /// A negative must not score more (RocketQA: 0.1 of `activation: sigmoid`).
    pub(super) max_score: Option<f64>,
    /// A negative must not score less: it would be too easy.
    pub(super) min_score: Option<f64>,
}

impl Margins {
    /// Notes bounds out of range, and any bounds at all where nothing has a score.
    pub(super) fn check(&self, has_scores: bool, problems: &mut Problems) {
        let given = [
            ("absolute_margin", self.absolute),
            ("relative_margin", self.relative),
            ("max_score", self.max_score),
            ("min_score", self.min_score),
        ];
        for (name, bound) in given {
            let fits = bound.is_none_or(f64::is_finite) && (has_scores || bound.is_none());
            problems.require(
                fits,
                name,
                "needs a finite number and `source: dense` or `cross_encoder`",
            );
        }
        let above = self.relative.is_none_or(|share| share >= 0.0);
        problems.require(above, "relative_margin", "must not lie below 0");
        let ordered = self
            .min_score
            .zip(self.max_score)
            .is_none_or(|(min, max)| min <= max);
        problems.require(ordered, "min_score", "is larger than max_score");
    }

    /// Whether any bound is given.
    pub(super) fn is_bounded(&self) -> bool {
        [self.absolute, self.relative, self.max_score, self.min_score]
            .iter()
            .any(Option::is_some)
    }

    /// Whether a candidate of this score may be a negative.
    pub(super) fn keep(&self, score: f32, positive: f32) -> bool {
        let (score, positive) = (f64::from(score), f64::from(positive));
        self.absolute.is_none_or(|margin| score + margin <= positive)
            && self
                .relative
                .is_none_or(|share| score <= positive - positive.abs() * share)
            && self.max_score.is_none_or(|most| score <= most)
            && self.min_score.is_none_or(|least| score >= least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The scores that are kept below a positive of `positive`.
    fn kept(margins: Margins, positive: f32) -> Vec<f32> {
        let scores = [-2.0, 0.0, 3.0, 3.5, 4.0, 5.0];
        scores
            .into_iter()
            .filter(|score| margins.keep(*score, positive))
            .collect()
    }

    #[test]
    fn each_bound_holds_off_what_it_says() {
        let none = Margins::default();
        assert_eq!(kept(none, 4.0).len(), 6);
        let absolute = Some(0.5);
        assert_eq!(kept(Margins { absolute, ..none }, 4.0), [-2.0, 0.0, 3.0, 3.5]);
        let relative = Some(0.25);
        assert_eq!(kept(Margins { relative, ..none }, 4.0), [-2.0, 0.0, 3.0]);
        assert_eq!(
            kept(Margins { relative, ..none }, -1.0),
            [-2.0],
            "below the positive though that lies below 0"
        );
        let max_score = Some(3.0);
        assert_eq!(kept(Margins { max_score, ..none }, 4.0), [-2.0, 0.0, 3.0]);
        let min_score = Some(3.5);
        assert_eq!(kept(Margins { min_score, ..none }, 4.0), [3.5, 4.0, 5.0]);
    }
}
