//! The rows as JSON, in the form of `run --json` and `table --json`.

use crate::Table;

/// An array of rows, indented.
pub fn json(table: &Table) -> String {
    // Rows hold text and finite numbers under text keys: they always have a JSON form.
    serde_json::to_string_pretty(&table.rows).unwrap_or_default() + "\n"
}
