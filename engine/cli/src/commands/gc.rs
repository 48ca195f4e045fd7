//! `gc`, `pin`, `unpin`: what a store may forget.

use std::{path::Path, time::Duration};

use ablate_cache::Store;
use ablate_core::units::bytes;
use ablate_run::{KeepPolicy, StoredRun, kept_keys, set_pin, stored_runs};
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use serde_json::json;

use crate::{args::Gc, commands::find_run, error::CliError, print};

/// Shows what would go; removes it if asked.
pub(crate) fn gc(args: &Gc, root: &Path, json: bool) -> Result<(), CliError> {
    let policy = KeepPolicy {
        last: args.keep_last,
        age: args.older_than.map(days),
        bytes: args.max_bytes,
    };
    let store = match args.delete {
        true => Store::open_alone(root)?.ok_or_else(|| {
            let what =
                "other ablate processes use this store: nothing was removed, try again when they are done";
            CliError::Locked(what.into())
        })?,
        false => Store::open(root)?,
    };
    let runs = stored_runs(&store, policy)?;
    let mut garbage = store.garbage(&kept_keys(&runs))?;
    if let Some(age) = args.memo_older_than {
        garbage.paths.extend(store.unused_memo(days(age))?.paths);
    }
    if args.delete {
        store.collect(&garbage)?;
        for run in runs.iter().filter(|run| !run.kept) {
            fs_err::remove_dir_all(store.root().join("runs").join(&run.run))
                .map_err(ablate_cache::StoreError::from)?;
        }
    }
    let (size, memo) = (garbage.bytes(), store.memo_bytes()?);
    if json {
        print::json(
            &json!({"deleted": args.delete, "bytes": size, "paths": garbage.paths.len(),
                            "memo_bytes": memo, "runs": runs}),
        );
        return Ok(());
    }
    print::result(&table(&runs));
    let verb = if args.delete { "removed" } else { "would go" };
    print::result(&format!(
        "{} files {verb}: {}; the row memo holds {}",
        garbage.paths.len(),
        bytes(size),
        bytes(memo)
    ));
    let goes = size > 0 || runs.iter().any(|run| !run.kept);
    if !args.delete && goes {
        print::message("nothing was removed: add --delete");
    }
    Ok(())
}

fn days(days: f64) -> Duration {
    Duration::from_secs_f64(days * 86_400.0)
}

fn table(runs: &[StoredRun]) -> String {
    let mut table = Table::new();
    table
        .load_style(UTF8_HORIZONTAL_ONLY)
        .set_header(["run", "experiment", "leads to", ""]);
    for run in runs {
        let fate = match (run.pinned, run.kept) {
            (true, _) => "pinned",
            (false, true) => "kept",
            (false, false) => "goes",
        };
        table.add_row([run.run.as_str(), &run.experiment, &bytes(run.bytes), fate]);
    }
    table.to_string()
}

/// Pins a run or takes its pin away.
pub(crate) fn pin(store: &Store, wanted: &str, pinned: bool, json: bool) -> Result<(), CliError> {
    let run = find_run(store, wanted)?;
    set_pin(store, &run.id, pinned)?;
    if json {
        print::json(&json!({"run": run.id, "pinned": pinned}));
    } else {
        let what = if pinned {
            "is pinned"
        } else {
            "is no longer pinned"
        };
        print::result(&format!("{} {what}", run.id));
    }
    Ok(())
}
