//! The kinds of artifact that flow between stages.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an artifact is. Tables have a fixed schema and sort key (see [`crate::rows`]); trees are folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ArtifactKind {
    /// Documents.
    Corpus,
    /// Queries.
    Queries,
    /// Relevance judgements.
    Qrels,
    /// Ranked results.
    Run,
    /// Synthetic queries with the document each was made from.
    Pairs,
    /// Query, positive and hard negative, with their texts.
    Triples,
    /// Prompts with a completion to prefer and one to avoid.
    Preferences,
    /// An inverted index: a folder.
    Index,
    /// Vectors of documents or queries.
    Vectors,
    /// Ranks and similarities of the negatives of triples.
    Hardness,
    /// Per-query values of measures.
    Scores,
    /// A model folder: safetensors, config.json, tokenizer.json.
    Model,
    /// A prompt: its template and shots.
    Prompt,
    /// Training loss and gradient norm by step.
    Curve,
    /// Prompts that were tried, and what each was worth.
    Trials,
}

impl ArtifactKind {
    /// The name used in files, keys and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Corpus => "corpus",
            Self::Queries => "queries",
            Self::Qrels => "qrels",
            Self::Run => "run",
            Self::Pairs => "pairs",
            Self::Triples => "triples",
            Self::Preferences => "preferences",
            Self::Index => "index",
            Self::Vectors => "vectors",
            Self::Hardness => "hardness",
            Self::Scores => "scores",
            Self::Model => "model",
            Self::Prompt => "prompt",
            Self::Curve => "curve",
            Self::Trials => "trials",
        }
    }

    /// Whether the artifact is a folder rather than a table.
    pub fn is_tree(self) -> bool {
        matches!(self, Self::Model | Self::Index)
    }
}

impl fmt::Display for ArtifactKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
