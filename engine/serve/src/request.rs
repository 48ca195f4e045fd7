//! What was asked for.

use std::collections::BTreeMap;

/// A request that passed all checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The path, decoded, without empty parts: `/run/x/` is `["run", "x"]`. No part is `.`, `..` or holds a separator.
    pub path: Vec<String>,
    /// The query, decoded; of a name that stands twice the last.
    pub query: BTreeMap<String, String>,
}

impl Request {
    /// A value of the query; empty where there is none.
    pub fn value(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }
}
