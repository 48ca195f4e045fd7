//! Whether a difference of two arms is more than their seeds, and how many seeds would tell.

use crate::{
    Differences, Goal, Replicates,
    moments::{mean, variance},
    power::{least, t_power},
    student,
};

/// Welch's test of two arms over their seeds, the queries taken as fixed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeedTest {
    /// The two-sided p-value.
    pub p: f64,
    /// The standard error of the difference over seeds.
    pub error: f64,
    /// Degrees of freedom, by Satterthwaite.
    pub freedom: f64,
}

/// Welch's t-test of the replicates' means of two arms (SciPy's `ttest_ind(equal_var=False)`), seeds of the two taken as
/// independent. An arm of one mean is taken as free of seeds (then it is a one-sample test).
///
/// `None` if no arm has two means. Without variance p is 1 where the means are equal, else 0.
pub fn seed_test(system: &[f64], baseline: &[f64]) -> Option<SeedTest> {
    let squared_error =
        |means: &[f64]| Some((variance(means)? / means.len() as f64, means.len() as f64 - 1.0));
    let parts: Vec<_> = [system, baseline].into_iter().filter_map(squared_error).collect();
    let difference = mean(system.iter().copied()) - mean(baseline.iter().copied());
    let error = parts.iter().map(|(square, _)| square).sum::<f64>().sqrt();
    let freedom = satterthwaite(&parts)?;
    let p = if difference == 0.0 {
        1.0
    } else {
        student::two_sided(difference / error, freedom)
    };
    Some(SeedTest { p, error, freedom })
}

/// The degrees of freedom of a sum of independent variances, each with its own (Satterthwaite 1946); `None` of nothing.
fn satterthwaite(parts: &[(f64, f64)]) -> Option<f64> {
    let whole: f64 = parts.iter().map(|(square, _)| square).sum();
    let shares: f64 = parts
        .iter()
        .map(|(square, freedom)| square * square / freedom)
        .sum();
    if whole == 0.0 {
        return parts.iter().map(|(_, freedom)| *freedom).reduce(f64::min);
    }
    Some(whole * whole / shares)
}

/// What makes the difference of two arms uncertain: the variance of its estimate over S seeds an arm and Q queries is
/// seed / S + (query + residual / S) / Q.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// What seeds add to all queries, summed over the arms.
    pub seed: f64,
    /// What seeds do to single queries, summed over the arms.
    pub residual: f64,
    /// How much the difference itself varies over queries.
    pub query: f64,
    /// How many of the two arms have seeds.
    pub seeded_arms: u32,
}

impl Noise {
    /// The components of each arm that has at least two seeds, and what is left of the variance of `differences`, which
    /// are between the arms' means over seeds.
    ///
    /// `None` if no arm has two seeds or if there are fewer than two queries.
    pub fn of(system: &Replicates, baseline: &Replicates, differences: &Differences) -> Option<Self> {
        let seeded = |arm: &Replicates| Some((arm.components()?, arm.seeds() as f64));
        let arms: Vec<_> = [system, baseline].into_iter().filter_map(seeded).collect();
        let of_seeds: f64 = arms.iter().map(|(of, seeds)| of.residual / seeds).sum();
        let whole = variance(differences.values()).filter(|_| !arms.is_empty())?;
        Some(Self {
            seed: arms.iter().map(|(of, _)| of.seed).sum(),
            residual: arms.iter().map(|(of, _)| of.residual).sum(),
            query: (whole - of_seeds).max(0.0),
            seeded_arms: arms.len() as u32,
        })
    }

    /// The power of a t-test at level `alpha` for `difference`, from both levels of variance: over `seeds` an arm and
    /// `queries`, with Satterthwaite's degrees of freedom. With no variance between queries it is that of a t-test over
    /// seeds, with none of seeds that of the paired t-test over queries.
    ///
    /// `None` for fewer than two seeds or queries, a difference that is not finite, or without any variance.
    pub fn power(&self, difference: f64, seeds: u64, queries: u64, alpha: f64) -> Option<f64> {
        let (s, q) = (seeds as f64, queries as f64);
        let of_seeds = (self.seed + self.residual / q) / s;
        let parts = [
            (of_seeds, f64::from(self.seeded_arms) * (s - 1.0)),
            (self.query / q, q - 1.0),
        ];
        let error = (of_seeds + self.query / q).sqrt();
        let valid = seeds > 1 && queries > 1 && difference.is_finite() && error > 0.0;
        let freedom = satterthwaite(&parts).filter(|_| valid)?;
        Some(t_power(difference.abs() / error, freedom, alpha))
    }

    /// The least number of seeds an arm with which `queries` settle `difference`. `None` where no number does, because
    /// the queries are too few, and for a difference of 0.
    pub fn seeds_needed(&self, difference: f64, queries: u64, goal: Goal) -> Option<u64> {
        let reaches = |seeds| {
            let power = self.power(difference, seeds, queries, goal.alpha);
            power.is_some_and(|power| power >= goal.power)
        };
        least(2, reaches)
    }
}
