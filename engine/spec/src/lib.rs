//! Experiment files: YAML text to a typed, checked experiment, with every diagnostic about user files.

#![expect(
    clippy::result_large_err,
    reason = "a problem is made once for each mistake in a file, never on a hot path"
)]

mod check;
mod events;
mod experiment;
mod fields;
mod names;
mod point;
mod problem;
mod read;
mod render;
mod report;
mod schema;
mod source;
mod stages;
mod sweep;
mod wiring;
mod words;
mod yaml;

pub use check::{InputError, resolve, split};
pub use experiment::{
    Axis, Expect, Experiment, Included, InputRef, Labels, Override, Point, Report, Setting, StageDef, Sweep,
};
pub use point::{apply, holds};
pub use problem::{Problem, Severity, Span};
pub use read::load;
pub use render::render;
pub use schema::schema;
pub use source::Source;
