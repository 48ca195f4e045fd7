//! trec_eval's measures over runs and judgements, and runs of other systems.

mod evaluate;
mod formula;
mod measure;
mod name;
mod ranking;
mod run;
mod stream;
mod summary;
mod trec;

pub use evaluate::Evaluate;
pub use measure::{Measure, UnknownMeasure};
pub use ranking::{Judged, Options, PerQuery, Scored, evaluate};
pub use run::{RUN_SOURCE, Run, RunSource};
pub use stream::{Evaluation, evaluate_parts};
pub use summary::{Column, Mean, columns, is_nickname, official};
pub use trec::{BadLines, TrecError, TrecFile, TrecRun};
