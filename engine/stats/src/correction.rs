//! Adjusted p-values: compare them with the level itself.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A correction of p-values for the size of their family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Correction {
    /// Holm's step-down procedure: family-wise error.
    #[default]
    Holm,
    /// Bonferroni's: family-wise error.
    Bonferroni,
    /// Benjamini and Hochberg's step-up procedure: false discovery rate, of independent or positively dependent tests.
    Bh,
    /// None.
    None,
}

/// A p-value that is none.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("p-value {place} is {value}, not in 0 to 1")]
pub struct NotAProbability {
    /// Its place, from 0.
    pub place: usize,
    /// What it is.
    pub value: f64,
}

/// `p_values` adjusted for all of them being tested, in the same order. A `None` is a test that could not be made: it
/// stays `None` and does not count (R's `p.adjust` treats NA so).
///
/// # Errors
/// If a value is NaN or outside of 0 to 1.
pub fn adjust(correction: Correction, p_values: &[Option<f64>]) -> Result<Vec<Option<f64>>, NotAProbability> {
    let mut made = Vec::new();
    for (place, value) in p_values.iter().enumerate().filter_map(|(i, p)| Some((i, (*p)?))) {
        if !(0.0..=1.0).contains(&value) {
            return Err(NotAProbability { place, value });
        }
        made.push(value);
    }
    let mut adjusted = adjust_all(correction, &made).into_iter();
    Ok(p_values.iter().map(|p| p.and_then(|_| adjusted.next())).collect())
}

fn adjust_all(correction: Correction, p_values: &[f64]) -> Vec<f64> {
    let m = p_values.len() as f64;
    match correction {
        Correction::None => p_values.to_vec(),
        Correction::Bonferroni => p_values.iter().map(|p| (p * m).min(1.0)).collect(),
        Correction::Holm => holm(p_values),
        Correction::Bh => benjamini_hochberg(p_values),
    }
}

/// Step down: the i-th smallest (from 1) times m - i + 1, never below a smaller one's.
fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut adjusted = vec![0.0; p_values.len()];
    let mut floor: f64 = 0.0;
    for (step, place) in ascending(p_values).into_iter().enumerate() {
        floor = floor
            .max(p_values[place] * (p_values.len() - step) as f64)
            .min(1.0);
        adjusted[place] = floor;
    }
    adjusted
}

/// Step up: the i-th smallest (from 1) times m / i, never above a larger one's.
fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let mut adjusted = vec![0.0; p_values.len()];
    let mut ceiling: f64 = 1.0;
    for (step, place) in ascending(p_values).into_iter().enumerate().rev() {
        ceiling = ceiling.min(p_values[place] * p_values.len() as f64 / (step + 1) as f64);
        adjusted[place] = ceiling;
    }
    adjusted
}

fn ascending(p_values: &[f64]) -> Vec<usize> {
    let mut places: Vec<_> = (0..p_values.len()).collect();
    places.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    places
}

/// As legends write it.
impl fmt::Display for Correction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Holm => "Holm correction",
            Self::Bonferroni => "Bonferroni correction",
            Self::Bh => "Benjamini-Hochberg correction",
            Self::None => "no correction",
        })
    }
}
