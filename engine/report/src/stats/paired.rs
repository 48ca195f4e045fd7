//! Two-sided paired tests. The unit is the query: `differences` are system minus baseline, one per query.

use ablate_core::{Seed, Stream};

use super::special::{normal_two_sided, student_two_sided};
use crate::{
    Test,
    fold::{Queries, mean},
};

/// Rounds of the randomisation test of a table.
const ROUNDS: usize = 10_000;

/// The p-value of `differences` by `test`; `None` for fewer than two queries.
pub(crate) fn p_value(test: Test, differences: &[f64]) -> Option<f64> {
    match test {
        Test::PairedT => paired_t(differences),
        Test::Wilcoxon => wilcoxon(differences),
        // One stream for every comparison: a p-value does not depend on which others stand in the table.
        Test::Randomization => {
            let seed = Seed::root(0).child("report").child("randomization");
            randomization(differences, ROUNDS, &seed)
        }
    }
}

/// `system` minus `baseline` on the queries of both, rounded to twelve decimals: a mean over replicates carries
/// rounding errors that would tell ties apart.
pub(crate) fn differences(system: &Queries<'_>, baseline: &Queries<'_>) -> Vec<f64> {
    let of = |(query, value): (&&str, &f64)| {
        baseline
            .get(query)
            .map(|other| ((value - other) * 1e12).round() / 1e12)
    };
    system.iter().filter_map(of).collect()
}

/// Student's paired t-test: t = mean(d) / (sd(d) / √n) with n - 1 degrees of freedom.
///
/// `None` for fewer than two differences. Without variance the limit: 1 where all are 0, else 0.
pub fn paired_t(differences: &[f64]) -> Option<f64> {
    let n = differences.len() as f64;
    if differences.len() < 2 {
        return None;
    }
    if differences.iter().all(|d| *d == 0.0) {
        return Some(1.0);
    }
    let center = mean(differences.iter().copied());
    let squares: f64 = differences.iter().map(|d| (d - center).powi(2)).sum();
    let error = (squares / (n - 1.0) / n).sqrt();
    Some(student_two_sided(center / error, n - 1.0))
}

/// Wilcoxon's signed-rank test by its normal approximation: zero differences are dropped, tied magnitudes share their
/// mean rank and correct the variance, no continuity correction (SciPy's `wilcoxon(d, method="asymptotic")`).
///
/// `None` for fewer than two differences; 1 where all are 0.
pub fn wilcoxon(differences: &[f64]) -> Option<f64> {
    if differences.len() < 2 {
        return None;
    }
    let mut ranked: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    if ranked.is_empty() {
        return Some(1.0);
    }
    ranked.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let (positive, ties) = signed_ranks(&ranked);
    let n = ranked.len() as f64;
    let expected = n * (n + 1.0) / 4.0;
    let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - ties / 48.0;
    Some(normal_two_sided((positive - expected) / variance.sqrt()))
}

/// Of differences sorted by magnitude: the sum of the ranks of the positive ones, and Σ(t³ - t) over ties of size t.
#[expect(clippy::float_cmp, reason = "a tie is equality")]
fn signed_ranks(sorted: &[f64]) -> (f64, f64) {
    let (mut positive, mut ties, mut before) = (0.0, 0.0, 0.0);
    for tied in sorted.chunk_by(|a, b| a.abs() == b.abs()) {
        let size = tied.len() as f64;
        let rank = before + f64::midpoint(size, 1.0);
        positive += rank * tied.iter().filter(|d| **d > 0.0).count() as f64;
        ties += size.powi(3) - size;
        before += size;
    }
    (positive, ties)
}

