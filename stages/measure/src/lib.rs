//! trec_eval's measures over runs and judgements.

mod evaluate;
mod measure;
mod ranking;
mod trec;

pub use evaluate::Evaluate;
pub use measure::{Measure, UnknownMeasure};
pub use ranking::{Judged, PerQuery, evaluate};
pub use trec::{TrecError, read_qrels, read_run};
