//! The figures as Parquet, in long form.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray, UInt64Array},
    error::ArrowError,
};
use parquet::{arrow::ArrowWriter, errors::ParquetError};

use crate::{
    Table,
    long::{Value, long},
};

/// One row per row of the table and measure, with the columns of the CSV.
///
/// # Errors
/// If the table has no figure: a file without rows would have no types.
pub fn parquet(table: &Table) -> Result<Vec<u8>, ParquetError> {
    let (names, lines) = long(table);
    if lines.is_empty() {
        return Err(ParquetError::General("nothing was evaluated".into()));
    }
    let columns = names.iter().enumerate().map(|(at, name)| {
        let values: Vec<&Value> = lines.iter().map(|line| &line[at]).collect();
        (name.as_str(), array(&values), true)
    });
    let batch = RecordBatch::try_from_iter_with_nullable(columns).map_err(external)?;
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None)?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(bytes)
}

fn external(error: ArrowError) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// A column: its values are all of the type of the first.
fn array(values: &[&Value]) -> ArrayRef {
    let values = values.iter().copied();
    match values.clone().next() {
        Some(Value::Number(_)) => Arc::new(values.map(Value::number).collect::<Float64Array>()),
        Some(Value::Count(_)) => Arc::new(values.map(Value::count).collect::<UInt64Array>()),
        Some(Value::Flag(_)) => Arc::new(values.map(Value::flag).collect::<BooleanArray>()),
        Some(Value::Text(_)) | None => Arc::new(values.map(Value::text).collect::<StringArray>()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::{array::AsArray, datatypes::Float64Type};
    use bytes::Bytes;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

    use super::*;
    use crate::{Options, table, text::tests::sample};

    #[test]
    fn figures_read_back_with_their_types() {
        let (table, _) = sample();
        let bytes = Bytes::from(parquet(&table).unwrap());
        let batch = ParquetRecordBatchReader::try_new(bytes, 64)
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        assert_eq!(batch.num_rows(), 3);
        let means = batch
            .column_by_name("mean")
            .unwrap()
            .as_primitive::<Float64Type>()
            .clone();
        let expected: Vec<_> = table.rows.iter().map(|row| row.scores["nDCG@10"].mean).collect();
        assert_eq!(means.values().to_vec(), expected);
        let negatives = batch.column_by_name("negatives").unwrap();
        assert!(negatives.is_null(0) && negatives.as_string::<i32>().value(1) == "bm25");
        assert!(batch.column_by_name("delta").unwrap().is_null(0));
    }

    #[test]
    fn nothing_evaluated_is_an_error() {
        let empty = table(&[], &Options::default()).unwrap();
        assert!(
            parquet(&empty)
                .unwrap_err()
                .to_string()
                .contains("nothing was evaluated")
        );
    }
}
