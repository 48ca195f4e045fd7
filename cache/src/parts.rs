//! Tables that need not fit memory: written and read in parts.

use std::{fs::File, path::Path};

use ablate_core::{ArtifactKind, Digest, FileDigest, content_digest_of, rows};
use arrow::{
    array::{ArrayRef, RecordBatch},
    datatypes::SchemaRef,
};
use parquet::{
    arrow::{ArrowWriter, ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder},
    errors::ParquetError,
};

use crate::{
    Object, OutputRecord, Store, StoreError, files,
    object::{not_a_table, writer_properties},
};

/// Rows of a part that is read.
const ROWS: usize = 8192;

impl Store {
    /// Writes a table that comes in parts, one part in memory at a time. Its content digest is that of the whole.
    ///
    /// # Errors
    /// What a part gives instead of rows, and what the store refuses.
    pub fn put_parts<E: From<StoreError>>(
        &self,
        kind: ArtifactKind,
        schema: SchemaRef,
        parts: impl Iterator<Item = Result<RecordBatch, E>>,
    ) -> Result<Object, E> {
        let partial = self.root().join("partial");
        self.gate.pass(&partial)?;
        let mut file = files::temporary(0o666)
            .tempfile_in(&partial)
            .map_err(|e| StoreError::io(&partial, e))?;
        let rows = write(file.as_file_mut(), schema, parts)?;
        Ok(self.take(kind, file, rows)?)
    }

    /// Gives a written Parquet file its place.
    fn take(
        &self,
        kind: ArtifactKind,
        file: tempfile::NamedTempFile,
        rows: u64,
    ) -> Result<Object, StoreError> {
        let (digest, bytes) = file_digest(file.path())?;
        let schema = ParquetRecordBatchReaderBuilder::try_new(file.reopen()?)?
            .schema()
            .clone();
        let column = |at: usize| column(file.path(), at);
        let content = content_digest_of(kind, &schema, rows, column)?;
        let path = self.object_path(digest);
        self.gate.pass(&path)?;
        if let Some(parent) = path.parent() {
            fs_err::create_dir_all(parent)?;
        }
        file.persist(&path).map_err(|e| StoreError::io(&path, e.error))?;
        Ok(Object {
            content,
            file: digest,
            bytes,
            rows: Some(rows),
        })
    }

    /// The parts of a table, its bytes verified before the first.
    pub fn read_parts(
        &self,
        output: &OutputRecord,
    ) -> Result<impl Iterator<Item = Result<RecordBatch, StoreError>> + Send + use<>, StoreError> {
        let path = self.object_path(output.file);
        if file_digest(&path)?.0 != output.file {
            return Err(StoreError::Damaged {
                path,
                what: "its bytes do not match its digest".into(),
            });
        }
        let Some(schema) = rows::schema(output.kind) else {
            return Err(not_a_table(output));
        };
        let reader = ParquetRecordBatchReaderBuilder::try_new(open(&path)?)?
            .with_batch_size(ROWS)
            .build()?;
        // The file's schema carries metadata that the kind's does not.
        let same =
            move |part: RecordBatch| Ok(RecordBatch::try_new(schema.clone(), part.columns().to_vec())?);
        Ok(reader.map(move |part| same(part?)))
    }
}

fn write<E: From<StoreError>>(
    file: &mut File,
    schema: SchemaRef,
    parts: impl Iterator<Item = Result<RecordBatch, E>>,
) -> Result<u64, E> {
    let store = |error: ParquetError| E::from(error.into());
    let mut writer =
        ArrowWriter::try_new(file, schema, Some(writer_properties().map_err(store)?)).map_err(store)?;
    let mut rows = 0;
    for part in parts {
        let part = part?;
        rows += part.num_rows() as u64;
        writer.write(&part).map_err(store)?;
    }
    writer.close().map_err(store)?;
    Ok(rows)
}

/// The parts of one column of a Parquet file.
fn column(
    path: &Path,
    at: usize,
) -> Result<impl Iterator<Item = Result<ArrayRef, StoreError>> + use<>, StoreError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(open(path)?)?;
    let only = ProjectionMask::roots(builder.parquet_schema(), [at]);
    let reader = builder.with_projection(only).with_batch_size(ROWS).build()?;
    Ok(reader.map(|part| Ok(part?.column(0).clone())))
}

fn open(path: &Path) -> Result<File, StoreError> {
    Ok(fs_err::File::open(path)?.into_parts().0)
}

/// The digest of a file's bytes, and their number.
fn file_digest(path: &Path) -> Result<(FileDigest, u64), StoreError> {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update_mmap_rayon(path)
        .map_err(|e| StoreError::io(path, e))?;
    Ok((FileDigest(Digest::from(hasher.finalize())), hasher.count()))
}
