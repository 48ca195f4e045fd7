//! Runs a plan: decides what can be reused, schedules the rest, executes it, and records what happened.
//!
//! Knows no stage: it is handed nodes with bound stage kinds.

mod commit;
mod event;
mod execute;
mod host;
mod lookup;
mod record;
mod runner;
mod scheduler;
mod slots;

pub use event::{Event, Status};
pub use lookup::{Decision, Forecast, Lookup, lookup};
pub use record::{ArmRecord, NodeRecord, RunRecord, list_runs, load_run};
pub use runner::{Options, RunError, run};
pub use scheduler::{Capacity, Command, Report, Scheduler};
pub use slots::MachineSlots;
