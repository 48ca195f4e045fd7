//! `eval`: a TREC run against TREC qrels, as trec_eval users know it.

use std::collections::BTreeMap;

use ablate_measure::{Measure, PerQuery, evaluate, read_qrels, read_run};
use serde_json::json;

use crate::{args::Eval, error::CliError, print};

/// Evaluates and prints means, and every query where asked.
pub(crate) fn eval(args: &Eval, json: bool) -> Result<(), CliError> {
    let unusable = |error: ablate_measure::TrecError| CliError::Usage(error.to_string());
    let measures = args
        .measures
        .iter()
        .map(|name| name.parse())
        .collect::<Result<Vec<Measure>, _>>();
    let measures = measures.map_err(|error| CliError::Usage(error.to_string()))?;
    let run = read_run(&args.run).map_err(unusable)?;
    let qrels = read_qrels(&args.qrels).map_err(unusable)?;
    let queries = evaluate(&run, &qrels, &measures, false);
    if queries.is_empty() {
        return Err(CliError::Failed(
            "error: run and qrels share no query: are they of one collection?".into(),
        ));
    }
    let means = means(&args.measures, &queries);
    if json {
        let mut answer = json!({"mean": means});
        if args.queries {
            let row = |values: &Vec<f64>| {
                args.measures
                    .iter()
                    .cloned()
                    .zip(values.clone())
                    .collect::<BTreeMap<_, _>>()
            };
            let rows: BTreeMap<_, _> = queries
                .iter()
                .map(|(query, values)| (query, row(values)))
                .collect();
            answer["queries"] = json!(rows);
        }
        print::json(&answer);
    } else {
        print::result(&text(args, &queries, &means));
    }
    Ok(())
}

fn means(names: &[String], queries: &PerQuery) -> BTreeMap<String, f64> {
    let mean = |at: usize| queries.values().map(|values| values[at]).sum::<f64>() / queries.len() as f64;
    names
        .iter()
        .enumerate()
        .map(|(at, name)| (name.clone(), mean(at)))
        .collect()
}

fn text(args: &Eval, queries: &PerQuery, means: &BTreeMap<String, f64>) -> String {
    let mut lines = Vec::new();
    if args.queries {
        for (query, values) in queries {
            let row = args.measures.iter().zip(values);
            lines.extend(row.map(|(name, value)| format!("{name:<12}\t{query}\t{value:.4}")));
        }
    }
    lines.extend(
        args.measures
            .iter()
            .map(|name| format!("{name:<12}\tall\t{:.4}", means[name])),
    );
    lines.join("\n")
}
