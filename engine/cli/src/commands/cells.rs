//! The cells of a table as text and as JSON.

use arrow::{
    array::{ArrayRef, RecordBatch},
    datatypes::DataType,
    util::display::{ArrayFormatter, FormatOptions},
};
use serde_json::{Map, Value};

use crate::error::CliError;

/// Rows whose cells are read one by one.
pub(super) struct Cells<'a> {
    rows: usize,
    columns: Vec<Column<'a>>,
}

struct Column<'a> {
    name: String,
    values: &'a ArrayRef,
    format: ArrayFormatter<'a>,
}

impl<'a> Cells<'a> {
    /// The cells of `batch`; those that hold nothing are `-` as text.
    pub(super) fn of(batch: &'a RecordBatch) -> Result<Self, CliError> {
        static OPTIONS: FormatOptions<'static> = FormatOptions::new().with_null("-");
        let schema = batch.schema();
        let column = |(name, values): (&String, &'a ArrayRef)| {
            let format = ArrayFormatter::try_new(values.as_ref(), &OPTIONS)
                .map_err(|error| CliError::Failed(format!("error: `{name}` cannot be shown: {error}")))?;
            Ok(Column {
                name: name.clone(),
                values,
                format,
            })
        };
        let names = schema.fields().iter().map(|field| field.name());
        let columns: Result<_, CliError> = names.zip(batch.columns()).map(column).collect();
        Ok(Self {
            rows: batch.num_rows(),
            columns: columns?,
        })
    }

    /// Every row as text.
    pub(super) fn texts(&self) -> impl Iterator<Item = Vec<String>> + '_ {
        let text = |row: usize| move |column: &Column<'_>| column.format.value(row).to_string();
        (0..self.rows).map(move |row| self.columns.iter().map(text(row)).collect())
    }

    /// Every row as an object; a value that is not there is left out, and a number that JSON has no name for is what
    /// `other` makes of it.
    pub(super) fn objects<E>(
        &self,
        other: impl Fn(&str, String) -> Result<Value, E>,
    ) -> Result<Vec<Map<String, Value>>, E> {
        let cell = |column: &Column<'_>, row: usize| {
            let text = column.format.value(row).to_string();
            let value = match column.values.data_type() {
                DataType::Utf8 | DataType::Dictionary(..) => Value::String(text),
                _ => serde_json::from_str(&text).or_else(|_| other(&column.name, text))?,
            };
            Ok((column.name.clone(), value))
        };
        let present = |row: usize| {
            self.columns
                .iter()
                .filter(move |column| column.values.is_valid(row))
        };
        (0..self.rows)
            .map(|row| present(row).map(|column| cell(column, row)).collect())
            .collect()
    }
}
