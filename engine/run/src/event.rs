//! What happens in a run, for the log and for the terminal. Subscribers only listen.

use ablate_core::ActionKey;
use serde::{Deserialize, Serialize};

/// What became of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It was computed.
    Ran,
    /// This recipe led to this key before, or another process finished it while we waited.
    Reused,
    /// The key exists, this recipe is new: its inputs' content did not change.
    Cutoff,
    /// The stage failed.
    Failed,
    /// An ancestor failed, or the run was interrupted.
    Skipped,
}

impl Status {
    /// The word used in tables and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ran => "ran",
            Self::Reused => "reused",
            Self::Cutoff => "cutoff",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run began.
    RunStarted {
        /// Id of the run.
        run: String,
        /// The experiment it is of: a run that is killed has no other record of it.
        experiment: String,
        /// Distinct nodes.
        nodes: usize,
        /// Of them reused at once.
        reused: usize,
    },
    /// A node began.
    NodeStarted {
        /// Its name.
        node: String,
        /// Its stage kind.
        kind: &'static str,
    },
    /// A node is under way. Not logged.
    NodeProgress {
        /// Its name.
        node: String,
        /// Units done.
        done: u64,
        /// Units in all.
        total: Option<u64>,
        /// What is counted.
        unit: &'static str,
    },
    /// A node had something to say.
    NodeNote {
        /// Its name.
        node: String,
        /// What it said.
        note: String,
    },
    /// A node is over.
    NodeFinished {
        /// Its name.
        node: String,
        /// What became of it.
        status: Status,
        /// Its key, if it is known.
        key: Option<ActionKey>,
        /// Why, or the error.
        reason: String,
        /// Seconds it took.
        seconds: f64,
    },
    /// The run is over.
    RunFinished {
        /// Id of the run.
        run: String,
        /// Seconds it took.
        seconds: f64,
    },
}
