//! `eval`: a TREC run against TREC qrels, as trec_eval users know it.

use std::collections::BTreeMap;

use ablate_measure::{Column, Options, PerQuery, TrecError, TrecFile, columns, evaluate, is_nickname};
use serde_json::{Value, json};

use crate::{args::Eval, error::CliError, print};

/// Evaluates and prints means, and every query where asked.
pub(crate) fn eval(args: &Eval, json: bool) -> Result<(), CliError> {
    let columns = asked(&args.measures)?;
    let (run, qrels) = both(TrecFile::read(&args.run), TrecFile::read(&args.qrels))?;
    let (mut run, qrels) = both(run.run(), qrels.qrels())?;
    if args.drop_self {
        run.hits.retain(|hit| hit.document != hit.query);
    }
    let options = Options {
        complete: args.complete,
        level: args.level,
        depth: args.depth.map(|depth| depth as usize),
    };
    let measures: Vec<_> = columns.iter().map(|column| column.measure.clone()).collect();
    let queries = evaluate(&run.hits, &qrels, &measures, options);
    if queries.is_empty() {
        return Err(CliError::Failed(
            "error: run and qrels share no query: are they of one collection?".into(),
        ));
    }
    if json {
        print::json(&answer(args.queries, &columns, &queries));
    } else {
        print::result(&text(args, &run.tag, &columns, &queries));
    }
    Ok(())
}

/// The lines of every name, each once; all unknown names are told together.
fn asked(names: &[String]) -> Result<Vec<Column>, CliError> {
    let (mut asked, mut unknown): (Vec<Column>, Vec<String>) = (Vec::new(), Vec::new());
    for name in names {
        match columns(name) {
            Ok(columns) => asked.extend(columns),
            Err(error) => unknown.push(error.to_string()),
        }
    }
    if !unknown.is_empty() {
        return Err(CliError::Usage(unknown.join("\n")));
    }
    let mut once: Vec<Column> = Vec::new();
    for column in asked {
        if once.iter().all(|known| known.label != column.label) {
            once.push(column);
        }
    }
    Ok(once)
}

/// Both files, or what is wrong with either of them.
fn both<A, B>(run: Result<A, TrecError>, qrels: Result<B, TrecError>) -> Result<(A, B), CliError> {
    match (run, qrels) {
        (Ok(run), Ok(qrels)) => Ok((run, qrels)),
        (Err(run), Err(qrels)) => Err(CliError::Usage(format!("{run}\n{qrels}"))),
        (Err(error), _) | (_, Err(error)) => Err(CliError::Usage(error.to_string())),
    }
}

/// A line's value over all queries.
fn fold(columns: &[Column], queries: &PerQuery, at: usize) -> f64 {
    columns[at].fold(queries.values().map(|values| values[at]))
}

fn answer(per_query: bool, columns: &[Column], queries: &PerQuery) -> Value {
    let means: BTreeMap<&str, f64> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| (column.label.as_str(), fold(columns, queries, at)))
        .collect();
    if !per_query {
        return json!({"mean": means});
    }
    let row = |values: &[f64]| -> BTreeMap<String, f64> {
        let row = columns
            .iter()
            .zip(values)
            .filter(|(column, _)| column.is_per_query());
        row.map(|(column, value)| (column.label.clone(), *value))
            .collect()
    };
    let rows: BTreeMap<_, _> = queries
        .iter()
        .map(|(query, values)| (query, row(values)))
        .collect();
    json!({"mean": means, "queries": rows})
}

/// trec_eval's table: measure, query, value; the run's name first where trec_eval would print its own choice of measures.
fn text(args: &Eval, tag: &str, columns: &[Column], queries: &PerQuery) -> String {
    let line = |label: &str, query: &str, value: &str| format!("{label:<22}\t{query}\t{value}");
    let value = |column: &Column, query: &str, value: f64| {
        line(&column.label, query, &column.format(value).to_string())
    };
    let mut lines = Vec::new();
    if args.queries {
        for (query, values) in queries {
            let row = columns
                .iter()
                .zip(values)
                .filter(|(column, _)| column.is_per_query());
            lines.extend(row.map(|(column, number)| value(column, query, *number)));
        }
    }
    if args.measures.iter().any(|name| is_nickname(name)) {
        lines.push(line("runid", "all", tag));
    }
    let all = columns.iter().enumerate();
    lines.extend(all.map(|(at, column)| value(column, "all", fold(columns, queries, at))));
    lines.join("\n")
}
