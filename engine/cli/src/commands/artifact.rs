//! The artifact that a user named by its run, its node and its port.

use ablate_cache::{OutputRecord, Store, Trace};
use ablate_core::similar;
use ablate_registry::STAGES;
use ablate_run::NodeRecord;

use crate::{args::Artifact, commands::find_run, error::CliError};

/// An artifact of a run.
pub(super) struct Found {
    /// The name of its node.
    pub(super) node: String,
    pub(super) output: OutputRecord,
}

/// Looks for what was named.
pub(super) fn find(args: &Artifact, store: &Store) -> Result<Found, CliError> {
    let run = find_run(store, &args.run)?;
    let node = find_node(&run.nodes, &args.node)?;
    let outputs = trace_of(store, node)?.outputs;
    Ok(Found {
        node: node.name.clone(),
        output: find_output(outputs, args.port.as_deref(), node)?,
    })
}

/// What a node left in the store.
fn trace_of(store: &Store, node: &NodeRecord) -> Result<Trace, CliError> {
    let gone = || {
        CliError::Failed(format!(
            "error: `{}` left no result in this run: {}",
            node.name, node.reason
        ))
    };
    store.trace(node.key.ok_or_else(gone)?)?.ok_or_else(gone)
}

/// The node of a run that a user named.
pub(super) fn find_node<'a>(nodes: &'a [NodeRecord], wanted: &str) -> Result<&'a NodeRecord, CliError> {
    let first_of_stage = |node: &&NodeRecord| node.name.split('[').next() == Some(wanted);
    let found = nodes
        .iter()
        .find(|node| node.name == wanted)
        .or_else(|| nodes.iter().find(first_of_stage));
    found.ok_or_else(|| {
        let near = similar(wanted, nodes.iter().map(|node| node.name.as_str()));
        let names = if near.is_empty() {
            nodes.iter().map(|n| n.name.as_str()).collect()
        } else {
            near
        };
        CliError::Usage(format!(
            "the run has no node `{wanted}`; there is {}",
            names.join(", ")
        ))
    })
}

/// The output at a port; where none is named, the one that the bare name of a stage of this kind stands for.
fn find_output(
    outputs: Vec<OutputRecord>,
    port: Option<&str>,
    node: &NodeRecord,
) -> Result<OutputRecord, CliError> {
    let ports: Vec<_> = outputs.iter().map(|output| output.port.as_str()).collect();
    let none = CliError::Usage(format!("`{}` has the outputs {}", node.name, ports.join(", ")));
    let kind = STAGES.iter().find(|kind| kind.name() == node.kind);
    let first = kind.and_then(|kind| Some(kind.outputs().first()?.name));
    let wanted = port.or(first);
    let is_wanted = |output: &OutputRecord| wanted.is_none_or(|port| output.port == port);
    outputs.into_iter().find(is_wanted).ok_or(none)
}
