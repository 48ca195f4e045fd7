//! Runs a plan: decides what can be reused, schedules the rest, executes it, and records what happened.
//!
//! Knows no stage: it is handed nodes with bound stage kinds.

mod arms;
mod commit;
mod event;
mod execute;
mod forecast;
mod help;
mod helpers;
mod history;
mod host;
mod jobs;
mod keep;
mod leakage;
mod lookup;
mod models;
mod record;
mod rerun;
mod room;
mod runner;
mod scheduler;
mod slots;
mod tables;

pub use arms::arm_records;
pub use event::{Event, Status};
pub use forecast::Forecast;
pub use help::{Questions, Tell, help};
pub use helpers::{Answer, Helpers, Question};
pub use history::{Cost, History};
pub use keep::{KeepPolicy, StoredRun, kept_keys, set_pin, stored_runs};
pub use lookup::{Decision, Lookup, lookup};
pub use record::{ArmRecord, InputRecord, NodeRecord, RunRecord, list_runs, load_run};
pub use rerun::{Recomputed, RowDifference, rerun};
pub use runner::{NOT_ASKED_FOR, Options, RunError, run};
pub use scheduler::{Capacity, Command, Job, Report, Scheduler};
pub use slots::{MachineSlots, MemoryBudget};
