//! Adjusted p-values: compare them with the level itself.

use crate::Correction;

/// `p_values` adjusted for all of them being tested, in the same order.
pub fn adjust(correction: Correction, p_values: &[f64]) -> Vec<f64> {
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

#[cfg(test)]
mod tests {
    use super::*;

    const P: [f64; 5] = [0.01, 0.04, 0.03, 0.005, 0.6];

    fn check(correction: Correction, expected: [f64; 5]) {
        for (found, expected) in adjust(correction, &P).into_iter().zip(expected) {
            assert!(
                (found - expected).abs() < 1e-12,
                "{correction}: {found} is not {expected}"
            );
        }
    }

    #[test]
    fn adjusted_values_are_statsmodels() {
        // python: from statsmodels.stats.multitest import multipletests; multipletests(P, method="holm")[1], …
        check(Correction::Holm, [0.04, 0.09, 0.09, 0.025, 0.6]);
        check(Correction::Bonferroni, [0.05, 0.2, 0.15, 0.025, 1.0]);
        check(Correction::Bh, [0.025, 0.05, 0.05, 0.025, 0.6]);
        check(Correction::None, P);
    }

    #[test]
    fn nothing_and_one_stay_as_they_are() {
        for correction in [
            Correction::Holm,
            Correction::Bonferroni,
            Correction::Bh,
            Correction::None,
        ] {
            assert_eq!(adjust(correction, &[]), Vec::<f64>::new());
            assert_eq!(adjust(correction, &[0.2]), [0.2]);
        }
    }
}
