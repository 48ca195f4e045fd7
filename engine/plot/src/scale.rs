//! From values to places on paper, and the round numbers along an axis.

/// A linear map from values to places.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// Maps `low..high` to `from..to`. A range without width is widened, so that every value has a place.
    pub(crate) fn new((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        let (low, high) = if low.is_finite() && high.is_finite() {
            (low, high)
        } else {
            (0.0, 1.0)
        };
        let high = if high - low > f64::EPSILON * low.abs().max(high.abs()) {
            high
        } else {
            low + 1.0
        };
        Self { low, high, from, to }
    }

    /// The place of `value`; values outside stand at the edge.
    pub(crate) fn at(&self, value: f64) -> f64 {
        let share = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        self.from + share * (self.to - self.from)
    }

    /// About `count` round numbers inside, with the text of each.
    pub(crate) fn ticks(&self, count: usize) -> Vec<(f64, String)> {
        let step = round_step((self.high - self.low) / count.max(1) as f64);
        let digits = (-step.log10().floor()).max(0.0) as usize;
        let first = (self.low / step - 1e-9).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        (first..=last)
            .map(|place| place as f64 * step)
            .map(|value| (value, label(value, digits)))
            .collect()
    }
}

/// The next of 1, 2, 5 times a power of ten.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|factor| factor * power >= step * 0.999);
    factor.unwrap_or(10.0) * power
}

fn label(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    // A zero has no sign; a minus is as wide as a plus.
    if text
        .trim_start_matches('-')
        .bytes()
        .all(|b| b == b'0' || b == b'.')
    {
        return text.trim_start_matches('-').to_owned();
    }
    text.replace('-', "−")
}

/// The least and the greatest of finite values; `None` of none.
pub(crate) fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values
        .filter(|value| value.is_finite())
        .fold(None, |found, value| match found {
            None => Some((value, value)),
            Some((low, high)) => Some((low.min(value), high.max(value))),
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::float_cmp)]
mod tests {
    use super::*;

    fn labels(low: f64, high: f64, count: usize) -> Vec<String> {
        let scale = Scale::new((low, high), (0.0, 100.0));
        scale.ticks(count).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(labels(0.0, 1.0, 5), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(-0.13, 0.21, 4), ["−0.1", "0.0", "0.1", "0.2"]);
        assert_eq!(labels(0.0, 6.0, 4), ["0", "2", "4", "6"]);
        assert_eq!(labels(0.0, 1200.0, 3), ["0", "500", "1000"]);
    }

    #[test]
    fn every_value_has_a_place() {
        let flat = Scale::new((3.0, 3.0), (0.0, 10.0));
        assert_eq!((flat.at(3.0), flat.at(9.0)), (0.0, 10.0));
        let odd = Scale::new((f64::NAN, f64::INFINITY), (0.0, 10.0));
        assert_eq!(odd.at(0.5), 5.0);
        assert_eq!(
            extent([f64::NAN, 2.0, -1.0, f64::INFINITY].into_iter()),
            Some((-1.0, 2.0))
        );
        assert_eq!(extent([f64::NAN].into_iter()), None);
    }
}
