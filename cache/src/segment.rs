//! Segments of the row memo: Parquet files of key and value, sorted by key, named by the digest of their bytes.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use ablate_core::Digest;
use arrow::{
    array::{Array, ArrayRef, BinaryArray, FixedSizeBinaryArray, RecordBatch, cast::AsArray},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use parquet::{
    arrow::{
        ArrowWriter, ProjectionMask,
        arrow_reader::{
            ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
        },
    },
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
    schema::types::ColumnPath,
};

use crate::{StoreError, files};

/// Values by key.
pub(crate) type Rows = BTreeMap<Digest, Vec<u8>>;

/// Rows read at once.
const BATCH: usize = 8192;

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let field = |name: &str, kind| Field::new(name, kind, false);
    Arc::new(Schema::new(vec![
        field("key", DataType::FixedSizeBinary(32)),
        field("value", DataType::Binary),
    ]))
});

/// The digest of a segment's bytes if it is not the one in its name. Nothing else of a segment is read before this:
/// the Parquet reader does not survive every damage.
pub(crate) fn damage(path: &Path) -> Result<Option<Digest>, StoreError> {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update_mmap_rayon(path)
        .map_err(|error| StoreError::io(path, error))?;
    let digest = Digest::from(hasher.finalize());
    let named = path
        .file_stem()
        .is_some_and(|name| name.to_string_lossy() == digest.to_string());
    Ok((!named).then_some(digest))
}

/// Writes `rows` into `folder`, durable before it is seen; its path.
pub(crate) fn write(partial: &Path, folder: &Path, rows: &Rows) -> Result<PathBuf, StoreError> {
    let bytes = encode(rows)?;
    let path = folder.join(format!("{}.parquet", Digest::of(&bytes)));
    let mut file = files::temporary(0o666)
        .tempfile_in(partial)
        .map_err(|e| StoreError::io(partial, e))?;
    std::io::Write::write_all(&mut file, &bytes).map_err(|e| StoreError::io(&path, e))?;
    file.as_file().sync_data().map_err(|e| StoreError::io(&path, e))?;
    file.persist(&path).map_err(|e| StoreError::io(&path, e.error))?;
    Ok(path)
}

fn encode(rows: &Rows) -> Result<Vec<u8>, StoreError> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(FixedSizeBinaryArray::try_from_iter(
            rows.keys().map(Digest::bytes),
        )?),
        Arc::new(BinaryArray::from_iter_values(rows.values())),
    ];
    let batch = RecordBatch::try_new(SCHEMA.clone(), columns)?;
    // Keys are random: neither a dictionary nor compression would make them smaller, only slower to look through.
    let key = ColumnPath::from("key");
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_dictionary_enabled(false)
        .set_column_compression(key, Compression::UNCOMPRESSED)
        .set_created_by("ablate".into())
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, SCHEMA.clone(), Some(properties))?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(bytes)
}

/// The values of those of the sorted `wanted` keys that stand in the segment. Reads the keys, then only what is found.
pub(crate) fn read(path: &Path, wanted: &[Digest]) -> Result<Rows, StoreError> {
    let places = places(path, wanted)?;
    if places.is_empty() {
        return Ok(Rows::new());
    }
    collect(reader(path, &["key", "value"], Some(selection(&places)))?)
}

/// Every row of the segment.
pub(crate) fn read_all(path: &Path) -> Result<Rows, StoreError> {
    collect(reader(path, &["key", "value"], None)?)
}

/// The row numbers at which `wanted` keys stand: both are sorted, so one pass over the keys tells.
fn places(path: &Path, wanted: &[Digest]) -> Result<Vec<usize>, StoreError> {
    let (mut places, mut row, mut next) = (Vec::new(), 0, 0);
    for batch in reader(path, &["key"], None)? {
        let batch = batch?;
        let keys = batch.column(0).as_fixed_size_binary();
        for at in 0..keys.len() {
            let key = keys.value(at);
            while wanted
                .get(next)
                .is_some_and(|wanted| wanted.bytes().as_slice() < key)
            {
                next += 1;
            }
            if wanted
                .get(next)
                .is_some_and(|wanted| wanted.bytes().as_slice() == key)
            {
                places.push(row + at);
            }
        }
        if next == wanted.len() {
            break;
        }
        row += keys.len();
    }
    Ok(places)
}

fn selection(places: &[usize]) -> RowSelection {
    let (mut selectors, mut at) = (Vec::with_capacity(2 * places.len()), 0);
    for place in places {
        if *place > at {
            selectors.push(RowSelector::skip(place - at));
        }
        selectors.push(RowSelector::select(1));
        at = place + 1;
    }
    selectors.into()
}

fn reader(
    path: &Path,
    columns: &[&str],
    selection: Option<RowSelection>,
) -> Result<ParquetRecordBatchReader, StoreError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(fs_err::File::open(path)?.into_parts().0)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    let builder = builder.with_projection(mask).with_batch_size(BATCH);
    Ok(match selection {
        Some(selection) => builder.with_row_selection(selection),
        None => builder,
    }
    .build()?)
}

fn collect(reader: ParquetRecordBatchReader) -> Result<Rows, StoreError> {
    let mut rows = Rows::new();
    for batch in reader {
        let batch = batch?;
        let keys = batch.column(0).as_fixed_size_binary();
        let values = batch.column(1).as_binary::<i32>();
        for at in 0..batch.num_rows() {
            if let Ok(key) = <[u8; 32]>::try_from(keys.value(at)) {
                keep(
                    &mut rows,
                    Digest::from(blake3::Hash::from_bytes(key)),
                    values.value(at),
                );
            }
        }
    }
    Ok(rows)
}

/// Of several values of a key the longest stays: a row that was carried on replaces its beginning.
pub(crate) fn keep(rows: &mut Rows, key: Digest, value: &[u8]) {
    let known = rows.entry(key).or_default();
    if known.len() <= value.len() {
        value.clone_into(known);
    }
}
