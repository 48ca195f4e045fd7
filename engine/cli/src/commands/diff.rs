//! `diff`: what changed between two runs, files or points, beside what moved.

use std::collections::{BTreeMap, BTreeSet};

use ablate_cache::{OutputRecord, Store};
use ablate_core::{ArtifactKind, Record, rows::Query};
use ablate_report::{Diff, Moved, NodeChange, RowChanges, diff_text, row_changes};

use crate::{
    args,
    error::CliError,
    print,
    sides::{self, Side},
};

/// Tables of more rows are not compared row by row.
const MOST_ROWS: u64 = 200_000;
/// Nodes whose rows are looked at: the first that changed, where the cause lies.
const MOST_NODES: usize = 8;
/// Below it a move is significant.
const LEVEL: f64 = 0.05;

/// Compares two sides; with `--check` a significant move is an error, and so is what could not be compared.
pub(crate) fn diff(args: &args::Diff, store: &Store, json: bool) -> Result<(), CliError> {
    let (before, after) = (
        sides::find(&args.before, store)?,
        sides::find(&args.after, store)?,
    );
    let diff = compare(&before, &after, store)?;
    if json {
        print::json(&diff);
    } else {
        print::result(&diff_text(&diff));
    }
    let told = if args.check { alarms(&diff) } else { Vec::new() };
    match told.is_empty() {
        true => Ok(()),
        false => Err(CliError::Different(told.join("\n"))),
    }
}

/// Why two sides do not count as equal.
fn alarms(diff: &Diff) -> Vec<String> {
    let significant = |figure: &&Moved| figure.p.is_some_and(|p| p < LEVEL);
    let moved = diff.figures.iter().filter(significant).count();
    let alone = diff.one_sided.len();
    let compared = diff.figures.len() + diff.unchanged;
    let moved = (moved > 0).then(|| format!("{moved} figures moved significantly"));
    let alone = (alone > 0).then(|| format!("{alone} rows or figures stand on one side only"));
    let nothing = (compared == 0).then(|| "there was no figure to compare".to_owned());
    [moved, alone, nothing].into_iter().flatten().collect()
}

/// Everything that differs, with rows and texts.
pub(crate) fn compare(before: &Side, after: &Side, store: &Store) -> Result<Diff, CliError> {
    let mut diff = ablate_report::diff(&before.view(store)?, &after.view(store)?, &after.options);
    compare_rows(&mut diff.changed, before, after, store)?;
    add_texts(&mut diff, after, store)?;
    Ok(diff)
}

/// Looks at the rows of the first nodes that came to another result.
fn compare_rows(
    changed: &mut [NodeChange],
    before: &Side,
    after: &Side,
    store: &Store,
) -> Result<(), CliError> {
    let mut left = MOST_NODES;
    for change in changed.iter_mut().filter(|change| !change.same_result) {
        let (Some(old), Some(new)) = (before.node(&change.name), after.node(&change.name)) else {
            continue;
        };
        let (old, new) = (outputs(old.key, store)?, outputs(new.key, store)?);
        for output in &new {
            let earlier = old.iter().find(|other| other.port == output.port);
            let earlier = earlier.filter(|other| other.content != output.content);
            let Some(earlier) = earlier.filter(|_| left > 0) else {
                continue;
            };
            if let Some(rows) = rows(earlier, output, store)? {
                change.rows.insert(output.port.clone(), rows);
                left -= 1;
            }
        }
    }
    Ok(())
}

fn outputs(key: Option<ablate_core::ActionKey>, store: &Store) -> Result<Vec<OutputRecord>, CliError> {
    let trace = key.map(|key| store.trace(key)).transpose()?.flatten();
    Ok(trace.map(|trace| trace.outputs).unwrap_or_default())
}

fn rows(before: &OutputRecord, after: &OutputRecord, store: &Store) -> Result<Option<RowChanges>, CliError> {
    let readable = |output: &OutputRecord| {
        output.rows.is_some_and(|rows| rows <= MOST_ROWS) && store.has_object(output.file)
    };
    if before.kind != after.kind || !readable(before) || !readable(after) {
        return Ok(None);
    }
    let (old, new) = (store.read_rows(before)?, store.read_rows(after)?);
    row_changes(after.kind, &old, &new).map_err(|error| CliError::Failed(format!("error: {error}")))
}

/// Puts the text of the queries that moved beside their ids.
fn add_texts(diff: &mut Diff, side: &Side, store: &Store) -> Result<(), CliError> {
    let movers = || diff.figures.iter().flat_map(|figure| &figure.movers);
    let wanted: BTreeSet<String> = movers().map(|mover| mover.query_id.clone()).collect();
    let texts = if wanted.is_empty() {
        BTreeMap::new()
    } else {
        texts(&wanted, side, store)?
    };
    for mover in diff.figures.iter_mut().flat_map(|figure| &mut figure.movers) {
        mover.text = texts.get(&mover.query_id).cloned();
    }
    Ok(())
}

/// The texts of queries, from whatever queries the nodes of a side hold.
fn texts(
    wanted: &BTreeSet<String>,
    side: &Side,
    store: &Store,
) -> Result<BTreeMap<String, String>, CliError> {
    let mut found = BTreeMap::new();
    for node in &side.nodes {
        let outputs = outputs(node.key, store)?;
        let queries = outputs
            .iter()
            .filter(|output| output.kind == ArtifactKind::Queries);
        for output in queries.filter(|output| store.has_object(output.file)) {
            if found.len() == wanted.len() {
                return Ok(found);
            }
            let rows = Query::decode(&store.read_rows(output)?);
            let rows = rows.map_err(|error| CliError::Failed(format!("error: {error}")))?;
            let asked = rows.into_iter().filter(|query| wanted.contains(&query.query_id));
            found.extend(asked.map(|query| (query.query_id, query.text)));
        }
    }
    Ok(found)
}
