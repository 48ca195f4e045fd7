//! `verify`: every byte, checksum and key of the store, or one node computed again.

use std::path::Path;

use ablate_cache::{FlushPolicy, Store};
use ablate_run::{Helpers, Options, Recomputed, lookup, rerun};
use serde_json::json;

use crate::{
    args::{self, Verify},
    error::CliError,
    load, machine, places, print,
    progress::Progress,
};

/// Checks the store, or with `--rerun` a node; damage and differences are errors.
pub(crate) fn verify(args: &Verify, store: &Store, json: bool) -> Result<(), CliError> {
    match (&args.rerun, &args.file) {
        (Some(node), Some(file)) => again(node, file, args, store, json),
        _ => whole(store, json),
    }
}

fn whole(store: &Store, json: bool) -> Result<(), CliError> {
    let seen = store.verify()?;
    let lines: Vec<_> = seen
        .findings
        .iter()
        .map(|found| format!("{}: {}", found.path.display(), found.what))
        .collect();
    if json {
        print::json(
            &json!({"traces": seen.traces, "objects": seen.objects, "segments": seen.segments, "removed": seen.removed, "findings": lines}),
        );
    } else {
        lines.iter().for_each(|line| print::result(line));
        print::message(&format!(
            "{} traces ({} with their result removed), {} objects, {} memo segments, {} findings",
            seen.traces,
            seen.removed,
            seen.objects,
            seen.segments,
            lines.len()
        ));
    }
    match seen.findings.into_iter().next() {
        None => Ok(()),
        Some(first) => Err(ablate_cache::StoreError::Damaged {
            path: first.path,
            what: first.what,
        }
        .into()),
    }
}

fn again(name: &str, file: &Path, args: &Verify, store: &Store, json: bool) -> Result<(), CliError> {
    let loaded = load::load_plan(&args::Experiment {
        file: file.to_owned(),
        sets: args.sets.clone(),
        only: vec![],
    })?;
    let node = loaded.node(name)?;
    let found = lookup(&loaded.plan, store, &loaded.places, &|_| None)?;
    let device = machine::devices(&[args.device])?[0];
    let options = Options {
        id: "verify",
        experiment: &loaded.experiment.name,
        log_folder: store.root().join("runs"),
        places: &loaded.places,
        device,
        helpers: Helpers::default(),
        capacity: machine::capacity(None),
        slots: machine::slots(device, 1, None),
        allow_leakage: &loaded.experiment.allow_leakage,
        host: places::host(),
        flush: FlushPolicy::default(),
        stop: &*machine::interrupt_flag()?,
    };
    let progress = Progress::new();
    let outputs = rerun(&loaded.plan, store, &found, &options, node, &|event| {
        progress.show(event)
    })?;
    if json {
        print::json(&json!({"node": name, "outputs": outputs}));
    } else {
        outputs
            .iter()
            .for_each(|output| print::result(&format!("{name}.{}", words(output))));
    }
    match outputs.iter().all(|output| output.equal) {
        true => Ok(()),
        false => Err(CliError::Different(format!(
            "`{name}` came out differently: another device, instruction set or library may compute other bits"
        ))),
    }
}

/// `run: 3 of 500 rows differ; score by at most 1e-6`.
fn words(output: &Recomputed) -> String {
    let port = &output.port;
    match &output.difference {
        None if output.equal => format!("{port}: equal"),
        None => format!("{port}: its files differ"),
        Some(found) if found.rows != found.rows_again => {
            format!("{port}: {} rows, {} this time", found.rows, found.rows_again)
        }
        Some(found) => {
            let largest = found
                .largest
                .iter()
                .map(|(column, by)| format!("; {column} by at most {by:.1e}"));
            let columns: String = largest.collect();
            format!(
                "{port}: {} of {} rows differ{columns}",
                found.different, found.rows
            )
        }
    }
}
