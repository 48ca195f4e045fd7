//! Result tables, differences between runs, and their formats.
//!
//! [`table`] folds the per-query scores of a run's evaluated [`Arm`]s into rows with significance marks; [`diff`]
//! joins what changed between two runs with what moved. Every format is a function in a file of its own.

mod alone;
mod arm;
mod baseline;
mod by_query;
mod cells;
mod compare;
mod csv;
mod details;
mod diff;
mod diff_text;
mod expect;
mod fields;
mod fold;
mod format;
mod grid;
mod json;
mod latex;
mod long;
mod markdown;
mod moved;
mod options;
mod parquet;
mod rows;
mod table;
mod text;
mod warnings;

pub use arm::{Arm, QueryScore, ReportError, label};
pub use by_query::{QueryDifferences, by_query};
pub use cells::legend;
pub use csv::csv;
pub use details::details;
pub use diff::{Diff, NodeChange, NodeView, RunView, diff};
pub use diff_text::diff_text;
pub use expect::{Expected, Judged, Verdict, judge};
pub use fields::FieldChange;
pub use format::{Format, render};
pub use json::json;
pub use latex::latex;
pub use markdown::markdown;
pub use moved::{Moved, Mover};
pub use options::{Options, UnknownName};
pub use parquet::parquet;
pub use rows::{RowChanges, row_changes};
pub use table::{Figure, Missing, Row, Table, table};
pub use text::text;
