//! How scores of generated queries are spread, and what filters kept of them.

use std::collections::BTreeSet;

use ablate_cache::{OutputRecord, Store};
use ablate_core::ArtifactKind;
use ablate_html::Spread;
use ablate_run::NodeRecord;
use arrow::{
    array::{Array, cast::AsArray},
    datatypes::Float32Type,
};

use super::Traced;
use crate::error::CliError;

/// The most distributions a page shows.
const MOST: usize = 24;
/// The most rows of an artifact that are looked at.
const ROWS: usize = 200_000;

/// One distribution for every filter, and for what was generated and never filtered.
pub(super) fn spreads(traced: &Traced<'_>, store: &Store) -> Result<Vec<Spread>, CliError> {
    let mut found = Vec::new();
    let mut filtered = BTreeSet::new();
    for (node, output) in traced
        .outputs(store, ArtifactKind::Pairs)
        .filter(|(node, _)| node.kind == "filter")
    {
        let Some(input) = traced
            .input(node, "pairs")
            .filter(|input| store.has_object(input.file))
        else {
            continue;
        };
        filtered.insert(input.file);
        if found.len() < MOST {
            found.extend(filter(node, input, output, store)?);
        }
    }
    for (node, output) in traced
        .outputs(store, ArtifactKind::Pairs)
        .filter(|(node, _)| node.kind != "filter")
    {
        if found.len() < MOST && filtered.insert(output.file) {
            found.extend(whole(node, output, store)?);
        }
    }
    Ok(found)
}

fn filter(
    node: &NodeRecord,
    input: &OutputRecord,
    output: &OutputRecord,
    store: &Store,
) -> Result<Option<Spread>, CliError> {
    let by = node
        .params
        .get("by")
        .and_then(|by| by.as_str())
        .unwrap_or("mean_logprob");
    let kept_ids: BTreeSet<String> = values(store, output, by)?.into_iter().map(|(id, _)| id).collect();
    let (kept, dropped): (Vec<_>, Vec<_>) = values(store, input, by)?
        .into_iter()
        .partition(|(id, _)| kept_ids.contains(id));
    let numbers = |rows: Vec<(String, Option<f64>)>| {
        rows.into_iter()
            .filter_map(|(_, value)| value)
            .collect::<Vec<_>>()
    };
    let (kept, dropped) = (numbers(kept), numbers(dropped));
    if kept.is_empty() {
        return Ok(None);
    }
    let least = kept.iter().copied().fold(f64::INFINITY, f64::min);
    Ok(Some(Spread {
        node: node.name.clone(),
        by: words(by),
        cut: Some((least, format!("least kept {least:.3}").replace('-', "−"))),
        kept,
        dropped,
    }))
}

fn whole(node: &NodeRecord, output: &OutputRecord, store: &Store) -> Result<Option<Spread>, CliError> {
    for by in ["score", "mean_logprob"] {
        let kept: Vec<f64> = values(store, output, by)?
            .into_iter()
            .filter_map(|(_, value)| value)
            .collect();
        if !kept.is_empty() {
            return Ok(Some(Spread {
                node: node.name.clone(),
                by: words(by),
                kept,
                dropped: vec![],
                cut: None,
            }));
        }
    }
    Ok(None)
}

fn words(by: &str) -> String {
    if by == "score" {
        "score".into()
    } else {
        "mean log-probability".into()
    }
}

/// Query ids with the values of a column of pairs.
fn values(
    store: &Store,
    output: &OutputRecord,
    column: &str,
) -> Result<Vec<(String, Option<f64>)>, CliError> {
    let mut rows = Vec::new();
    for batch in store.stream_rows(output, Some(&["query_id", column]), 0)? {
        let batch = batch?;
        let (ids, numbers) = (
            batch.column(0).as_string::<i32>(),
            batch.column(1).as_primitive::<Float32Type>(),
        );
        let value = |at: usize| numbers.is_valid(at).then(|| f64::from(numbers.value(at)));
        rows.extend((0..batch.num_rows()).map(|at| (ids.value(at).to_owned(), value(at))));
        if rows.len() >= ROWS {
            break;
        }
    }
    Ok(rows)
}
