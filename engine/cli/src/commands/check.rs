//! `check` and `plan`: what an experiment file says, before anything runs.

use ablate_cache::Store;
use ablate_run::{Forecast, load_run, lookup};
use serde_json::json;

use crate::{args::Experiment, error::CliError, load, print};

/// Finds every problem of a file.
pub(crate) fn check(args: &Experiment, json: bool) -> Result<(), CliError> {
    let loaded = load::load_plan(args)?;
    let (nodes, arms) = (loaded.plan.order.len(), loaded.plan.arms.len());
    if json {
        print::json(&json!({"ok": true, "nodes": nodes, "arms": arms, "warnings": loaded.warnings}));
    } else {
        print::result(&format!(
            "{} is fine: {nodes} nodes, {arms} evaluated",
            args.file.display()
        ));
    }
    Ok(())
}

/// Shows what would run and why.
pub(crate) fn plan(args: &Experiment, store: &Store, json: bool) -> Result<(), CliError> {
    let loaded = load::load_plan(args)?;
    let last = load_run(store, &loaded.experiment.name)?;
    let found = lookup(
        &loaded.plan,
        store,
        &loaded.places,
        &load::earlier(store, last.as_ref()),
    )?;
    found
        .warnings
        .iter()
        .for_each(|warning| print::message(&format!("warning: {warning}")));
    let rows = found.forecast(&loaded.plan);
    if json {
        print::json(&json!({"nodes": rows, "warnings": loaded.warnings}));
    } else {
        print::result(&text(&rows));
    }
    Ok(())
}

fn text(rows: &[Forecast]) -> String {
    let wide = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
    let kinds = rows.iter().map(|row| row.kind.len()).max().unwrap_or(0);
    let line = |row: &Forecast| {
        format!(
            "{:5}  {:wide$}  {:kinds$}  {}\n",
            row.decision, row.name, row.kind, row.reason
        )
    };
    let count = |decision| rows.iter().filter(|row| row.decision == decision).count();
    let lines: String = rows.iter().map(line).collect();
    format!(
        "{lines}\n{} nodes: {} reuse, {} run, {} maybe",
        rows.len(),
        count("reuse"),
        count("run"),
        count("maybe")
    )
}
