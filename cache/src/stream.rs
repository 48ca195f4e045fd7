//! Rows of a table piece by piece, for looking at it.

use ablate_core::rows;
use arrow::array::RecordBatch;
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};

use crate::{OutputRecord, Store, StoreError};

/// Rows read at a time.
const BATCH: usize = 512;

impl Store {
    /// Rows from `from` on, in batches, with the columns named, or all. Reads no more of the file than it is asked for, so
    /// its bytes are not verified: for looking, never for computing.
    pub fn stream_rows(
        &self,
        output: &OutputRecord,
        columns: Option<&[&str]>,
        from: usize,
    ) -> Result<impl Iterator<Item = Result<RecordBatch, StoreError>> + use<>, StoreError> {
        if rows::schema(output.kind).is_none() {
            return Err(StoreError::Refused(format!(
                "`{}` is a {}, not a table",
                output.port, output.kind
            )));
        }
        let file = fs_err::File::open(self.object_path(output.file))?.into_parts().0;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
        let mask = match columns {
            Some(names) => ProjectionMask::columns(builder.parquet_schema(), names.iter().copied()),
            None => ProjectionMask::all(),
        };
        let reader = builder
            .with_projection(mask)
            .with_batch_size(BATCH)
            .with_offset(from)
            .build()?;
        Ok(reader.map(|batch| batch.map_err(StoreError::from)))
    }
}
