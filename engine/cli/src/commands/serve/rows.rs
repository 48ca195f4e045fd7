//! An artifact, a page of rows at a time, all or those with a word.

use ablate_cache::{OutputRecord, Store};
use ablate_html::RowsPage;
use ablate_serve::Request;

use super::pages::{find, find_node};
use crate::{commands::cells::Cells, error::CliError};

/// Rows of a page.
const PAGE: usize = 50;
/// The most rows a search looks at before it shows what it found so far.
const LOOKED_AT: u64 = 100_000;
/// The most characters of a cell.
const CHARACTERS: usize = 2000;

/// A page of rows.
pub(super) fn rows(store: &Store, id: &str, request: &Request) -> Result<String, CliError> {
    let run = find(store, id)?;
    let node = find_node(&run, request.value("node"))?;
    let trace = node.key.map(|key| store.trace(key)).transpose()?.flatten();
    let port = request.value("port");
    let output = trace.as_ref().and_then(|trace| trace.output(port));
    let output = output.filter(|output| !output.kind.is_tree() && store.has_object(output.file));
    let output = output.ok_or_else(|| CliError::Usage(format!("`{}` has no rows at `{port}`", node.name)))?;
    let from = request.value("from").parse().unwrap_or(0);
    let mut page = RowsPage {
        run: run.id.clone(),
        node: node.name.clone(),
        port: port.to_owned(),
        search: request.value("q").to_owned(),
        total: output.rows.unwrap_or(0),
        ..RowsPage::default()
    };
    fill(&mut page, output, store, from)?;
    Ok(ablate_html::rows(&page))
}

/// Reads from row `from` on until the page is full, the artifact ends, or a search has looked at enough.
fn fill(page: &mut RowsPage, output: &OutputRecord, store: &Store, from: u64) -> Result<(), CliError> {
    let wanted = page.search.to_lowercase();
    let mut at = from;
    for batch in store.stream_rows(output, None, from as usize)? {
        let batch = batch?;
        page.columns = batch
            .schema()
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        for cells in Cells::of(&batch)?.texts() {
            if page.rows.len() == PAGE || at >= from + LOOKED_AT {
                page.next = Some(at);
                return Ok(());
            }
            if wanted.is_empty() || cells.iter().any(|cell| cell.to_lowercase().contains(&wanted)) {
                page.rows.push((at, cells.into_iter().map(cut).collect()));
            }
            at += 1;
        }
    }
    Ok(())
}

fn cut(cell: String) -> String {
    match cell.char_indices().nth(CHARACTERS) {
        None => cell,
        Some((at, _)) => format!("{}…", &cell[..at]),
    }
}
