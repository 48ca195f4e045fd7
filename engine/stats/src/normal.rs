//! The standard normal distribution.

use std::f64::consts::{SQRT_2, TAU};

use libm::erfc;

/// P(Z ≥ z).
pub(crate) fn upper_tail(z: f64) -> f64 {
    erfc(z / SQRT_2) / 2.0
}

/// P(|Z| ≥ |z|).
pub(crate) fn two_sided(z: f64) -> f64 {
    erfc(z.abs() / SQRT_2)
}

/// The z with P(Z < z) = `p`; infinite at 0 and 1.
pub(crate) fn quantile(p: f64) -> f64 {
    if p <= 0.5 { -critical(p) } else { critical(1.0 - p) }
}

/// The z with P(Z ≥ z) = `p` ≤ 1/2, by Newton's method on the logarithm of the tail, which is concave: from above the
/// root every step stays above. The tail is at most exp(-z²/2) / 2, which tells where to start.
fn critical(p: f64) -> f64 {
    if p <= 0.0 {
        return f64::INFINITY;
    }
    let mut z = (-2.0 * (2.0 * p).ln()).max(0.0).sqrt();
    for _ in 0..100 {
        let tail = upper_tail(z);
        let density = (-z * z / 2.0).exp() / TAU.sqrt();
        let step = (tail / p).ln() * tail / density;
        z += step;
        if step.abs() <= 1e-15 * z.abs() {
            break;
        }
    }
    z
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_scipys() {
        // python: from scipy.stats import norm; norm.ppf([.5, .025, .9, 1e-12, 1e-300])
        let expected = [
            (0.5, 0.0),
            (0.025, -1.959_963_984_540_054),
            (0.9, 1.281_551_565_544_600_4),
            (1e-12, -7.034_483_825_301_132),
            (1e-300, -37.047_096_299_361_2),
        ];
        for (p, z) in expected {
            assert!((quantile(p) - z).abs() < 1e-12, "{p}: {} is not {z}", quantile(p));
        }
        assert!(quantile(0.0) < f64::MIN && quantile(1.0) > f64::MAX);
    }
}
