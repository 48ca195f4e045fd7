//! `show`: the rows of an artifact, to look at the queries and the negatives.

use ablate_cache::{OutputRecord, Store, Trace};
use ablate_core::similar;
use ablate_run::NodeRecord;
use arrow::{
    array::RecordBatch,
    util::display::{ArrayFormatter, FormatOptions},
};
use serde_json::{Map, Value, json};

use crate::{args::Show, commands::find_run, error::CliError, print};

/// Shows rows of a node's output.
pub(crate) fn show(args: &Show, store: &Store, json: bool) -> Result<(), CliError> {
    let run = find_run(store, &args.run)?;
    let node = find_node(&run.nodes, &args.node)?;
    let trace = trace_of(store, node)?;
    let output = find_output(&trace.outputs, args.port.as_deref(), node)?;
    if output.kind.is_tree() {
        return show_tree(store, output, json);
    }
    let batch = store.read_rows(output)?;
    let from = args.from.min(batch.num_rows());
    let part = batch.slice(from, args.rows.min(batch.num_rows() - from));
    let rows = cells(&part)?;
    if json {
        print::json(
            &json!({"port": output.port, "kind": output.kind, "total": batch.num_rows(), "rows": objects(&part, &rows)}),
        );
    } else {
        print::result(&text(&part, &rows, from));
        let shown = part.num_rows();
        print::message(&format!(
            "{}.{}: {shown} of {} rows, from row {from}",
            node.name,
            output.port,
            batch.num_rows()
        ));
    }
    Ok(())
}

/// What a node left in the store.
pub(super) fn trace_of(store: &Store, node: &NodeRecord) -> Result<Trace, CliError> {
    let gone = || {
        CliError::Failed(format!(
            "error: `{}` left no result in this run: {}",
            node.name, node.reason
        ))
    };
    store.trace(node.key.ok_or_else(gone)?)?.ok_or_else(gone)
}

/// The node of a run that a user named.
pub(super) fn find_node<'a>(nodes: &'a [NodeRecord], wanted: &str) -> Result<&'a NodeRecord, CliError> {
    let first_of_stage = |node: &&NodeRecord| node.name.split('[').next() == Some(wanted);
    let found = nodes
        .iter()
        .find(|node| node.name == wanted)
        .or_else(|| nodes.iter().find(first_of_stage));
    found.ok_or_else(|| {
        let near = similar(wanted, nodes.iter().map(|node| node.name.as_str()));
        let names = if near.is_empty() {
            nodes.iter().map(|n| n.name.as_str()).collect()
        } else {
            near
        };
        CliError::Usage(format!(
            "the run has no node `{wanted}`; there is {}",
            names.join(", ")
        ))
    })
}

/// The output at a port, the first where none is named.
pub(super) fn find_output<'a>(
    outputs: &'a [OutputRecord],
    port: Option<&str>,
    node: &NodeRecord,
) -> Result<&'a OutputRecord, CliError> {
    let found = match port {
        Some(port) => outputs.iter().find(|output| output.port == port),
        None => outputs.first(),
    };
    found.ok_or_else(|| {
        let ports: Vec<_> = outputs.iter().map(|output| output.port.as_str()).collect();
        CliError::Usage(format!("`{}` has the outputs {}", node.name, ports.join(", ")))
    })
}

fn show_tree(store: &Store, output: &OutputRecord, json: bool) -> Result<(), CliError> {
    let path = store.read_tree(output)?;
    if json {
        print::json(&json!({"port": output.port, "kind": output.kind, "path": path, "bytes": output.bytes}));
    } else {
        print::result(&path.display().to_string());
    }
    Ok(())
}

/// The cells of each row, as text.
pub(super) fn cells(batch: &RecordBatch) -> Result<Vec<Vec<String>>, CliError> {
    let options = FormatOptions::default().with_null("-");
    let columns: Result<Vec<_>, _> = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
        .collect();
    let columns = columns.map_err(|error| CliError::Failed(error.to_string()))?;
    Ok((0..batch.num_rows())
        .map(|row| columns.iter().map(|c| c.value(row).to_string()).collect())
        .collect())
}

fn objects(batch: &RecordBatch, rows: &[Vec<String>]) -> Vec<Value> {
    let schema = batch.schema();
    let object = |row: &Vec<String>| {
        let fields = schema.fields().iter().zip(row).map(|(field, cell)| {
            let value = if field.data_type().is_numeric() {
                serde_json::from_str(cell).unwrap_or(Value::Null)
            } else {
                Value::String(cell.clone())
            };
            (field.name().clone(), value)
        });
        Value::Object(fields.collect::<Map<_, _>>())
    };
    rows.iter().map(object).collect()
}

/// One block a row: texts are long, and a person reads them one below the other.
fn text(batch: &RecordBatch, rows: &[Vec<String>], from: usize) -> String {
    let schema = batch.schema();
    let wide = schema
        .fields()
        .iter()
        .map(|field| field.name().len())
        .max()
        .unwrap_or(0);
    let mut out = String::new();
    for (at, row) in rows.iter().enumerate() {
        out.push_str(&format!("── {} ──\n", from + at));
        for (field, cell) in schema.fields().iter().zip(row) {
            out.push_str(&format!("{:wide$}  {}\n", field.name(), cell.replace('\n', "⏎")));
        }
    }
    out
}
