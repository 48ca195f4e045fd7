//! How values are spread, and where a filter cut.

use maud::{Markup, html};

use crate::{
    Plot,
    axis::{Frame, WIDTH, below, beside},
    plot::empty,
    scale::{Scale, extent},
    words::px,
};

const HEIGHT: f64 = 230.0;
const BINS: usize = 32;

/// Values that were kept and values that were dropped, stacked.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// What is shown.
    pub title: String,
    /// What the values are.
    pub axis: String,
    /// Values that passed; all, where nothing was chosen.
    pub kept: Vec<f64>,
    /// Values that did not.
    pub dropped: Vec<f64>,
    /// The value from which on the filter kept, with its name.
    pub cut: Option<(f64, String)>,
}

impl Histogram {
    /// Draws it.
    pub fn plot(&self) -> Plot {
        let Some(range) = extent(self.kept.iter().chain(&self.dropped).copied()) else {
            return empty(&self.title);
        };
        let frame = Frame {
            left: 52.0,
            right: WIDTH - 12.0,
            top: 46.0,
            bottom: HEIGHT - 40.0,
        };
        let across = Scale::new(range, (frame.left, frame.right));
        let (kept, dropped) = (
            bins(&self.kept, &across, frame),
            bins(&self.dropped, &across, frame),
        );
        let tallest = kept.iter().zip(&dropped).map(|(a, b)| a + b).max().unwrap_or(1);
        let up = Scale::new((0.0, tallest as f64), (frame.bottom, frame.top));
        Plot {
            title: self.title.clone(),
            about: self.about(),
            width: WIDTH,
            height: HEIGHT,
            body: html! {
                (self.legend(frame))
                (beside(frame, &up, 4, ""))
                (below(Frame { top: frame.bottom, ..frame }, &across, 6, &self.axis))
                @for at in 0..BINS {
                    (column("kept", at, 0, kept[at], frame, &up))
                    (column("dropped", at, kept[at], dropped[at], frame, &up))
                }
                line.axis x1=(px(frame.left)) x2=(px(frame.right)) y1=(px(frame.bottom)) y2=(px(frame.bottom)) {}
                (self.cut_line(frame, &across))
            },
        }
    }

    fn about(&self) -> String {
        let cut = self
            .cut
            .as_ref()
            .map(|(_, name)| format!(", {name}"))
            .unwrap_or_default();
        format!("{} kept, {} dropped{cut}", self.kept.len(), self.dropped.len())
    }

    fn legend(&self, frame: Frame) -> Markup {
        let swatch = |class: &str, x: f64, text: String| {
            html! {
                rect class=(class) x=(px(x)) y="4.5" width="12" height="10" {}
                text.quiet x=(px(x + 18.0)) y="14" { (text) }
            }
        };
        html! {
            (swatch("kept", frame.left, format!("kept {}", self.kept.len())))
            @if !self.dropped.is_empty() {
                (swatch("dropped", frame.left + 130.0, format!("dropped {}", self.dropped.len())))
            }
        }
    }

    /// The line of the cut; its name stands on the side with more room.
    fn cut_line(&self, frame: Frame, across: &Scale) -> Markup {
        html! {
            @if let Some((value, name)) = &self.cut {
                @let x = across.at(*value);
                @let is_left = x < f64::midpoint(frame.left, frame.right);
                line.cut x1=(px(x)) x2=(px(x)) y1=(px(frame.top - 10.0)) y2=(px(frame.bottom)) {}
                text.quiet.end[!is_left] x=(px(if is_left { x + 6.0 } else { x - 6.0 })) y=(px(frame.top - 6.0)) { (name) }
            }
        }
    }
}

/// How many values fall into each column.
fn bins(values: &[f64], across: &Scale, frame: Frame) -> [usize; BINS] {
    let mut counts = [0; BINS];
    let step = (frame.right - frame.left) / BINS as f64;
    for value in values.iter().filter(|value| value.is_finite()) {
        let at = ((across.at(*value) - frame.left) / step) as usize;
        counts[at.min(BINS - 1)] += 1;
    }
    counts
}

fn column(class: &str, at: usize, from: usize, count: usize, frame: Frame, up: &Scale) -> Markup {
    let step = (frame.right - frame.left) / BINS as f64;
    let (top, bottom) = (up.at((from + count) as f64), up.at(from as f64));
    html! {
        @if count > 0 {
            rect class=(class) x=(px(frame.left + step * at as f64 + 0.5)) y=(px(top))
                width=(px(step - 1.0)) height=(px(bottom - top)) {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_falls_into_one_column() {
        let frame = Frame {
            left: 0.0,
            right: 100.0,
            top: 0.0,
            bottom: 1.0,
        };
        let across = Scale::new((0.0, 1.0), (0.0, 100.0));
        let counts = bins(&[0.0, 1.0, 0.5, 0.5, f64::NAN], &across, frame);
        assert_eq!(counts.iter().sum::<usize>(), 4);
        assert_eq!((counts[0], counts[BINS / 2], counts[BINS - 1]), (1, 2, 1));
    }

    #[test]
    fn the_cut_is_named_and_equal_values_are_drawn() {
        let cut = Some((-1.2, "threshold −1.2".to_owned()));
        let kept = vec![-1.0; 5];
        let text = Histogram {
            kept,
            dropped: vec![-1.5],
            cut,
            ..Histogram::default()
        }
        .plot()
        .svg();
        assert!(text.contains("class=\"cut\"") && text.contains("threshold −1.2"));
        assert!(text.contains("5 kept, 1 dropped, threshold −1.2"));
        let flat = Histogram {
            kept: vec![2.0; 3],
            ..Histogram::default()
        }
        .plot()
        .svg();
        assert!(flat.contains("class=\"kept\"") && !flat.contains("class=\"dropped\""));
    }
}
