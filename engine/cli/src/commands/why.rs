//! `why`: what a node's key differs in from the nearest earlier one, and what a change would re-run.

use ablate_cache::Store;
use ablate_run::{Decision, History, Lookup, lookup};
use serde_json::json;

use crate::{
    args::{self, Why},
    error::CliError,
    load::{self, Loaded},
    print,
};

/// Explains one node, or with `--if` shows the blast radius of a change.
pub(crate) fn why(args: &Why, store: &Store, json: bool) -> Result<(), CliError> {
    let loaded = load::load_plan(&args.experiment)?;
    let found = look(&loaded, store)?;
    if !args.changes.is_empty() {
        return radius(args, store, &found, &loaded, json);
    }
    let Some(name) = &args.node else {
        return Err(CliError::Usage(
            "name a node, or a change with --if FIELD=VALUE".into(),
        ));
    };
    let index = loaded.node(name)?;
    let history = History::read(store)?;
    let (decision, lines) = explain(&found.decisions[&index], &history);
    if json {
        print::json(&json!({"node": name, "decision": decision, "changes": lines}));
    } else {
        print::result(&format!("{name}: {decision}"));
        lines.iter().for_each(|line| print::result(&format!("  {line}")));
    }
    Ok(())
}

fn look(loaded: &Loaded, store: &Store) -> Result<Lookup, CliError> {
    Ok(lookup(&loaded.plan, store, &loaded.places, &|_| None)?)
}

fn explain(decision: &Decision, history: &History) -> (String, Vec<String>) {
    match decision {
        Decision::Hit { trace, .. } => {
            let at = jiff::Timestamp::from_second(trace.finished as i64)
                .map_or_else(|_| "?".into(), |at| at.to_string());
            let what = format!("reuse, computed {at} on {} in {:.1} s", trace.host, trace.seconds);
            (what, vec![format!("key {}", trace.key)])
        }
        Decision::Maybe { reason } => (format!("maybe: {reason}"), vec![]),
        Decision::Run { preimage, reason } => match history.nearest(preimage) {
            None => ("run: no node of this kind was ever computed here".into(), vec![]),
            Some((_, changes)) if changes.is_empty() => (format!("run: {reason}"), vec![]),
            Some((trace, changes)) => {
                let near = trace.key.0.short();
                (
                    format!("run: it differs from the nearest earlier key {near} in"),
                    changes,
                )
            }
        },
    }
}

/// The nodes that a change would make run.
fn radius(args: &Why, store: &Store, found: &Lookup, loaded: &Loaded, json: bool) -> Result<(), CliError> {
    let mut sets = args.experiment.sets.clone();
    sets.extend(args.changes.iter().cloned());
    let changed = load::load_plan(&args::Experiment {
        file: args.experiment.file.clone(),
        sets,
        only: args.experiment.only.clone(),
    })?;
    let now = look(&changed, store)?;
    let reused: std::collections::BTreeSet<_> = loaded
        .plan
        .order
        .iter()
        .filter(|index| matches!(found.decisions[index], Decision::Hit { .. }))
        .map(|index| loaded.plan.node(*index).recipe)
        .collect();
    let rows = now.forecast(&changed.plan);
    let nodes = changed.plan.order.iter().zip(&rows);
    let new: Vec<_> = nodes
        .filter(|(index, row)| {
            row.decision != "reuse" && !reused.contains(&changed.plan.node(**index).recipe)
        })
        .map(|(_, row)| row)
        .collect();
    if json {
        print::json(&json!({"nodes": new, "of": rows.len()}));
        return Ok(());
    }
    for row in &new {
        print::result(&format!("{:5}  {}  {}", row.decision, row.name, row.reason));
    }
    print::result(&format!(
        "{} of {} nodes would run or may run",
        new.len(),
        rows.len()
    ));
    Ok(())
}
