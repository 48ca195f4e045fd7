//! `run`: an experiment to its table.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::Ordering,
    time::Instant,
};

use ablate_cache::Store;
use ablate_core::{DeviceChoice, Part};
use ablate_report::{Expected, judge};
use ablate_run::{Helpers, NOT_ASKED_FOR, NodeRecord, Options, RunRecord, Status, load_run, lookup};
use jiff::{ToSpan, civil::DateTime};
use serde_json::{Value, json};

use crate::{
    args::Run,
    commands::check_results::{contradictions, expected},
    error::CliError,
    load::{self, Loaded},
    machine, places, print,
    progress::Progress,
    tables,
};

/// Runs an experiment and prints its table.
pub(crate) fn run(args: &Run, store: &Store, json: bool) -> Result<(), CliError> {
    let began = Instant::now();
    let devices = machine::devices(&args.device)?;
    let device = devices[0];
    let beside = devices.iter().filter(|other| **other == device).count();
    let helpers = helpers(args, &devices[1..], store)?;
    let loaded = load::load_plan(&args.experiment)?;
    let started = jiff::Zoned::now();
    let log_folder = log_folder(store);
    let id = run_id(&log_folder, started.datetime());
    let stop = machine::interrupt_flag()?;
    let last = load_run(store, &loaded.experiment.name)?;
    let found = lookup(
        &loaded.plan,
        store,
        &loaded.places,
        &load::earlier(store, last.as_ref()),
    )?;
    let options = Options {
        id: &id,
        experiment: &loaded.experiment.name,
        log_folder: log_folder.clone(),
        places: &loaded.places,
        device,
        helpers,
        capacity: machine::capacity(args.jobs),
        slots: machine::slots(device, beside, args.memory),
        allow_leakage: &loaded.experiment.allow_leakage,
        host: places::host(),
        flush: machine::flush(&args.flush),
        stop: &stop,
    };
    let progress = Progress::new();
    let (nodes, mut warnings) = ablate_run::run(&loaded.plan, store, &found, &options, &|event| {
        progress.show(event)
    })?;
    warnings.splice(0..0, loaded.warnings.iter().cloned());
    let mut record = RunRecord {
        id,
        experiment: loaded.experiment.name.clone(),
        file: args.experiment.file.display().to_string(),
        started: started.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        seconds: began.elapsed().as_secs_f64(),
        version: env!("CARGO_PKG_VERSION").into(),
        interrupted: stop.load(Ordering::Relaxed),
        arms: ablate_run::arm_records(&loaded.plan, &nodes, store)?,
        nodes,
        report: report(&loaded),
        warnings,
    };
    let expected = expected(&loaded.experiment.expect);
    finish(&mut record, &expected, store, &log_folder, json)
}

/// A helper on each of `devices`, started with the arguments this run was.
fn helpers(args: &Run, devices: &[DeviceChoice], store: &Store) -> Result<Helpers, CliError> {
    let file = &args.experiment.file;
    if !devices.is_empty() && !file.is_file() {
        let told = format!(
            "{}: several devices need a file that can be read again",
            file.display()
        );
        return Err(CliError::Usage(told));
    }
    let program = std::env::current_exe().map_err(|error| CliError::Failed(format!("error: {error}")))?;
    let of = devices.len() as u32 + 1;
    let helper = |(number, device): (u32, &DeviceChoice)| {
        let mut command = Command::new(&program);
        command.arg("helper").arg(file).arg("--store").arg(store.root());
        command.args(["--device", &device.to_string()]);
        command.args(["--part", &Part::new(number, of).to_string()]);
        command.args(repeated(args));
        command
    };
    Ok(Helpers::new((1..).zip(devices).map(helper).collect()))
}

/// What a helper is told as this run was.
fn repeated(args: &Run) -> Vec<String> {
    let mut all = Vec::new();
    let pairs = [
        ("--set", &args.experiment.sets),
        ("--only", &args.experiment.only),
    ];
    for (option, pairs) in pairs {
        let told = |(name, value): &(String, String)| [option.to_owned(), format!("{name}={value}")];
        all.extend(pairs.iter().flat_map(told));
    }
    let mut value = |option: &str, value: String| all.extend([option.to_owned(), value]);
    value("--flush-seconds", args.flush.flush_seconds.to_string());
    value("--flush-rows", args.flush.flush_rows.to_string());
    if let Some(memory) = args.memory {
        value("--memory", memory.to_string());
    }
    all
}

