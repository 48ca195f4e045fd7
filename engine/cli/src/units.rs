//! Sizes as people write them.

/// `500M`, `20GB`, `1000`: powers of 1000.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: f64 = digits
        .trim()
        .parse()
        .map_err(|_| "write a size, as in 500MB".to_owned())?;
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
        assert!(parse_bytes("many").is_err() && parse_bytes("3 Q").is_err());
    }
}
