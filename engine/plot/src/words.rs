//! Text in plots: how wide it is about, and how it is cut.

/// Pixels of a character of 13 px text, on average. SVG does not tell how wide its text will be.
const CHARACTER: f64 = 7.0;

/// About how wide `text` will be.
pub(crate) fn width(text: &str) -> f64 {
    text.chars().count() as f64 * CHARACTER
}

/// `text` in no more than `width` pixels; an ellipsis stands for what is cut.
pub(crate) fn fit(text: &str, width: f64) -> String {
    let room = (width / CHARACTER).floor().max(1.0) as usize;
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room - 1).chain(['…']).collect()
}

/// A number with four digits, `+` or `−` before it.
pub(crate) fn signed(value: f64) -> String {
    format!("{value:+.4}").replace('-', "−")
}

/// A coordinate: a tenth of a pixel is enough.
pub(crate) fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_between_characters() {
        assert_eq!(fit("négatifs", 70.0), "négatifs");
        assert_eq!(fit("négatifs", 21.0), "né…");
        assert_eq!(fit("négatifs", 0.0), "…");
        assert_eq!((px(3.0), px(3.12)), ("3".into(), "3.1".into()));
    }
}
