//! Fisher's randomisation test.

use ablate_core::Seed;

use crate::{Differences, Method, Tested};

/// Fisher's randomisation test of the mean, two-sided: under the null hypothesis every sign might as well be the other
/// (Smucker, Allan and Carterette 2007).
///
/// Where there are no more than `rounds` ways to set the signs, all are tried, and p is the share of those whose sum is
/// at least as far from zero as the observed one. Else `rounds` are drawn from the stream of `seed`, and with c of them
/// as far out, p = (c + 1) / (rounds + 1), which is never 0.
///
/// `None` for fewer than two differences.
pub fn randomization(differences: &Differences, rounds: usize, seed: &Seed) -> Option<Tested> {
    let n = differences.len();
    if n < 2 {
        return None;
    }
    let sums = SignedSums::of(differences);
    let all = u32::try_from(n).ok().and_then(|n| 1_usize.checked_shl(n));
    if let Some(all) = all.filter(|all| *all <= rounds) {
        let extreme = (0..all as u64).filter(|signs| sums.is_extreme(|| *signs)).count();
        return Some(Tested {
            p: extreme as f64 / all as f64,
            method: Method::Exact,
        });
    }
    let mut stream = seed.stream();
    let extreme = (0..rounds)
        .filter(|_| sums.is_extreme(|| stream.next_u64()))
        .count();
    Some(Tested {
        p: (extreme + 1) as f64 / (rounds + 1) as f64,
        method: Method::Sampled,
    })
}

/// Of every eight differences the sums under all 256 signs, so that a round costs one addition for eight queries.
struct SignedSums {
    tables: Vec<[f64; 256]>,
    observed: f64,
}

impl SignedSums {
    fn of(differences: &Differences) -> Self {
        let values = differences.values();
        let size: f64 = values.iter().map(|d| d.abs()).sum();
        Self {
            tables: values.chunks(8).map(signed_sums).collect(),
            // A sum equal to the observed one but for rounding counts as equal.
            observed: values.iter().sum::<f64>().abs() - size * 1e-12,
        }
    }

    /// Whether the sum under signs drawn 64 at a time is at least as far from zero as the observed one.
    fn is_extreme(&self, mut signs: impl FnMut() -> u64) -> bool {
        let mut sum = 0.0;
        for tables in self.tables.chunks(8) {
            for (table, byte) in tables.iter().zip(signs().to_le_bytes()) {
                sum += table[usize::from(byte)];
            }
        }
        sum.abs() >= self.observed
    }
}

/// The sum of up to eight values under every choice of signs; a set bit is a minus.
fn signed_sums(values: &[f64]) -> [f64; 256] {
    std::array::from_fn(|signs| {
        let signed = |(place, value): (usize, &f64)| {
            if signs >> place & 1 == 0 { *value } else { -value }
        };
        values.iter().enumerate().map(signed).sum()
    })
}
