//! `show`: the rows of an artifact, to look at the queries and the negatives.

use ablate_cache::{OutputRecord, Store};
use arrow::{
    array::RecordBatch,
    util::display::{ArrayFormatter, FormatOptions},
};
use serde_json::{Map, Value, json};

use crate::{
    args::Show,
    commands::artifact::{Found, find},
    error::CliError,
    print,
};

/// Shows rows of a node's output.
pub(crate) fn show(args: &Show, store: &Store, json: bool) -> Result<(), CliError> {
    let Found { node, output } = find(&args.artifact, store)?;
    if output.kind.is_tree() {
        return show_tree(store, &output, json);
    }
    let batch = store.read_rows(&output)?;
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
            "{node}.{}: {shown} of {} rows, from row {from}",
            output.port,
            batch.num_rows()
        ));
    }
    Ok(())
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
