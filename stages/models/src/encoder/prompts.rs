//! What an encoder wants to stand before texts: e5's `query: ` and `passage: `, or the instructions of later models.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a text is to an encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Asks.
    Query,
    /// Is searched for.
    Document,
}

/// The prompts of a model, by role; empty where it has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompts {
    /// Stands before queries.
    pub query: String,
    /// Stands before documents.
    pub document: String,
}

/// Prompts as parameters of a stage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Prefixes {
    /// What stands before each query, its blank included, as `"query: "` for e5; the model's own prompt if not given.
    #[serde(default)]
    pub query_prefix: Option<String>,
    /// What stands before each document, its blank included, as `"passage: "` for e5; the model's own prompt if not given.
    #[serde(default)]
    pub document_prefix: Option<String>,
}

/// `config_sentence_transformers.json`, what there is of prompts.
#[derive(Deserialize)]
pub(super) struct Named {
    #[serde(default)]
    prompts: BTreeMap<String, Option<String>>,
}

impl Prompts {
    /// That of a role.
    pub fn of(&self, role: Role) -> &str {
        match role {
            Role::Query => &self.query,
            Role::Document => &self.document,
        }
    }

    /// Those by the names that `encode_query` and `encode_document` of sentence-transformers look for. An empty one hides no other:
    /// sentence-transformers 6.2 puts an empty `document` beside a model's `passage` and encodes documents without it.
    pub(super) fn named(named: &Named) -> Self {
        let said = |name: &&str| named.prompts.get(*name).cloned().flatten();
        let find = |names: &[&str]| names.iter().filter_map(said).find(|prompt| !prompt.is_empty());
        Self {
            query: find(&["query"]).unwrap_or_default(),
            document: find(&["document", "passage", "corpus"]).unwrap_or_default(),
        }
    }

    /// The same with those that are given.
    pub(super) fn replaced(&self, by: &Prefixes) -> Self {
        let choose = |given: &Option<String>, own: &String| given.as_ref().unwrap_or(own).clone();
        Self {
            query: choose(&by.query_prefix, &self.query),
            document: choose(&by.document_prefix, &self.document),
        }
    }
}
