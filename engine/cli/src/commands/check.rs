//! `check` and `plan`: what an experiment file says, before anything runs.

use ablate_cache::Store;
use ablate_core::units::{bytes, duration};
use ablate_run::{Forecast, History, load_run, lookup};
use ablate_spec::{Problem, Severity};
use serde_json::{Value, json};

use crate::{args::Experiment, error::CliError, load, print};

/// Finds every problem of a file.
pub(crate) fn check(args: &Experiment, json: bool) -> Result<(), CliError> {
    if json {
        return check_json(args);
    }
    let loaded = load::load_plan(args)?;
    let (nodes, arms) = (loaded.plan.order.len(), loaded.plan.arms.len());
    print::result(&format!(
        "{} is fine: {nodes} nodes, {arms} evaluated",
        args.file.display()
    ));
    Ok(())
}

fn check_json(args: &Experiment) -> Result<(), CliError> {
    let (planned, report) = load::examine(args)?;
    let Some((_, plan, _)) = planned else {
        let problems: Vec<_> = report.problems.iter().map(problem).collect();
        print::json(&json!({"ok": false, "problems": problems}));
        return Err(CliError::Experiment(report.rendered()));
    };
    let (nodes, arms) = (plan.order.len(), plan.arms.len());
    let warnings: Vec<_> = report.problems.iter().map(|problem| &problem.message).collect();
    print::json(&json!({"ok": true, "nodes": nodes, "arms": arms, "warnings": warnings}));
    Ok(())
}

fn problem(problem: &Problem) -> Value {
    let severity = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    json!({
        "severity": severity, "code": problem.code, "message": problem.message, "help": problem.help,
        "line": problem.at.map(|at| at.line), "column": problem.at.map(|at| at.column),
    })
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
    let rows = found.forecast_with(&loaded.plan, &History::read(store)?, store, &loaded.places);
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
        let time = row.seconds.map_or_else(String::new, duration);
        format!(
            "{:5}  {:wide$}  {:kinds$}  {time:>7}  {}\n",
            row.decision, row.name, row.kind, row.reason
        )
    };
    let count = |decision| rows.iter().filter(|row| row.decision == decision).count();
    let lines: String = rows.iter().map(line).collect();
    format!(
        "{lines}\n{} nodes: {} reuse, {} run, {} maybe{}",
        rows.len(),
        count("reuse"),
        count("run"),
        count("maybe"),
        totals(rows)
    )
}

/// `; about 12 min, 64000 tokens and 3.4 MB, 2 nodes of unknown cost apart`.
fn totals(rows: &[Forecast]) -> String {
    let open: Vec<_> = rows.iter().filter(|row| row.decision != "reuse").collect();
    let unknown = open.iter().filter(|row| row.seconds.is_none()).count();
    let seconds: f64 = open.iter().filter_map(|row| row.seconds).sum();
    let tokens: u64 = open.iter().filter_map(|row| row.tokens).sum();
    let tokens = match tokens {
        0 => String::new(),
        tokens => format!(", {tokens} tokens"),
    };
    let size: u64 = open.iter().filter_map(|row| row.bytes).sum();
    let expenses = expenses(rows);
    match (open.len(), unknown) {
        (0, _) => String::new(),
        (all, unknown) if all == unknown => {
            format!("; nothing like them was ever computed here{expenses}")
        }
        (_, 0) => format!(
            "; about {}{tokens} and {}{expenses}",
            duration(seconds),
            bytes(size)
        ),
        (_, unknown) => format!(
            "; about {}{tokens} and {}, {unknown} of unknown cost apart{expenses}",
            duration(seconds),
            bytes(size)
        ),
    }
}

/// What servers will be asked for: `; servers read about 1200000 tokens and write at most 64000, for at most 3.40`.
fn expenses(rows: &[Forecast]) -> String {
    let all: Vec<_> = rows.iter().filter_map(|row| row.expense).collect();
    if all.is_empty() {
        return String::new();
    }
    let (read, written) = (
        all.iter().map(|expense| expense.read).sum::<u64>(),
        all.iter().map(|expense| expense.written).sum::<u64>(),
    );
    let priced: Vec<f64> = all.iter().filter_map(|expense| expense.cost).collect();
    let cost = match priced.len() {
        0 => String::new(),
        _ => format!(", for at most {:.2}", priced.iter().sum::<f64>()),
    };
    format!("; servers read about {read} tokens and write at most {written}{cost}")
}
