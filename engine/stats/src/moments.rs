//! Mean and standard deviation.

/// A value that is NaN or infinite.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("value {place} is {value}: statistics need finite numbers")]
pub struct NotFinite {
    /// Its place, from 0.
    pub place: usize,
    /// What it is.
    pub value: f64,
}

/// Refuses the first value that is NaN or infinite.
pub(crate) fn check_finite(values: &[f64]) -> Result<(), NotFinite> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(place) => Err(NotFinite {
            place,
            value: values[place],
        }),
        None => Ok(()),
    }
}

/// The arithmetic mean; 0 of nothing.
pub fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let add = |(sum, count), value| (sum + value, count + 1);
    let (sum, count) = values.into_iter().fold((0.0, 0_usize), add);
    if count == 0 { 0.0 } else { sum / count as f64 }
}

/// The sample variance (n - 1 in the denominator); `None` for fewer than two values, exactly 0 for equal ones.
#[expect(
    clippy::float_cmp,
    reason = "equal values have no variance, whatever their mean rounds to"
)]
pub(crate) fn variance(values: &[f64]) -> Option<f64> {
    let first = *values.first().filter(|_| values.len() > 1)?;
    if values.iter().all(|value| *value == first) {
        return Some(0.0);
    }
    let center = mean(values.iter().copied());
    let squares: f64 = values.iter().map(|value| (value - center).powi(2)).sum();
    Some(squares / (values.len() - 1) as f64)
}
