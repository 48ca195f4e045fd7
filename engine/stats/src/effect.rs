//! Standardised sizes of a paired difference.

use crate::{Differences, student};

/// Cohen's d_z: the mean difference in standard deviations of the differences (Cohen 1988, section 2.3.5).
///
/// `None` for fewer than two differences and for differences without variance.
pub fn cohens_d(differences: &Differences) -> Option<f64> {
    let sd = differences.sd().filter(|sd| *sd > 0.0)?;
    Some(differences.mean() / sd)
}

/// Hedges' g_z: d_z times the exact factor that removes its bias, Γ(ν/2) / (√(ν/2) Γ((ν-1)/2)) with ν = n - 1.
///
/// `None` for fewer than three differences (with two, d_z has no expectation) and for differences without variance.
pub fn hedges_g(differences: &Differences) -> Option<f64> {
    let freedom = differences.len() as f64 - 1.0;
    let d = cohens_d(differences).filter(|_| freedom > 1.0)?;
    Some(d * student::unbiasing(freedom))
}
