//! What an experiment file chooses between: tests and intervals.

use std::fmt;

use ablate_core::Seed;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Differences, paired_t, randomization, wilcoxon};

/// Rounds of a randomisation test and resamples of a bootstrap.
pub const ROUNDS: usize = 10_000;

/// A paired two-sided test whose unit is the query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Test {
    /// Student's paired t-test.
    #[default]
    PairedT,
    /// Wilcoxon's signed-rank test.
    Wilcoxon,
    /// Fisher's randomisation of signs.
    Randomization,
}

/// How a p-value was computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// From Student's distribution.
    Student,
    /// From the exact distribution over all signs.
    Exact,
    /// From a normal approximation.
    Normal,
    /// From signs drawn at random.
    Sampled,
}

/// The answer of a test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tested {
    /// The two-sided p-value, not corrected.
    pub p: f64,
    /// How it was computed.
    pub method: Method,
}

impl Method {
    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Student => "student",
            Self::Exact => "exact",
            Self::Normal => "normal",
            Self::Sampled => "sampled",
        }
    }
}

impl Test {
    /// Tests that the mean (or pseudo-median) of `differences` is 0; random signs come from the stream of `seed`.
    ///
    /// `None` for fewer than two differences.
    pub fn apply(self, differences: &Differences, seed: &Seed) -> Option<Tested> {
        let student = |p| Tested {
            p,
            method: Method::Student,
        };
        match self {
            Self::PairedT => paired_t(differences).map(student),
            Self::Wilcoxon => wilcoxon(differences),
            Self::Randomization => randomization(differences, ROUNDS, seed),
        }
    }
}

/// As legends write it.
impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PairedT => "paired t-test",
            Self::Wilcoxon => "Wilcoxon signed-rank test",
            Self::Randomization => "randomisation test",
        })
    }
}

/// As legends write it.
impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Student => "Student's t",
            Self::Exact => "exact",
            Self::Normal => "normal approximation",
            Self::Sampled => "random signs",
        })
    }
}

/// How a confidence interval of a mean difference is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Interval {
    /// From Student's distribution.
    #[default]
    T,
    /// By the bootstrap, BCa.
    Bootstrap,
}

/// As legends write it.
impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::T => "t intervals",
            Self::Bootstrap => "BCa bootstrap intervals",
        })
    }
}
