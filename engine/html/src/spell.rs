//! Numbers and digests as people read them.

pub(crate) use ablate_core::units::{bytes, duration};
use ablate_report::Figure;

/// `1 234 567`, thinly spaced.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// The mean of a figure.
pub(crate) fn mean(figure: &Figure) -> String {
    figure.written().replace('-', "−")
}

/// Four digits.
pub(crate) fn figure(value: f64) -> String {
    format!("{value:.4}").replace('-', "−")
}

/// Four digits with their sign; a zero has none.
pub(crate) fn signed(value: f64) -> String {
    let text = format!("{value:+.4}");
    if &text[1..] == "0.0000" {
        return "0.0000".into();
    }
    text.replace('-', "−")
}

/// A probability.
pub(crate) fn p_value(p: f64) -> String {
    if p < 0.0005 {
        "< .001".into()
    } else {
        format!("{p:.3}")
    }
}

/// The first twelve letters of a digest.
pub(crate) fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// `name` for an address: everything but letters, digits and `-._~` as `%XX`.
pub(crate) fn escaped(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_people_read_them() {
        assert_eq!(
            (count(999), count(1_234_567)),
            ("999".into(), "1\u{202f}234\u{202f}567".into())
        );
        assert_eq!([signed(-0.000_01), signed(10.0)], ["0.0000", "+10.0000"]);
        assert_eq!((signed(-0.5), figure(0.25)), ("−0.5000".into(), "0.2500".into()));
        assert_eq!(
            (p_value(0.0001), p_value(0.049)),
            ("< .001".into(), "0.049".into())
        );
        assert_eq!(escaped("a[b=ü]&"), "a%5Bb%3D%C3%BC%5D%26");
        assert_eq!(short("abc"), "abc");
    }
}
