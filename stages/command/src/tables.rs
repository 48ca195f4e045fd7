//! Tables of a command: written for it as Parquet, and read back with whatever another writer made of the types.

use std::path::Path;

use ablate_core::{ArtifactKind, StageError, rows};
use arrow::{
    array::{ArrayRef, RecordBatch, new_null_array},
    compute::{cast, concat_batches},
    datatypes::{Field, SchemaRef},
};
use parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder};

/// Writes a table.
pub(crate) fn write(path: &Path, batch: &RecordBatch) -> Result<(), StageError> {
    let file = fs_err::File::create(path)?.into_parts().0;
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None)?;
    writer.write(batch)?;
    writer.close()?;
    Ok(())
}

/// Reads a table a command wrote for an output of `kind`. Columns may stand in any order and in types that cast
/// without loss (pandas writes `large_string` and `int64`); what is missing, too much or null where it may not be is
/// an error that names the column.
pub(crate) fn read(path: &Path, kind: ArtifactKind) -> Result<RecordBatch, StageError> {
    let named = |what: String| StageError::new(format!("the output `{kind}` of the command: {what}"));
    if !path.exists() {
        return Err(named(format!("it wrote no {}", path.display())));
    }
    let schema = rows::schema(kind).ok_or_else(|| named("it is no table".into()))?;
    let bytes = fs_err::File::open(path)?.into_parts().0;
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(|error| named(format!("it is not Parquet: {error}")))?;
    let written = arrow::array::RecordBatchReader::schema(&reader);
    let batches = reader.collect::<Result<Vec<_>, _>>()?;
    let batch = concat_batches(&written, &batches)?;
    refuse_unknown(&batch, &schema).map_err(named)?;
    let column = |field: &std::sync::Arc<Field>| column(&batch, field).map_err(named);
    let columns: Vec<ArrayRef> = schema.fields().iter().map(column).collect::<Result<_, _>>()?;
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

fn refuse_unknown(batch: &RecordBatch, schema: &SchemaRef) -> Result<(), String> {
    let known: Vec<&str> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    let written = batch.schema();
    let unknown = written
        .fields()
        .iter()
        .find(|field| !known.contains(&field.name().as_str()));
    match unknown {
        None => Ok(()),
        Some(field) => Err(format!(
            "there is no column `{}`; it has {}",
            field.name(),
            known.join(", ")
        )),
    }
}

fn column(batch: &RecordBatch, field: &Field) -> Result<ArrayRef, String> {
    let name = field.name();
    let Some(found) = batch.column_by_name(name) else {
        return match field.is_nullable() {
            true => Ok(new_null_array(field.data_type(), batch.num_rows())),
            false => Err(format!("the column `{name}` is missing")),
        };
    };
    let array = cast(found, field.data_type()).map_err(|error| format!("the column `{name}`: {error}"))?;
    if array.null_count() > found.null_count() {
        return Err(format!(
            "the column `{name}` holds values that are no {}",
            field.data_type()
        ));
    }
    if !field.is_nullable() && array.null_count() > 0 {
        return Err(format!("the column `{name}` holds nulls"));
    }
    Ok(array)
}
