//! How many queries settle a difference, and which difference so many queries settle.

use crate::student;

/// The largest number of queries or seeds that is looked for: a plan beyond it is none.
pub const LARGEST: u64 = 1_000_000;

/// What a planned test is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// The level of the two-sided test, 0 to 1.
    pub alpha: f64,
    /// The probability with which it shall find the difference, `alpha` to 1.
    pub power: f64,
}

impl Goal {
    /// Level 0.05 and power 0.8 (Cohen 1988, section 2.4).
    pub const CUSTOMARY: Self = Self {
        alpha: 0.05,
        power: 0.8,
    };
}

/// The probability that a two-sided t-test at level `alpha` finds a difference that is `noncentrality` standard errors.
pub(crate) fn t_power(noncentrality: f64, freedom: f64, alpha: f64) -> f64 {
    let critical = student::critical(alpha, freedom);
    student::noncentral_two_sided(critical, freedom, noncentrality)
}

/// The power of a paired t-test over `queries` for a difference of `effect` standard deviations of the differences
/// (statsmodels' `TTestPower`). `None` for fewer than two queries, an effect that is not finite or a level outside of
/// (0, 1).
pub fn paired_power(effect: f64, queries: u64, alpha: f64) -> Option<f64> {
    let valid = queries > 1 && effect.is_finite() && alpha > 0.0 && alpha < 1.0;
    let n = queries as f64;
    valid.then(|| t_power(effect.abs() * n.sqrt(), n - 1.0, alpha))
}

/// The least number of queries with which a paired t-test reaches the goal for a difference of `effect` standard
/// deviations. `None` where that is more than [`LARGEST`], so for an effect of 0, and for one that is not finite.
pub fn queries_needed(effect: f64, goal: Goal) -> Option<u64> {
    let reaches = |n| paired_power(effect, n, goal.alpha).is_some_and(|power| power >= goal.power);
    least(2, reaches)
}

/// The least difference that a paired t-test over `queries` with standard deviation `sd` finds with the goal's power.
/// `None` for fewer than two queries or an `sd` that is not positive and finite.
pub fn detectable_difference(sd: f64, queries: u64, goal: Goal) -> Option<f64> {
    if queries < 2 || !(sd > 0.0 && sd.is_finite()) {
        return None;
    }
    let n = queries as f64;
    let critical = student::critical(goal.alpha, n - 1.0);
    let power = |noncentrality| student::noncentral_two_sided(critical, n - 1.0, noncentrality);
    let mut high = 1.0;
    while power(high) < goal.power && high < 1e9 {
        high *= 2.0;
    }
    let mut low = 0.0;
    while high - low > 1e-12 * high {
        let middle = f64::midpoint(low, high);
        if power(middle) < goal.power {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(high * sd / n.sqrt())
}

/// The least number from `start` on that `reaches`, which holds for all numbers after the first; `None` beyond
/// [`LARGEST`].
pub(crate) fn least(start: u64, reaches: impl Fn(u64) -> bool) -> Option<u64> {
    let (mut below, mut high) = (start - 1, start);
    while !reaches(high) {
        below = high;
        high = (high * 2).min(LARGEST);
        if below == LARGEST {
            return None;
        }
    }
    while high - below > 1 {
        let middle = u64::midpoint(below, high);
        if reaches(middle) {
            high = middle;
        } else {
            below = middle;
        }
    }
    Some(high)
}
