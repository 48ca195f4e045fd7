//! From the record of a run to its table.

use std::collections::BTreeSet;

use ablate_cache::Store;
use ablate_core::{Record, rows::Score};
use ablate_measure::columns;
use ablate_report::{Arm, Missing, Options, QueryScore, Table, table};
use ablate_run::{ArmRecord, NodeRecord, RunRecord};
use serde::Deserialize;
use serde_json::Value;

use crate::error::CliError;

/// The arms that finished, with their per-query scores.
pub(crate) fn arms(records: &[ArmRecord], store: &Store) -> Result<Vec<Arm>, CliError> {
    records
        .iter()
        .filter(|arm| arm.key.is_some())
        .map(|arm| read_arm(arm, store))
        .collect()
}

fn read_arm(arm: &ArmRecord, store: &Store) -> Result<Arm, CliError> {
    let gone = || {
        CliError::Failed(format!(
            "error: the scores of `{}` are no longer in the store: run it again",
            arm.system
        ))
    };
    let key = arm.key.ok_or_else(gone)?;
    let trace = store.trace(key)?.ok_or_else(gone)?;
    let output = trace
        .outputs
        .first()
        .filter(|output| store.has_object(output.file))
        .ok_or_else(gone)?;
    let scores =
        Score::decode(&store.read_rows(output)?).map_err(|error| CliError::Failed(error.to_string()))?;
    let measures: BTreeSet<&String> = scores.iter().map(|score| &score.measure).collect();
    let counts = measures
        .into_iter()
        .filter(|name| is_count(name))
        .cloned()
        .collect();
    let score = |s: Score| QueryScore {
        query_id: s.query_id,
        measure: s.measure,
        value: s.value,
    };
    Ok(Arm {
        system: arm.system.clone(),
        collection: arm.collection.clone(),
        point: arm.place.point.clone(),
        replicate: arm.place.replicate.clone(),
        key: key.to_string(),
        scores: scores.into_iter().map(score).collect(),
        counts,
        qrels: arm.qrels.clone(),
        models: arm.models.clone(),
        negatives: arm.negatives,
    })
}

/// Whether a measure counts. One that a program of the user's own has made up does not.
fn is_count(measure: &str) -> bool {
    columns(measure).is_ok_and(|columns| columns.iter().all(|column| column.measure.is_count()))
}

/// What the `report:` of a run's file asked for.
pub(crate) fn options(run: &RunRecord) -> Result<Options, CliError> {
    options_from(&run.report, &format!("run {}", run.id))
}

/// A `report:` as the table takes it; `of` says whose it is.
pub(crate) fn options_from(report: &Value, of: &str) -> Result<Options, CliError> {
    Options::deserialize(report).map_err(|error| {
        CliError::Failed(format!(
            "error: the `report` of {of} cannot be read: {error}: run the experiment again"
        ))
    })
}

/// The table of a run.
pub(crate) fn table_of(run: &RunRecord, store: &Store) -> Result<Table, CliError> {
    table_from(&run.arms, &run.nodes, &arms(&run.arms, store)?, &options(run)?)
}

/// The table of arms whose scores were read.
pub(crate) fn table_from(
    records: &[ArmRecord],
    nodes: &[NodeRecord],
    arms: &[Arm],
    options: &Options,
) -> Result<Table, CliError> {
    let made = table(arms, options).map_err(|error| CliError::Failed(format!("error: {error}")))?;
    Ok(Table {
        missing: records.iter().filter_map(|arm| missing(arm, nodes)).collect(),
        ..made
    })
}

/// An arm that did not finish, with what became of its node.
fn missing(arm: &ArmRecord, nodes: &[NodeRecord]) -> Option<Missing> {
    let node = nodes.iter().find(|node| node.name == arm.node);
    let reason = match (arm.key, node) {
        (Some(_), _) => return None,
        (None, Some(node)) => node.reason.clone(),
        (None, None) => String::new(),
    };
    Some(Missing {
        system: arm.system.clone(),
        collection: arm.collection.clone(),
        point: arm.place.point.clone(),
        replicate: arm.place.replicate.clone(),
        reason,
    })
}
