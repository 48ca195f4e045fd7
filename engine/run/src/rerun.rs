//! A node computed a second time, to see whether it gives the same: what `verify --rerun` measures.

use std::time::Instant;

use ablate_cache::{OutputRecord, Store};
use ablate_core::StageError;
use ablate_plan::Plan;
use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch},
    compute::{kernels::cmp::distinct, or},
    datatypes::{DataType, Float32Type, Float64Type},
};
use petgraph::graph::NodeIndex;
use serde::Serialize;

use crate::{Decision, Event, Lookup, Options, execute::Purpose, host::store_error, runner::Runner};

/// An output as it was kept and as it came out again.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recomputed {
    /// The output port.
    pub port: String,
    /// Whether its content is the same.
    pub equal: bool,
    /// What differs, for tables.
    pub difference: Option<RowDifference>,
}

/// How two tables of one output differ.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RowDifference {
    /// Rows of the kept table.
    pub rows: usize,
    /// Rows of the new one.
    pub rows_again: usize,
    /// Rows that differ, where there are as many.
    pub different: usize,
    /// The columns of numbers that differ, with the largest absolute difference.
    pub largest: Vec<(String, f64)>,
}

/// Computes a node again from its kept inputs, its memoised rows too, and compares. Nothing of it is committed.
///
/// # Errors
/// If the node has no result yet, or computing fails.
pub fn rerun(
    plan: &Plan,
    store: &Store,
    lookup: &Lookup,
    options: &Options<'_>,
    node: NodeIndex,
    subscriber: &(dyn Fn(&Event) + Sync),
) -> Result<Vec<Recomputed>, StageError> {
    let Decision::Hit { trace, .. } = &lookup.decisions[&node] else {
        return Err(StageError::with_help(
            format!("`{}` has no result to compare with", plan.node(node).name),
            "run the experiment first",
        ));
    };
    let events = |event: Event| subscriber(&event);
    let runner = Runner::new(plan, store, lookup, options, &events);
    let _room = runner.room(node)?;
    let (again, _) = runner.compute(
        node,
        trace.key,
        trace.preimage.clone(),
        Instant::now(),
        Purpose::Comparison,
    )?;
    let compare = |kept: &OutputRecord| {
        let new = again.output(&kept.port);
        let new = new.ok_or_else(|| StageError::new(format!("`{}` was not written this time", kept.port)))?;
        compare(store, kept, new)
    };
    trace.outputs.iter().map(compare).collect()
}

fn compare(store: &Store, kept: &OutputRecord, new: &OutputRecord) -> Result<Recomputed, StageError> {
    let equal = kept.content == new.content;
    let difference = match equal || kept.kind.is_tree() {
        true => None,
        false => Some(row_difference(
            &store.read_rows(kept).map_err(store_error)?,
            &store.read_rows(new).map_err(store_error)?,
        )?),
    };
    Ok(Recomputed {
        port: kept.port.clone(),
        equal,
        difference,
    })
}

/// Row by row, in the order of their keys.
fn row_difference(kept: &RecordBatch, new: &RecordBatch) -> Result<RowDifference, StageError> {
    let mut found = RowDifference {
        rows: kept.num_rows(),
        rows_again: new.num_rows(),
        ..RowDifference::default()
    };
    if found.rows != found.rows_again {
        return Ok(found);
    }
    let mut different = BooleanArray::from(vec![false; found.rows]);
    for (field, (a, b)) in kept
        .schema()
        .fields()
        .iter()
        .zip(kept.columns().iter().zip(new.columns()))
    {
        different = or(&different, &distinct(a, b)?)?;
        let largest = largest_difference(a, b).filter(|largest| *largest > 0.0);
        found
            .largest
            .extend(largest.map(|largest| (field.name().clone(), largest)));
    }
    found.different = different.true_count();
    Ok(found)
}

fn largest_difference(a: &ArrayRef, b: &ArrayRef) -> Option<f64> {
    let numbers = |array: &ArrayRef| -> Option<Vec<Option<f64>>> {
        match array.data_type() {
            DataType::Float32 => Some(
                array
                    .as_primitive::<Float32Type>()
                    .iter()
                    .map(|x| x.map(f64::from))
                    .collect(),
            ),
            DataType::Float64 => Some(array.as_primitive::<Float64Type>().iter().collect()),
            _ => None,
        }
    };
    let pairs = numbers(a)?.into_iter().zip(numbers(b)?);
    Some(
        pairs
            .filter_map(|(a, b)| Some((a? - b?).abs()))
            .fold(0.0, f64::max),
    )
}
