//! Sizes and times as people read them.

/// `12.3 MB`; powers of 1000.
pub fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 1000.0 {
            let digits = usize::from(unit != "B");
            return format!("{value:.digits$} {unit}");
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

/// `95 s`, `12 min`, `3.4 h`.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_have_their_units() {
        assert_eq!((bytes(77), bytes(12_500_000)), ("77 B".into(), "12.5 MB".into()));
        assert_eq!(
            (duration(5.0), duration(90.0), duration(600.0), duration(9000.0)),
            ("5.0 s".into(), "90 s".into(), "10 min".into(), "2.5 h".into())
        );
    }
}
