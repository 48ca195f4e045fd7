//! What users of experiment files see.
#![allow(clippy::unwrap_used)]

mod experiment;
mod fakes;
mod problems;
mod robust;
mod sweep;
mod syntax;
