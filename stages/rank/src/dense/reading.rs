//! How an encoder reads texts.

use ablate_models::encoder::Prefixes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The parameters that the stages with an encoder share.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Reading {
    /// Tokens a text is cut at; the model's own limit if not given.
    #[serde(default)]
    #[schemars(range(min = 3))]
    pub(crate) max_length: Option<usize>,
    /// What stands before texts.
    #[serde(flatten)]
    pub(crate) prefixes: Prefixes,
    /// The first numbers of each vector that are kept (Matryoshka); all if not given.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub(crate) dim: Option<usize>,
}
