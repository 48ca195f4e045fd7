//! What Student's distribution says of paired differences.

use crate::{Differences, student};

/// Mean and standard error of at least two differences.
fn mean_and_error(differences: &Differences) -> Option<(f64, f64)> {
    let sd = differences.sd()?;
    Some((differences.mean(), sd / (differences.len() as f64).sqrt()))
}

fn freedom(differences: &Differences) -> f64 {
    differences.len() as f64 - 1.0
}

/// Student's paired t-test, two-sided: t = mean / (sd / √n) with n - 1 degrees of freedom (SciPy's `ttest_rel`).
///
/// `None` for fewer than two differences. Without variance the limit: 1 where all are 0, else 0.
pub fn paired_t(differences: &Differences) -> Option<f64> {
    let (mean, error) = mean_and_error(differences)?;
    if mean == 0.0 {
        return Some(1.0);
    }
    Some(student::two_sided(mean / error, freedom(differences)))
}

/// The interval mean ± t · sd / √n that covers the mean difference with probability `confidence`, as `[low, high]`.
///
/// `None` for fewer than two differences or a confidence outside of (0, 1); without variance the mean twice.
pub fn t_interval(differences: &Differences, confidence: f64) -> Option<[f64; 2]> {
    let (mean, error) = mean_and_error(differences)?;
    let half = student::critical(outside(confidence)?, freedom(differences)) * error;
    Some([mean - half, mean + half])
}

/// What a confidence in (0, 1) leaves to both tails.
pub(crate) fn outside(confidence: f64) -> Option<f64> {
    (confidence > 0.0 && confidence < 1.0).then_some(1.0 - confidence)
}

/// The p-value of two one-sided paired t-tests (Schuirmann 1987; statsmodels' `ttost_paired`): small where the mean
/// difference lies within ±`margin`.
///
/// `None` for fewer than two differences or a margin that is not positive and finite. Without variance the limit: 0
/// where the mean lies within the margin, 1 outside, 1/2 on it.
pub fn equivalence(differences: &Differences, margin: f64) -> Option<f64> {
    let (mean, error) = mean_and_error(differences)?;
    if !(margin > 0.0 && margin.is_finite()) {
        return None;
    }
    // The larger p-value of the two is that of the nearer margin.
    let room = margin - mean.abs();
    if room == 0.0 {
        return Some(0.5);
    }
    Some(student::upper_tail(room / error, freedom(differences)))
}
