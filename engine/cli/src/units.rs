//! Sizes as people write them.

/// `500M`, `20GB`, `1000`: powers of 1000.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: Option<f64> = digits.trim().parse().ok();
    let number = number.filter(|number| number.is_finite() && *number >= 0.0);
    let number = number.ok_or("write a size from 0, as in 500MB")?;
    let unit = text[digits.len()..].to_ascii_uppercase();
    let power = match unit.trim_end_matches('B') {
        "" => 0,
        "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        _ => return Err(format!("`{unit}` is no unit: use kB, MB, GB or TB")),
    };
    Ok((number * 1000_f64.powi(power)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_they_are_written() {
        assert_eq!(parse_bytes("12.5MB"), Ok(12_500_000));
        assert_eq!(parse_bytes("3g"), Ok(3_000_000_000));
        assert_eq!(parse_bytes("77"), Ok(77));
        for wrong in ["many", "3 Q", "-5GB", "-1", "1e999GB", "nan"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }
}
