//! Bootstrap confidence intervals of a mean difference.

use ablate_core::{Seed, Stream};

use crate::{Differences, mean, normal, t::outside};

/// Which quantiles of the bootstrap distribution bound the interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bootstrap {
    /// The plain ones (Efron 1979).
    Percentile,
    /// Corrected for bias and for a variance that moves with the mean (BCa; Efron 1987).
    Bca,
}

/// Which queries each resample of n queries takes. Made once and shared by all comparisons over n queries, so that an
/// interval does not depend on which others are computed.
pub struct Resamples {
    queries: usize,
    /// Resample by resample, `queries` places each.
    places: Vec<u32>,
}

impl Resamples {
    /// All nⁿ resamples of n queries if there are no more than `rounds`; else `rounds`, drawn from the stream of `seed`.
    pub fn new(queries: usize, rounds: usize, seed: &Seed) -> Self {
        let all = u32::try_from(queries)
            .ok()
            .and_then(|n| queries.checked_pow(n))
            .filter(|all| *all <= rounds);
        let places = match all {
            Some(all) => (0..all).flat_map(|number| digits(number, queries)).collect(),
            None => draw(queries * rounds, queries, &mut seed.stream()),
        };
        Self { queries, places }
    }

    /// The means of `differences` over every resample, ascending.
    fn means(&self, differences: &Differences) -> Vec<f64> {
        let values = differences.values();
        let of = |places: &[u32]| places.iter().map(|place| values[*place as usize]).sum::<f64>();
        let resamples = self.places.chunks_exact(self.queries);
        let mut means: Vec<_> = resamples.map(|places| of(places) / values.len() as f64).collect();
        means.sort_by(f64::total_cmp);
        means
    }
}

/// `number` in base `n`, n digits.
fn digits(mut number: usize, n: usize) -> impl Iterator<Item = u32> {
    (0..n).map(move |_| {
        let digit = number % n;
        number /= n;
        digit as u32
    })
}

fn draw(count: usize, below: usize, stream: &mut Stream) -> Vec<u32> {
    (0..count).map(|_| stream.below(below) as u32).collect()
}

/// The interval that covers the mean difference with probability `confidence`, as `[low, high]` (SciPy's `bootstrap`).
///
/// `None` for fewer than two differences, for a confidence outside of (0, 1), and where BCa is not defined because the
/// observed mean lies at an end of the distribution.
///
/// # Panics
/// If `resamples` are of another number of queries.
pub fn bootstrap_interval(
    differences: &Differences,
    resamples: &Resamples,
    bootstrap: Bootstrap,
    confidence: f64,
) -> Option<[f64; 2]> {
    assert_eq!(
        differences.len(),
        resamples.queries,
        "resamples are of as many queries"
    );
    let tail = outside(confidence)? / 2.0;
    if differences.len() < 2 {
        return None;
    }
    let means = resamples.means(differences);
    let levels = match bootstrap {
        Bootstrap::Percentile => [tail, 1.0 - tail],
        Bootstrap::Bca => corrected(differences, &means, tail)?,
    };
    Some(levels.map(|level| quantile(&means, level)))
}

/// Where BCa takes its quantiles (Efron and Tibshirani 1993, eq. 14.10).
fn corrected(differences: &Differences, means: &[f64], tail: f64) -> Option<[f64; 2]> {
    let bias = normal::quantile(share_below(means, differences.mean()));
    let acceleration = acceleration(differences);
    let level = |z: f64| {
        let shifted = bias + z;
        let corrected = bias + shifted / (1.0 - acceleration * shifted);
        1.0 - normal::upper_tail(corrected)
    };
    let z = normal::quantile(tail);
    bias.is_finite().then(|| [level(z), level(-z)])
}

/// Which share of the bootstrap distribution lies below the observed mean, of equal ones half.
fn share_below(means: &[f64], observed: f64) -> f64 {
    // A mean equal to the observed one but for the order of its sum counts as equal.
    let rounding = means.iter().fold(0.0_f64, |most, mean| most.max(mean.abs())) * 1e-12;
    let below = means.partition_point(|mean| *mean < observed - rounding);
    let not_above = means.partition_point(|mean| *mean <= observed + rounding);
    (below + not_above) as f64 / 2.0 / means.len() as f64
}

/// The skewness of the jackknife over six (ibid., eq. 14.15): of a mean, that of the values over √n. 0 without variance.
fn acceleration(differences: &Differences) -> f64 {
    let center = differences.mean();
    let moment = |power| mean(differences.values().iter().map(|d| (d - center).powi(power)));
    let (second, third) = (moment(2), moment(3));
    if second == 0.0 {
        return 0.0;
    }
    third / second.powf(1.5) / (differences.len() as f64).sqrt() / 6.0
}

/// The quantile of ascending values, interpolated between neighbours (NumPy's default, type 7 of Hyndman and Fan 1996).
fn quantile(ascending: &[f64], level: f64) -> f64 {
    let place = level.clamp(0.0, 1.0) * (ascending.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(ascending.len() - 1);
    ascending[below] + (place - place.floor()) * (ascending[above] - ascending[below])
}
