//! How hard negatives are, by where they came from.

use std::collections::BTreeMap;

use ablate_cache::{OutputRecord, Store};
use ablate_core::{ArtifactKind, Record, rows};
use ablate_html::Hardness;

use super::Traced;
use crate::error::CliError;

/// The most nodes a page shows.
const MOST: usize = 12;
/// The most rows of an artifact that are looked at.
const ROWS: usize = 200_000;

/// A column, what it is on an axis, and its value in a row.
type Value = (&'static str, &'static str, fn(&rows::Hardness) -> Option<f64>);

/// Ranks go over many orders of magnitude.
const VALUES: [Value; 3] = [
    ("bm25_rank", "rank in BM25, as a power of ten", |row| {
        Some(f64::from(row.bm25_rank?).log10())
    }),
    ("dense_rank", "rank by vectors, as a power of ten", |row| {
        Some(f64::from(row.dense_rank?).log10())
    }),
    ("positive_similarity", "cosine with the positive", |row| {
        row.positive_similarity.map(f64::from)
    }),
];

/// The values that there are, of every node that measured them.
pub(super) fn hardness(traced: &Traced<'_>, store: &Store) -> Result<Vec<Hardness>, CliError> {
    let mut found = Vec::new();
    for (node, output) in traced.outputs(store, ArtifactKind::Hardness).take(MOST) {
        let rows = read(store, output)?;
        let all = VALUES.iter().map(|value| of_value(&node.name, value, &rows));
        found.extend(all.filter(|of| !of.sources.is_empty()));
    }
    Ok(found)
}

fn read(store: &Store, output: &OutputRecord) -> Result<Vec<rows::Hardness>, CliError> {
    let mut rows = Vec::new();
    for batch in store.stream_rows(output, None, 0)? {
        let decoded = rows::Hardness::decode(&batch?);
        rows.extend(decoded.map_err(|error| CliError::Failed(format!("error: {error}")))?);
        if rows.len() >= ROWS {
            break;
        }
    }
    Ok(rows)
}

fn of_value(node: &str, (column, axis, value): &Value, rows: &[rows::Hardness]) -> Hardness {
    let mut sources: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for row in rows {
        if let Some(value) = value(row) {
            sources.entry(&row.source).or_default().push(value);
        }
    }
    let named = sources
        .into_iter()
        .map(|(source, values)| (source.to_owned(), values));
    Hardness {
        node: node.to_owned(),
        column: (*column).to_owned(),
        axis: (*axis).to_owned(),
        sources: named.collect(),
    }
}
