//! The stage `command`: any program, Parquet in, Parquet out. The way in for people's own Python.

mod child;
mod files;
mod stage;
mod tables;

pub use files::FILES_SOURCE;
pub use stage::Command;
