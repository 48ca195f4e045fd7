//! Wilcoxon's signed-rank test.

use crate::{Differences, Method, Tested, normal};

/// Up to here all signs are enumerated even with ties and zeros.
const SMALL: usize = 13;

/// Up to here the distribution is exact without them.
const MEDIUM: usize = 50;

/// Wilcoxon's signed-rank test, two-sided. Differences of 0 are dropped (`zero_method="wilcox"`), tied magnitudes share
/// their mean rank.
///
/// Exact, by the distribution of the rank sum over all signs, for up to 13 differences and for up to 50 without ties
/// and zeros; else the normal approximation with the variance corrected for ties and no continuity correction. These are
/// the choices of SciPy's `wilcoxon(d)`.
///
/// `None` for fewer than two differences; 1 where all are 0.
pub fn wilcoxon(differences: &Differences) -> Option<Tested> {
    if differences.len() < 2 {
        return None;
    }
    let ranks = Ranks::of(differences);
    let plain = !ranks.tied && ranks.doubled.len() == differences.len();
    let exact = differences.len() <= if plain { MEDIUM } else { SMALL };
    let (p, method) = match exact || ranks.doubled.is_empty() {
        true => (ranks.exact(), Method::Exact),
        false => (ranks.approximate(), Method::Normal),
    };
    Some(Tested { p, method })
}

/// The ranks of the magnitudes that are not 0, doubled so that mean ranks are whole.
struct Ranks {
    doubled: Vec<usize>,
    /// The doubled ranks' sum over positive differences.
    positive: usize,
    tied: bool,
    /// Σ(t³ - t) over groups of t ties.
    correction: f64,
}

impl Ranks {
    #[expect(clippy::float_cmp, reason = "a tie is equality")]
    fn of(differences: &Differences) -> Self {
        let mut sorted: Vec<f64> = differences
            .values()
            .iter()
            .copied()
            .filter(|d| *d != 0.0)
            .collect();
        sorted.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
        let mut ranks = Self {
            doubled: Vec::new(),
            positive: 0,
            tied: false,
            correction: 0.0,
        };
        for group in sorted.chunk_by(|a, b| a.abs() == b.abs()) {
            ranks.add(group);
        }
        ranks
    }

    /// Takes the next larger magnitude.
    fn add(&mut self, group: &[f64]) {
        let size = group.len();
        let doubled_rank = 2 * self.doubled.len() + size + 1;
        self.positive += doubled_rank * group.iter().filter(|d| **d > 0.0).count();
        self.tied |= size > 1;
        self.correction += (size as f64).powi(3) - size as f64;
        self.doubled.extend(vec![doubled_rank; size]);
    }

    /// Twice the smaller tail of the rank sum when every sign is as likely as the other.
    fn exact(&self) -> f64 {
        let most: usize = self.doubled.iter().sum();
        // In how many ways a sum is reached: whole numbers up to 2⁵⁰, which are exact.
        let mut ways = vec![0.0; most + 1];
        ways[0] = 1.0;
        let mut reached = 0;
        for rank in &self.doubled {
            for sum in (0..=reached).rev() {
                ways[sum + rank] += ways[sum];
            }
            reached += rank;
        }
        let all = 2_f64.powi(self.doubled.len() as i32);
        let below: f64 = ways[..=self.positive].iter().sum();
        let above: f64 = ways[self.positive..].iter().sum();
        (2.0 * below.min(above) / all).min(1.0)
    }

    fn approximate(&self) -> f64 {
        let n = self.doubled.len() as f64;
        let expected = n * (n + 1.0) / 4.0;
        let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - self.correction / 48.0;
        normal::two_sided((self.positive as f64 / 2.0 - expected) / variance.sqrt())
    }
}
