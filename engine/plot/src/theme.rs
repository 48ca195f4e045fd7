//! Colours: one name, a light and a dark value. The classes of `plot.css` use names only.

use std::fmt::Write;

/// The style of everything drawn, in terms of the names of [`variables`].
pub const PLOT_STYLE: &str = include_str!("plot.css");

/// Name, on light paper, on dark paper. Text has a contrast of at least 4.5 on its paper, marks of at least 3.
const COLOURS: [(&str, &str, &str); 24] = [
    ("paper", "#fdfcf9", "#14181b"),
    ("raised", "#ffffff", "#1b2125"),
    ("sunken", "#f3f1ea", "#101416"),
    ("ink", "#1d2522", "#e6e9e4"),
    ("quiet", "#5a6661", "#a2ada8"),
    ("rule", "#dcdad1", "#323b40"),
    ("grid", "#e9e7df", "#272f33"),
    ("accent", "#1d6480", "#7cc0dc"),
    ("soft", "#cfe2e8", "#24444f"),
    ("up", "#22735a", "#69c3a2"),
    ("down", "#ad4425", "#ec9475"),
    ("warn", "#8a5a00", "#e6b74f"),
    ("warn-paper", "#fdf4dd", "#2e2612"),
    ("ran", "#1d6480", "#7cc0dc"),
    ("reused", "#22735a", "#69c3a2"),
    ("cutoff", "#66529e", "#b3a2e6"),
    ("failed", "#ad2f2f", "#f08a8a"),
    ("skipped", "#6b6f6c", "#9aa09c"),
    ("s1", "#1d6480", "#7cc0dc"),
    ("s2", "#b3541e", "#eba06f"),
    ("s3", "#66529e", "#b3a2e6"),
    ("s4", "#22735a", "#69c3a2"),
    ("s5", "#8c6a0a", "#dcbb55"),
    ("s6", "#a03363", "#e895bb"),
];

/// What plots of their own are drawn on.
pub(crate) const PAPER: &str = "#ffffff";

/// CSS declarations of all colours: `--ink:#1d2522;…`.
pub fn variables(dark: bool) -> String {
    let mut out = String::new();
    for (name, light_value, dark_value) in COLOURS {
        write!(out, "--{name}:{};", if dark { dark_value } else { light_value }).ok();
    }
    out
}

/// The style of a plot that stands alone, on light paper: names are replaced, since not every program knows variables.
pub(crate) fn standalone() -> String {
    COLOURS
        .iter()
        .fold(PLOT_STYLE.to_owned(), |style, (name, light, _)| {
            style.replace(&format!("var(--{name})"), light)
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn colour(name: &str) -> [&'static str; 2] {
        COLOURS
            .iter()
            .find(|(found, ..)| *found == name)
            .map(|(_, light, dark)| [*light, *dark])
            .unwrap()
    }

    /// The relative luminance of WCAG 2.
    fn luminance(hex: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.03928 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(a: &str, b: &str) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn everything_can_be_read_in_light_and_dark() {
        let text = [
            "ink", "quiet", "accent", "up", "down", "ran", "reused", "cutoff", "failed", "skipped",
        ];
        for (name, paper) in text
            .iter()
            .flat_map(|name| ["paper", "raised", "sunken"].map(|paper| (name, paper)))
            .chain([(&"warn", "warn-paper"), (&"ink", "warn-paper"), (&"ink", "soft")])
        {
            for theme in [0, 1] {
                let found = contrast(colour(name)[theme], colour(paper)[theme]);
                assert!(found >= 4.5, "{name} on {paper} in theme {theme}: {found:.2}");
            }
        }
        for name in ["s1", "s2", "s3", "s4", "s5", "s6"] {
            for theme in [0, 1] {
                assert!(
                    contrast(colour(name)[theme], colour("raised")[theme]) >= 3.0,
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn a_plot_that_stands_alone_has_no_variables_left() {
        assert!(PLOT_STYLE.contains("var(--ink)"));
        assert!(!standalone().contains("var("), "{}", standalone());
    }
}
