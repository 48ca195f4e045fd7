//! `runs`: what was run in a store.

use ablate_cache::Store;
use ablate_run::{RunRecord, list_runs};
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use serde_json::json;

use crate::{error::CliError, print};

/// Lists the runs, oldest first.
pub(crate) fn runs(store: &Store, json: bool) -> Result<(), CliError> {
    let runs = list_runs(store)?;
    if json {
        let row = |run: &RunRecord| {
            json!({"run": run.id, "experiment": run.experiment, "file": run.file, "started": run.started,
                   "seconds": run.seconds, "interrupted": run.interrupted, "nodes": run.counts()})
        };
        print::json(&runs.iter().map(row).collect::<Vec<_>>());
        return Ok(());
    }
    let mut table = Table::new();
    table
        .load_style(UTF8_HORIZONTAL_ONLY)
        .set_header(["run", "experiment", "started", "seconds", "nodes"]);
    for run in &runs {
        let counts: Vec<_> = run
            .counts()
            .into_iter()
            .map(|(status, n)| format!("{n} {status}"))
            .collect();
        let seconds = format!("{:.1}", run.seconds);
        table.add_row([
            run.id.clone(),
            run.experiment.clone(),
            run.started.clone(),
            seconds,
            counts.join(", "),
        ]);
    }
    print::result(&table.to_string());
    Ok(())
}
