//! What models of the catalogue are used for.

use ablate_core::{Ports, Problems};

use super::catalogue;

/// What reads a text into a vector.
pub const ENCODER: &str = "encoder";
/// What reads a query and a document together.
pub const RERANKER: &str = "reranker";
/// What writes.
pub const GENERATOR: &str = "generator";

/// Refuses a model of the catalogue at `port` that is used for something else; of others nothing is known.
pub fn require_role(role: &str, port: &str, ports: &Ports<'_>, problems: &mut Problems) {
    let name = ports.source(port).unwrap_or_default();
    let entry = catalogue().iter().find(|entry| entry.name == name);
    let Some(entry) = entry.filter(|entry| entry.role != role) else {
        return;
    };
    let fitting = catalogue().iter().filter(|entry| entry.role == role);
    let names: Vec<_> = fitting.map(|entry| entry.name).collect();
    let (own, names) = (entry.role, names.join(", "));
    let message = format!(
        "takes a model of the role {role}, and `{name}` is of the role {own}: the catalogue has {names}"
    );
    problems.require(false, port, message);
}
