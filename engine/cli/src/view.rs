//! From the record of a run and its store to what a page shows: traces of all nodes, rows of some.

mod curves;
mod hardness;
mod node;
mod samples;
mod spreads;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::collections::BTreeMap;

use ablate_cache::{OutputRecord, Store, Trace};
use ablate_core::ArtifactKind;
use ablate_html::RunPage;
use ablate_report::{Arm, QueryDifferences, by_query, legend};
use ablate_run::{NodeRecord, RunRecord};

use crate::{error::CliError, tables};

pub(crate) use node::node_view;

/// The nodes of a run with their traces, where these are still there.
pub(crate) struct Traced<'a> {
    /// In plan order.
    pub(crate) nodes: Vec<(&'a NodeRecord, Option<Trace>)>,
    by_name: BTreeMap<&'a str, usize>,
}

impl<'a> Traced<'a> {
    /// Reads the traces. A damaged one is none: the page tells what is known.
    pub(crate) fn of(run: &'a RunRecord, store: &Store) -> Self {
        let trace = |node: &NodeRecord| store.trace(node.key?).ok().flatten();
        Self {
            nodes: run.nodes.iter().map(|node| (node, trace(node))).collect(),
            by_name: run
                .nodes
                .iter()
                .enumerate()
                .map(|(at, node)| (node.name.as_str(), at))
                .collect(),
        }
    }

    /// The output that stands at an input port of `node`.
    fn input(&self, node: &NodeRecord, port: &str) -> Option<&OutputRecord> {
        let input = node.inputs.iter().find(|input| input.port == port)?;
        let (_, trace) = &self.nodes[*self.by_name.get(input.node.as_deref()?)?];
        trace.as_ref()?.output(&input.what)
    }

    /// All outputs of a kind that are still in the store, with their nodes.
    fn outputs<'t>(
        &'t self,
        store: &'t Store,
        kind: ArtifactKind,
    ) -> impl Iterator<Item = (&'a NodeRecord, &'t OutputRecord)> {
        self.nodes
            .iter()
            .flat_map(|(node, trace)| {
                trace
                    .iter()
                    .flat_map(move |trace| trace.outputs.iter().map(move |output| (*node, output)))
            })
            .filter(move |(_, output)| output.kind == kind && store.has_object(output.file))
    }
}

/// What the page of a run shows.
pub(crate) fn page(run: &RunRecord, store: &Store) -> Result<RunPage, CliError> {
    let traced = Traced::of(run, store);
    let options = tables::options(run)?;
    let arms = tables::arms(&run.arms, store);
    let made = arms.as_ref().map_err(ToString::to_string).and_then(|arms| {
        tables::table_from(&run.arms, &run.nodes, arms, &options).map_err(|error| error.to_string())
    });
    let mut warnings = run.warnings.clone();
    let first = made
        .as_ref()
        .ok()
        .and_then(|table| table.measures.first())
        .cloned();
    for warning in made.iter().flat_map(|table| &table.warnings) {
        if !warnings.contains(warning) {
            warnings.push(warning.clone());
        }
    }
    Ok(RunPage {
        id: run.id.clone(),
        experiment: run.experiment.clone(),
        file: run.file.clone(),
        started: run.started.clone(),
        seconds: run.seconds,
        version: run.version.clone(),
        interrupted: run.interrupted,
        nodes: traced
            .nodes
            .iter()
            .map(|(node, trace)| node_view(node, trace.as_ref(), store))
            .collect(),
        legend: made
            .as_ref()
            .map(|table| legend(table, &options))
            .unwrap_or_default(),
        table: made,
        by_query: best_first(&arms.unwrap_or_default(), &options, first.as_deref()),
        spreads: spreads::spreads(&traced, store)?,
        hardness: hardness::hardness(&traced, store)?,
        curves: curves::curves(&traced, store)?,
        pairs: samples::pairs(&traced, store)?,
        negatives: samples::negatives(&traced, store)?,
        warnings,
    })
}

/// The differences from baselines, the row that gains most first. What hinders them hinders the table, which tells it.
fn best_first(
    arms: &[Arm],
    options: &ablate_report::Options,
    measure: Option<&str>,
) -> Vec<QueryDifferences> {
    let mut found = measure
        .and_then(|measure| by_query(arms, options, measure).ok())
        .unwrap_or_default();
    let gain = |compared: &QueryDifferences| compared.queries.iter().map(|(_, value)| value).sum::<f64>();
    found.sort_by(|a, b| gain(b).total_cmp(&gain(a)));
    found
}
