//! `diff`: what changed between two runs, beside what moved.

use ablate_cache::Store;
use ablate_report::{NodeRecord, RunView, diff_text};
use ablate_run::RunRecord;

use crate::{args, commands::find_run, error::CliError, print, tables};

/// Compares two runs.
pub(crate) fn diff(args: &args::Diff, store: &Store, json: bool) -> Result<(), CliError> {
    let before = view(&find_run(store, &args.before)?, store)?;
    let after = view(&find_run(store, &args.after)?, store)?;
    let diff = ablate_report::diff(&before, &after);
    if json {
        print::json(&diff)
    } else {
        print::result(&diff_text(&diff))
    }
    Ok(())
}

/// What a comparison sees of a run.
pub(super) fn view(run: &RunRecord, store: &Store) -> Result<RunView, CliError> {
    let mut nodes = Vec::new();
    for node in &run.nodes {
        let trace = node.key.map(|key| store.trace(key)).transpose()?.flatten();
        let preimage = trace
            .and_then(|trace| serde_json::to_value(trace.preimage).ok())
            .unwrap_or_default();
        nodes.push(NodeRecord {
            name: node.name.clone(),
            kind: node.kind.clone(),
            recipe: node.recipe.to_string(),
            key: node.key.map(|key| key.to_string()),
            preimage,
        });
    }
    Ok(RunView {
        id: run.id.clone(),
        nodes,
        arms: tables::arms(run, store)?,
    })
}