/// Prints the table, saves the record, and tells how it ended. A table that cannot be made costs nothing else.
fn finish(
    record: &mut RunRecord,
    expected: &[Expected],
    store: &Store,
    log_folder: &Path,
    json: bool,
) -> Result<(), CliError> {
    let made = tables::table_of(record, store);
    if let Ok(table) = &made {
        record.warnings.extend(table.warnings.iter().cloned());
        let mut judged = judge(table, expected);
        // A point that was not asked for, or failed, contradicts nothing.
        judged.retain(|one| one.found.is_some());
        record.warnings.extend(contradictions(&judged));
    }
    record.save(log_folder)?;
    let rows = made.as_ref().map_or(&[][..], |table| &table.rows);
    if json {
        print::json(&answer(record, rows));
    } else {
        if let Some(table) = made.as_ref().ok().filter(|table| !table.rows.is_empty()) {
            print::result(&ablate_report::text(
                table,
                &tables::options(record)?,
                print::coloured(),
            ));
        }
        print::message(&summary(record));
    }
    record
        .warnings
        .iter()
        .for_each(|warning| print::message(&format!("warning: {warning}")));
    outcome(record)?;
    made.map(|_| ())
}

fn outcome(record: &RunRecord) -> Result<(), CliError> {
    if record.interrupted {
        return Err(CliError::Interrupted);
    }
    let failed: Vec<_> = record
        .nodes
        .iter()
        .filter(|node| node.status == Status::Failed)
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    let skipped = record
        .nodes
        .iter()
        .filter(|node| node.status == Status::Skipped && node.reason != NOT_ASKED_FOR)
        .count();
    let lines: Vec<_> = failed
        .iter()
        .map(|node| format!("error: stage `{}` failed: {}", node.name, node.reason))
        .collect();
    Err(CliError::Failed(format!(
        "{}\n{skipped} nodes that need it were skipped; all others are kept",
        lines.join("\n")
    )))
}

/// `12 nodes: 2 ran, 10 reused · 3.1 s · run 20261121-101500-1a2b`.
fn summary(record: &RunRecord) -> String {
    let counts: Vec<_> = record
        .counts()
        .into_iter()
        .map(|(status, n)| format!("{n} {status}"))
        .collect();
    format!(
        "{} nodes: {} · {:.1} s · run {}",
        record.nodes.len(),
        counts.join(", "),
        record.seconds,
        record.id
    )
}

fn answer(record: &RunRecord, rows: &[ablate_report::Row]) -> Value {
    let node = |node: &NodeRecord| {
        json!({
            "name": node.name, "kind": node.kind, "status": node.status, "key": node.key, "reason": node.reason,
            "seconds": node.seconds, "rows_computed": node.rows_computed, "rows_reused": node.rows_reused,
        })
    };
    let nodes: Vec<_> = record.nodes.iter().map(node).collect();
    json!({"run": record.id, "nodes": nodes, "table": rows, "warnings": record.warnings})
}

fn report(loaded: &Loaded) -> Value {
    serde_json::to_value(&loaded.experiment.report).unwrap_or_default()
}

/// The time of the start and the process. Later than all runs before, whatever the clock says: runs are listed and
/// looked up in the order of their ids.
fn run_id(log_folder: &Path, started: DateTime) -> String {
    const STAMP: &str = "%Y%m%d-%H%M%S";
    let entries = fs_err::read_dir(log_folder).into_iter().flatten().flatten();
    let last = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .max();
    let last = last.and_then(|id| DateTime::strptime(STAMP, id.get(..15)?).ok());
    let now = started.strftime(STAMP).to_string();
    let at = match last {
        Some(last) if last.strftime(STAMP).to_string() >= now => last.checked_add(1.second()).unwrap_or(last),
        _ => started,
    };
    format!("{}-{:04x}", at.strftime(STAMP), std::process::id() & 0xffff)
}

/// The store's `runs/`; the user's cache when the store cannot be written.
fn log_folder(store: &Store) -> PathBuf {
    if !store.is_read_only() {
        return store.root().join("runs");
    }
    print::message(
        "warning: the store is read-only: results are reused, the run log goes to the user's cache",
    );
    places::user_cache().join("runs")
}
