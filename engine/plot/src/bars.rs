//! Horizontal bars with intervals: one a row of a table.

use maud::{Markup, html};

use crate::{
    Plot,
    axis::{Frame, WIDTH, below},
    plot::empty,
    scale::{Scale, extent},
    words::{fit, px, width},
};

const STEP: f64 = 26.0;
const THICK: f64 = 15.0;
/// How much wider bold text is, in which the baseline stands.
const BOLD: f64 = 1.15;

/// Horizontal bars from zero.
#[derive(Clone, Debug, Default)]
pub struct Bars {
    /// What is shown.
    pub title: String,
    /// What the axis counts.
    pub axis: String,
    /// From top to bottom.
    pub bars: Vec<Bar>,
}

/// One bar.
#[derive(Clone, Debug, Default)]
pub struct Bar {
    /// Its name.
    pub label: String,
    /// How long it is.
    pub value: f64,
    /// The interval around the value, if it is known.
    pub interval: Option<[f64; 2]>,
    /// The value in words.
    pub note: String,
    /// Whether others are compared with it.
    pub is_baseline: bool,
}

impl Bars {
    /// Draws them.
    pub fn plot(&self) -> Plot {
        let Some(range) = self.range() else {
            return empty(&self.title);
        };
        let widest =
            |text: fn(&Bar) -> &str| self.bars.iter().map(|bar| width(text(bar))).fold(0.0, f64::max);
        let frame = Frame {
            left: (BOLD * widest(|bar| &bar.label) + 14.0).clamp(60.0, 280.0),
            right: WIDTH - (widest(|bar| &bar.note) + 12.0).clamp(16.0, 150.0),
            top: 8.0,
            bottom: 12.0 + STEP * self.bars.len() as f64,
        };
        let scale = Scale::new(range, (frame.left, frame.right));
        Plot {
            title: self.title.clone(),
            about: self.about(),
            width: WIDTH,
            height: frame.bottom + 40.0,
            body: html! {
                (below(frame, &scale, 5, &self.axis))
                @if let Some(base) = self.sole_baseline() {
                    @let x = px(scale.at(base));
                    line.reference x1=(x) x2=(x) y1=(px(frame.top)) y2=(px(frame.bottom)) {}
                }
                @for (at, bar) in self.bars.iter().enumerate() {
                    (draw(bar, frame.top + 4.0 + STEP * at as f64, frame, &scale))
                }
                @let zero = px(scale.at(0.0));
                line.axis x1=(zero) x2=(zero) y1=(px(frame.top)) y2=(px(frame.bottom)) {}
            },
        }
    }

    /// From the least to the greatest end of any bar, zero within.
    fn range(&self) -> Option<(f64, f64)> {
        let ends = self.bars.iter().flat_map(|bar| {
            bar.interval
                .unwrap_or([bar.value; 2])
                .into_iter()
                .chain([bar.value])
        });
        extent(ends).map(|(low, high)| (low.min(0.0), high.max(0.0)))
    }

    /// The value all others are compared with, if there is one only.
    fn sole_baseline(&self) -> Option<f64> {
        let mut baselines = self.bars.iter().filter(|bar| bar.is_baseline);
        baselines
            .next()
            .filter(|_| baselines.next().is_none())
            .map(|bar| bar.value)
    }

    fn about(&self) -> String {
        let told: Vec<_> = self
            .bars
            .iter()
            .map(|bar| format!("{} {}", bar.label, bar.note))
            .collect();
        told.join(", ")
    }
}

fn draw(bar: &Bar, top: f64, frame: Frame, scale: &Scale) -> Markup {
    let (zero, end) = (scale.at(0.0), scale.at(bar.value));
    let middle = top + THICK / 2.0;
    let [low, high] = bar
        .interval
        .unwrap_or([bar.value; 2])
        .map(|value| scale.at(value));
    html! {
        g {
            title { (bar.label) ": " (bar.note) }
            text.end.strong[bar.is_baseline] x=(px(frame.left - 8.0)) y=(px(middle + 4.5)) { (fit(&bar.label, (frame.left - 12.0) / BOLD)) }
            rect.bar.base[bar.is_baseline] x=(px(zero.min(end))) y=(px(top)) width=(px((end - zero).abs())) height=(px(THICK)) {}
            @if bar.interval.is_some() {
                path.whisker d={ "M" (px(low)) " " (px(middle - 4.0)) "v8m0 -4H" (px(high)) "m0 -4v8" } {}
            }
            text.quiet x=(px(frame.right + 8.0)) y=(px(middle + 4.5)) { (bar.note) }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn bar(label: &str, value: f64) -> Bar {
        Bar {
            label: label.into(),
            value,
            note: format!("{value:.2}"),
            ..Bar::default()
        }
    }

    #[test]
    fn longer_bars_have_greater_values_and_names_are_escaped() {
        let bars = Bars {
            bars: vec![bar("<b>&", 0.25), bar("y", 0.5)],
            ..Bars::default()
        };
        let text = bars.plot().inline().into_string();
        assert!(text.contains("&lt;b&gt;&amp;") && !text.contains("<b>"));
        let width = |nth: usize| -> f64 {
            let bar = text.split("class=\"bar\"").nth(nth).unwrap();
            bar.split("width=\"")
                .nth(1)
                .unwrap()
                .split('"')
                .next()
                .unwrap()
                .parse()
                .unwrap()
        };
        assert!((width(2) / width(1) - 2.0).abs() < 0.01);
    }

    #[test]
    fn values_below_zero_go_to_the_left_and_nothing_is_told() {
        let text = Bars {
            bars: vec![bar("x", -0.5), bar("y", 0.5)],
            ..Bars::default()
        }
        .plot()
        .svg();
        assert!(!text.contains("width=\"-"), "{text}");
        assert!(Bars::default().plot().svg().contains("nothing to draw"));
        let unsound = Bars {
            bars: vec![bar("x", f64::NAN)],
            ..Bars::default()
        };
        assert!(unsound.plot().svg().contains("nothing to draw"));
    }
}
