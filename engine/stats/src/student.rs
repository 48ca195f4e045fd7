//! Student's distribution, central and noncentral. Degrees of freedom are positive and need not be whole.

use std::f64::consts::PI;

use libm::lgamma;

use crate::{beta::incomplete_beta, normal};

/// P(|T| ≥ |t|).
pub(crate) fn two_sided(t: f64, freedom: f64) -> f64 {
    let square = t * t;
    if square.is_infinite() {
        return 0.0;
    }
    // Both x and 1 - x are computed here, where neither cancels.
    let whole = freedom + square;
    incomplete_beta(freedom / 2.0, 0.5, freedom / whole, square / whole)
}

/// P(T ≥ t).
pub(crate) fn upper_tail(t: f64, freedom: f64) -> f64 {
    let half = two_sided(t, freedom) / 2.0;
    if t < 0.0 { 1.0 - half } else { half }
}

/// The t with P(|T| ≥ t) = `p`, 0 < p ≤ 1, by Newton's method from the normal quantile: it lies below the root, and right
/// of 0 the tail is convex, so every step stays below.
pub(crate) fn critical(p: f64, freedom: f64) -> f64 {
    let mut t = -normal::quantile(p / 2.0);
    for _ in 0..200 {
        let step = (two_sided(t, freedom) - p) / (2.0 * density(t, freedom));
        t += step;
        if step.abs() <= 1e-14 * t.abs() {
            break;
        }
    }
    t
}

fn density(t: f64, freedom: f64) -> f64 {
    let half = freedom / 2.0;
    let constant = lgamma(half + 0.5) - lgamma(half) - (freedom * PI).ln() / 2.0;
    (constant - (half + 0.5) * (t * t / freedom).ln_1p()).exp()
}

/// P(|T| ≥ t) of the noncentral distribution, t > 0.
///
/// T = (Z + δ) / s with s = √(χ²/ν), so the tail is the mean of normal tails Φ̄(ts - δ) + Φ̄(ts + δ) over the density of
/// s (Owen 1965, A special case of a bivariate non-central t-distribution, eq. 1.1). In u = ln s the integrand is
/// analytic and falls off on both sides, where the trapezoid rule converges exponentially; weights that sum to one need
/// no constant.
pub(crate) fn noncentral_two_sided(t: f64, freedom: f64, noncentrality: f64) -> f64 {
    // The narrower of the weight's spread and of the tail's, which is 1/t.
    let step = (1.0 / (2.0 * freedom).sqrt()).min(1.0 / (1.0 + t)) / 4.0;
    let (mut tails, mut weights) = (0.0, 0.0);
    for direction in [1.0, -1.0] {
        let mut at = if direction > 0.0 { 0.0 } else { -step };
        loop {
            let weight = (-freedom * ((2.0 * at).exp_m1() / 2.0 - at)).exp();
            if weight < 1e-18 {
                break;
            }
            let bound = t * at.exp();
            tails += weight
                * (normal::upper_tail(bound - noncentrality) + normal::upper_tail(bound + noncentrality));
            weights += weight;
            at += direction * step;
        }
    }
    tails / weights
}

/// The factor that makes a standardised mean difference unbiased: Γ(ν/2) / (√(ν/2) Γ((ν-1)/2)) for ν > 1
/// (Hedges 1981, eq. 6e).
pub(crate) fn unbiasing(freedom: f64) -> f64 {
    let half = freedom / 2.0;
    (lgamma(half) - lgamma(half - 0.5) - half.ln() / 2.0).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relative(found: f64, expected: f64) {
        assert!(
            (found / expected - 1.0).abs() < 1e-10,
            "{found} is not {expected}"
        );
    }

    #[test]
    fn tails_are_scipys() {
        // python: from scipy.stats import t; 2*t.sf(1,1), 2*t.sf(2.2281388519649385,10), …
        relative(two_sided(1.0, 1.0), 0.5);
        relative(
            two_sided(-2.228_138_851_964_938_5, 10.0),
            0.050_000_000_001_808_64,
        );
        relative(two_sided(5.0, 299.0), 9.785_690_989_697_85e-7);
        relative(two_sided(0.001, 5.0), 0.999_240_786_772_197_6);
        relative(two_sided(12.0, 299.0), 2.400_497_558_846_471_7e-27);
    }

    #[test]
    fn critical_values_invert_the_tail() {
        for freedom in [1.0, 1.5, 2.0, 7.0, 49.0, 1e6] {
            for p in [1.0, 0.9, 0.05, 1e-3, 1e-12] {
                let back = two_sided(critical(p, freedom), freedom);
                assert!((back / p - 1.0).abs() < 1e-9, "{freedom}, {p}: {back}");
            }
        }
    }
}
