//! `show`: the rows of an artifact, to look at the queries and the negatives.

use std::convert::Infallible;

use ablate_cache::{OutputRecord, Store};
use arrow::array::RecordBatch;
use serde_json::{Map, Value, json};

use crate::{
    args::Show,
    commands::{
        artifact::{Found, find},
        cells::Cells,
    },
    error::CliError,
    print,
};

/// Shows rows of a node's output. Reads no more of them than it shows.
pub(crate) fn show(args: &Show, store: &Store, json: bool) -> Result<(), CliError> {
    let Found { node, output } = find(&args.artifact, store)?;
    if output.kind.is_tree() {
        return show_tree(store, &output, json);
    }
    let parts = rows(store, &output, args.from, args.rows)?;
    let total = output.rows.unwrap_or(0);
    if json {
        let rows = of_each(&parts, objects)?;
        print::json(&json!({"port": output.port, "kind": output.kind, "total": total, "rows": rows}));
    } else {
        let blocks = of_each(&parts, blocks)?;
        let numbered = blocks.iter().zip(args.from..);
        let text: Vec<_> = numbered
            .map(|(block, row)| format!("── {row} ──\n{block}"))
            .collect();
        print::result(&text.concat());
        print::message(&format!(
            "{node}.{}: {} of {total} rows, from row {}",
            output.port,
            blocks.len(),
            args.from
        ));
    }
    Ok(())
}

/// At most `count` rows from `from` on.
fn rows(
    store: &Store,
    output: &OutputRecord,
    from: usize,
    count: usize,
) -> Result<Vec<RecordBatch>, CliError> {
    let (mut parts, mut left) = (Vec::new(), count);
    let mut stream = store.stream_rows(output, None, from)?;
    while left > 0 {
        let Some(part) = stream.next().transpose()? else {
            break;
        };
        let part = part.slice(0, part.num_rows().min(left));
        left -= part.num_rows();
        parts.push(part);
    }
    Ok(parts)
}

fn of_each<T>(
    parts: &[RecordBatch],
    rows: impl Fn(&RecordBatch) -> Result<Vec<T>, CliError>,
) -> Result<Vec<T>, CliError> {
    let parts: Result<Vec<_>, _> = parts.iter().map(rows).collect();
    Ok(parts?.into_iter().flatten().collect())
}

/// Rows as objects; infinite numbers are their names.
fn objects(part: &RecordBatch) -> Result<Vec<Map<String, Value>>, CliError> {
    let named = |_: &str, text| Ok::<_, Infallible>(Value::String(text));
    let Ok(objects) = Cells::of(part)?.objects(named);
    Ok(objects)
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

/// One block a row: texts are long, and a person reads them one below the other.
fn blocks(part: &RecordBatch) -> Result<Vec<String>, CliError> {
    let schema = part.schema();
    let names: Vec<&String> = schema.fields().iter().map(|field| field.name()).collect();
    let wide = names.iter().map(|name| name.len()).max().unwrap_or(0);
    let line = |(name, cell): (&&String, String)| format!("{name:wide$}  {}\n", cell.replace('\n', "⏎"));
    let block = |row: Vec<String>| names.iter().zip(row).map(line).collect();
    Ok(Cells::of(part)?.texts().map(block).collect())
}
