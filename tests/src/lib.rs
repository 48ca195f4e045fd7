//! End-to-end tests of the workspace as a whole, one binary: dependency rules, documents, command transcripts.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test that cannot go on panics"
)]

pub mod http;
pub mod program;

#[cfg(test)]
mod dependencies;
#[cfg(test)]
mod documents;

/// The root of the workspace.
#[cfg(test)]
fn root() -> &'static std::path::Path {
    std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
