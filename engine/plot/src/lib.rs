//! Plots, as SVG that a page takes its colours to, as SVG files that stand alone, and as PNG.
//!
//! Each kind of plot is plain data with a method `plot`; nothing here knows runs, tables or files. All text goes through
//! [`maud`], which escapes it.

mod axis;
mod bars;
mod dag;
mod differences;
mod histogram;
mod lines;
mod outlines;
mod plot;
mod png;
mod scale;
mod theme;
mod words;

pub use bars::{Bar, Bars};
pub use dag::{Dag, Node, State, Tally};
pub use differences::Differences;
pub use histogram::Histogram;
pub use lines::{Line, Lines};
pub use outlines::Outlines;
pub use plot::Plot;
pub use png::PngError;
pub use theme::{PLOT_STYLE, variables};