/// Fisher's randomisation test: `rounds` times every sign is drawn anew; with c of them at least as far from zero as
/// the observed sum, p = (c + 1) / (rounds + 1), which is never 0. Reproducible: signs come from the stream of `seed`.
///
/// `None` for fewer than two differences.
pub fn randomization(differences: &[f64], rounds: usize, seed: &Seed) -> Option<f64> {
    if differences.len() < 2 {
        return None;
    }
    let size: f64 = differences.iter().map(|d| d.abs()).sum();
    // A sum equal to the observed one but for rounding counts as equal.
    let observed = differences.iter().sum::<f64>().abs() - size * 1e-12;
    let mut stream = seed.stream();
    let extreme = (0..rounds)
        .filter(|_| flipped_sum(differences, &mut stream).abs() >= observed)
        .count();
    Some((extreme + 1) as f64 / (rounds + 1) as f64)
}

/// The sum with random signs, one bit each.
fn flipped_sum(differences: &[f64], stream: &mut Stream) -> f64 {
    let mut sum = 0.0;
    for chunk in differences.chunks(64) {
        let mut bits = stream.next_u64();
        for difference in chunk {
            sum += if bits & 1 == 0 { *difference } else { -difference };
            bits >>= 1;
        }
    }
    sum
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const A: [f64; 12] = [0.61, 0.43, 1.0, 0.0, 0.63, 0.39, 0.5, 0.72, 0.31, 0.9, 0.25, 0.63];
    const B: [f64; 12] = [0.5, 0.43, 0.63, 0.0, 0.69, 0.25, 0.43, 0.63, 0.36, 0.75, 0.0, 0.5];

    fn sample() -> Vec<f64> {
        const IDS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
        let queries = |values: &[f64]| IDS.into_iter().zip(values.iter().copied()).collect();
        differences(&queries(&A), &queries(&B))
    }

    fn close(found: Option<f64>, expected: f64, tolerance: f64) {
        assert!(
            (found.unwrap() - expected).abs() < tolerance,
            "{found:?} is not {expected}"
        );
    }

    #[test]
    fn paired_t_is_scipys() {
        // python: from scipy.stats import ttest_rel; ttest_rel(A, B).pvalue
        close(paired_t(&sample()), 0.017_592_632_902_934_5, 1e-13);
    }

    #[test]
    fn wilcoxon_is_scipys() {
        // python: from scipy.stats import wilcoxon; wilcoxon(np.round(np.array(A)-np.array(B),12), method="asymptotic").pvalue
        close(wilcoxon(&sample()), 0.012_515_318_690_073_973, 1e-13);
    }

    #[test]
    fn wilcoxon_corrects_for_ties() {
        // python: wilcoxon([.1,.1,.1,-.1,.2,.2,-.2,.3,.5,0,0], method="asymptotic").pvalue
        let tied = [0.1, 0.1, 0.1, -0.1, 0.2, 0.2, -0.2, 0.3, 0.5, 0.0, 0.0];
        close(wilcoxon(&tied), 0.093_088_058_434_958_43, 1e-13);
    }

    #[test]
    fn randomization_nears_the_exact_p_and_is_reproducible() {
        // python: d=…; obs=abs(d.sum()); sum(abs((np.array(s)*d).sum())>=obs-1e-9 for s in product([1,-1],repeat=12))/2**12
        let p = randomization(&sample(), 100_000, &Seed::root(1));
        close(p, 0.013_671_875, 0.002);
        assert_eq!(p, randomization(&sample(), 100_000, &Seed::root(1)));
        assert_ne!(p, randomization(&sample(), 100_000, &Seed::root(2)));
    }

    #[test]
    fn randomization_is_never_zero() {
        assert_eq!(randomization(&[0.1; 70], 99, &Seed::root(1)), Some(0.01));
    }

    #[test]
    fn edges() {
        for test in [Test::PairedT, Test::Wilcoxon, Test::Randomization] {
            assert_eq!(p_value(test, &[0.3]), None, "{test}");
            assert_eq!(p_value(test, &[0.0; 5]), Some(1.0), "{test}");
        }
        assert!(paired_t(&[0.25; 5]).unwrap() < 1e-12);
    }
}
