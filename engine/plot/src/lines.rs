//! Lines over steps: the loss of trainers.

use maud::{Markup, html};

use crate::{
    Plot,
    axis::{Frame, WIDTH, below, beside},
    plot::empty,
    scale::{Scale, extent},
    words::{fit, px},
};

const HEIGHT: f64 = 240.0;
/// Colours and dashes there are; more lines than that are drawn alike.
const STYLES: usize = 6;
const LEGEND_STEP: f64 = 20.0;

/// Several lines over one axis.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    /// What is shown.
    pub title: String,
    /// What the steps are.
    pub across: String,
    /// What is measured.
    pub up: String,
    /// The lines.
    pub lines: Vec<Line>,
}

/// One line.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// Its name.
    pub label: String,
    /// Its points, in the order of their steps.
    pub points: Vec<(f64, f64)>,
}

impl Lines {
    /// Draws them, each in a colour and a dash of its own while there are enough of these.
    pub fn plot(&self) -> Plot {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let across = extent(points().map(|point| point.0));
        let up = extent(points().map(|point| point.1));
        let (Some(across), Some((low, high))) = (across, up) else {
            return empty(&self.title);
        };
        let legend = if self.is_crowded() { 1 } else { self.lines.len() };
        let top = 40.0 + LEGEND_STEP * legend as f64;
        let frame = Frame {
            left: 52.0,
            right: WIDTH - 12.0,
            top,
            bottom: top + HEIGHT - 80.0,
        };
        let across = Scale::new(across, (frame.left, frame.right));
        let up = Scale::new((low.min(0.0), high), (frame.bottom, frame.top));
        Plot {
            title: self.title.clone(),
            about: self.about(),
            width: WIDTH,
            height: frame.bottom + 40.0,
            body: html! {
                (self.legend())
                (beside(frame, &up, 4, &self.up))
                (below(Frame { top: frame.bottom, ..frame }, &across, 6, &self.across))
                @for (at, line) in self.lines.iter().enumerate() {
                    path class={ "line " (self.style(at)) } d=(path(&line.points, &across, &up)) { title { (line.label) } }
                }
                line.axis x1=(px(frame.left)) x2=(px(frame.right)) y1=(px(frame.bottom)) y2=(px(frame.bottom)) {}
            },
        }
    }

    fn is_crowded(&self) -> bool {
        self.lines.len() > STYLES
    }

    fn style(&self, at: usize) -> String {
        if self.is_crowded() {
            "many".into()
        } else {
            format!("s{}", at + 1)
        }
    }

    fn about(&self) -> String {
        let last = |line: &Line| Some(format!("{} ends at {:.4}", line.label, line.points.last()?.1));
        self.lines.iter().filter_map(last).collect::<Vec<_>>().join(", ")
    }

    fn legend(&self) -> Markup {
        html! {
            @if self.is_crowded() {
                text.quiet x="2" y="14" { (self.lines.len()) " lines, too many to tell apart by colour" }
            } @else {
                @for (at, line) in self.lines.iter().enumerate() {
                    @let y = 10.0 + LEGEND_STEP * at as f64;
                    path class={ "line " (self.style(at)) } d={ "M2 " (px(y)) "h38" } {}
                    text.quiet x="48" y=(px(y + 4.0)) { (fit(&line.label, WIDTH - 60.0)) }
                }
            }
        }
    }
}

fn path(points: &[(f64, f64)], across: &Scale, up: &Scale) -> String {
    let mut path = String::new();
    for (x, y) in points.iter().filter(|(x, y)| x.is_finite() && y.is_finite()) {
        let sign = if path.is_empty() { 'M' } else { 'L' };
        path.push_str(&format!("{sign}{} {}", px(across.at(*x)), px(up.at(*y))));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(label: &str, values: &[f64]) -> Line {
        let points = values
            .iter()
            .enumerate()
            .map(|(at, value)| (at as f64, *value))
            .collect();
        Line {
            label: label.into(),
            points,
        }
    }

    #[test]
    fn each_line_has_a_style_and_a_name_while_there_are_few() {
        let few = Lines {
            lines: vec![line("a", &[2.0, 1.0]), line("b", &[3.0, 1.5])],
            ..Lines::default()
        };
        let text = few.plot().svg();
        assert!(text.contains("class=\"line s1\"") && text.contains("class=\"line s2\""));
        assert!(text.contains("a ends at 1.0000, b ends at 1.5000"));
        let many = Lines {
            lines: vec![line("a", &[2.0, 1.0]); 9],
            ..Lines::default()
        };
        let text = many.plot().svg();
        assert!(text.contains("9 lines") && !text.contains("class=\"line s1\""));
    }

    #[test]
    fn unsound_points_are_left_out() {
        let odd = Lines {
            lines: vec![line("a", &[f64::NAN, 2.0, f64::INFINITY, 1.0])],
            ..Lines::default()
        };
        let text = odd.plot().svg();
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        assert!(Lines::default().plot().svg().contains("nothing to draw"));
    }
}
