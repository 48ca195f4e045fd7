//! Paired differences: what every comparison of two systems starts from.

use serde::{Deserialize, Serialize};

use crate::moments::{self, NotFinite, check_finite, variance};

/// Paired differences, system minus baseline, one per query. All are finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Differences(Vec<f64>);

/// On how many queries a system is better, equal and worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Positive differences.
    pub wins: usize,
    /// Differences that are 0.
    pub ties: usize,
    /// Negative differences.
    pub losses: usize,
}

impl Differences {
    /// Takes differences as they are.
    ///
    /// # Errors
    /// If one is NaN or infinite.
    pub fn new(values: Vec<f64>) -> Result<Self, NotFinite> {
        check_finite(&values)?;
        Ok(Self(values))
    }

    /// The differences of pairs (system, baseline), rounded to twelve decimals: a mean over replicates carries rounding
    /// errors that would tell ties apart.
    ///
    /// # Errors
    /// If one is NaN or infinite.
    pub fn between(pairs: impl IntoIterator<Item = (f64, f64)>) -> Result<Self, NotFinite> {
        let rounded = |(system, baseline): (f64, f64)| ((system - baseline) * 1e12).round() / 1e12;
        Self::new(pairs.into_iter().map(rounded).collect())
    }

    /// In the order in which they were given.
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// How many queries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their mean; 0 of nothing.
    pub fn mean(&self) -> f64 {
        moments::mean(self.0.iter().copied())
    }

    /// Their sample standard deviation; `None` for fewer than two, exactly 0 if all are equal.
    pub fn sd(&self) -> Option<f64> {
        variance(&self.0).map(f64::sqrt)
    }

    /// Wins, ties and losses of the system.
    pub fn counts(&self) -> Counts {
        let count = |holds: fn(&f64) -> bool| self.0.iter().filter(|d| holds(d)).count();
        Counts {
            wins: count(|d| *d > 0.0),
            ties: count(|d| *d == 0.0),
            losses: count(|d| *d < 0.0),
        }
    }
}
