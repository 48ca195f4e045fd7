//! Axes and what stands beside them.

use maud::{Markup, html};

use crate::{scale::Scale, words::px};

/// How wide plots are: narrow enough that a phone need not shrink their text away.
pub(crate) const WIDTH: f64 = 640.0;

/// The rectangle in which values are drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) left: f64,
    pub(crate) right: f64,
    pub(crate) top: f64,
    pub(crate) bottom: f64,
}

/// Vertical grid lines, their numbers below, and the name of what they count.
pub(crate) fn below(frame: Frame, scale: &Scale, count: usize, name: &str) -> Markup {
    html! {
        @for (value, label) in scale.ticks(count) {
            @let x = px(scale.at(value));
            line.grid x1=(x) x2=(x) y1=(px(frame.top)) y2=(px(frame.bottom)) {}
            text.quiet.middle x=(x) y=(px(frame.bottom + 16.0)) { (label) }
        }
        text.quiet.end x=(px(frame.right)) y=(px(frame.bottom + 33.0)) { (name) }
    }
}

/// Horizontal grid lines, their numbers to the left, and the name of what they measure above them.
pub(crate) fn beside(frame: Frame, scale: &Scale, count: usize, name: &str) -> Markup {
    html! {
        @for (value, label) in scale.ticks(count) {
            @let y = scale.at(value);
            line.grid x1=(px(frame.left)) x2=(px(frame.right)) y1=(px(y)) y2=(px(y)) {}
            text.quiet.end x=(px(frame.left - 7.0)) y=(px(y + 4.0)) { (label) }
        }
        text.quiet x="2" y=(px(frame.top - 16.0)) { (name) }
    }
}
