//! Objects: Parquet files and folders under the digest of their bytes.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use ablate_core::{ActionKey, ArtifactKind, ContentDigest, Digest, FileDigest, content_digest, rows};
use arrow::{array::RecordBatch, compute::concat_batches};
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::properties::WriterProperties,
};

use crate::{OutputRecord, Store, StoreError, files};

/// An object that stands in the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Digest over rows; of a tree, over paths and bytes.
    pub content: ContentDigest,
    /// Digest of the bytes.
    pub file: FileDigest,
    /// Size.
    pub bytes: u64,
    /// Rows, for tables.
    pub rows: Option<u64>,
}

impl Object {
    /// The record of this object as the output at `port`.
    pub fn at(self, port: &str, kind: ArtifactKind) -> OutputRecord {
        let Self {
            content,
            file,
            bytes,
            rows,
        } = self;
        OutputRecord {
            port: port.to_owned(),
            kind,
            content,
            file,
            bytes,
            rows,
        }
    }
}

/// A folder to fill for a tree-valued output; gone on drop unless it was taken in.
#[derive(Debug)]
pub struct Staged(tempfile::TempDir);

impl Staged {
    /// Where to write.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Store {
    /// Writes a table.
    pub fn put_rows(&self, kind: ArtifactKind, batch: &RecordBatch) -> Result<Object, StoreError> {
        let content = content_digest(kind, batch).map_err(|e| StoreError::Refused(e.to_string()))?;
        let bytes = parquet_bytes(batch)?;
        let file = FileDigest(Digest::of(&bytes));
        let path = self.object_path(file);
        // What stands there already may be damaged.
        if fs_err::read(&path).ok().as_deref() != Some(bytes.as_slice()) {
            self.gate.pass(&path)?;
            files::write_atomic(&self.root().join("partial"), &path, &bytes)?;
        }
        Ok(Object {
            content,
            file,
            bytes: bytes.len() as u64,
            rows: Some(batch.num_rows() as u64),
        })
    }

    /// An empty folder on the store's file system.
    pub fn stage(&self) -> Result<Staged, StoreError> {
        let partial = self.root().join("partial");
        self.gate.pass(&partial)?;
        let folder = files::temporary(0o777).prefix("tree-").tempdir_in(&partial);
        folder.map(Staged).map_err(|e| StoreError::io(&partial, e))
    }

    /// The folder of checkpoints of `key`; made if it is not there. Only who holds the lock of `key` may use it.
    pub fn checkpoints(&self, key: ActionKey) -> Result<PathBuf, StoreError> {
        let folder = self.checkpoint_folder(key);
        self.gate.pass(&folder)?;
        fs_err::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Removes the checkpoints of `key`, whose result stands.
    pub fn remove_checkpoints(&self, key: ActionKey) -> Result<(), StoreError> {
        match fs_err::remove_dir_all(self.checkpoint_folder(key)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn checkpoint_folder(&self, key: ActionKey) -> PathBuf {
        self.root().join("partial").join(format!("checkpoints-{key}"))
    }

    /// Takes a filled folder in.
    pub fn put_tree(&self, staged: Staged) -> Result<Object, StoreError> {
        let (digest, bytes) = tree_digest(staged.path())?;
        let path = self.object_path(FileDigest(digest));
        if path.exists() && tree_digest(&path)?.0 != digest {
            self.discard(FileDigest(digest))?;
        }
        if !path.exists() {
            self.gate.pass(&path)?;
            fs_err::create_dir_all(path.parent().unwrap_or(self.root()))?;
            match fs_err::rename(staged.path(), &path) {
                // Another process was first with the same bytes.
                Err(_) if path.exists() => {}
                other => other?,
            }
        }
        Ok(Object {
            content: ContentDigest(digest),
            file: FileDigest(digest),
            bytes,
            rows: None,
        })
    }

    /// Whether the object stands here (its bytes are verified when it is read).
    pub fn has_object(&self, file: FileDigest) -> bool {
        self.object_path(file).exists()
    }

    /// Reads a table, verifying its bytes and its schema.
    pub fn read_rows(&self, output: &OutputRecord) -> Result<RecordBatch, StoreError> {
        let path = self.object_path(output.file);
        let bytes = fs_err::read(&path)?;
        if Digest::of(&bytes) != output.file.0 {
            return Err(StoreError::Damaged {
                path,
                what: "its bytes do not match its digest".into(),
            });
        }
        let Some(schema) = rows::schema(output.kind) else {
            return Err(not_a_table(output));
        };
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes))?.build()?;
        let batches = reader.collect::<Result<Vec<_>, _>>()?;
        Ok(concat_batches(&schema, &batches)?)
    }

    /// The folder of a tree, its bytes verified.
    pub fn read_tree(&self, output: &OutputRecord) -> Result<PathBuf, StoreError> {
        let path = self.object_path(output.file);
        if tree_digest(&path)?.0 != output.file.0 {
            return Err(StoreError::Damaged {
                path,
                what: "its files do not match its digest".into(),
            });
        }
        Ok(path)
    }

    /// Takes a damaged object out, so that it is computed again.
    pub fn discard(&self, file: FileDigest) -> Result<(), StoreError> {
        let path = self.object_path(file);
        let _: () = if path.is_dir() {
            fs_err::remove_dir_all(path)?;
        } else {
            fs_err::remove_file(path)?;
        };
        Ok(())
    }
}

pub(crate) fn not_a_table(output: &OutputRecord) -> StoreError {
    StoreError::Refused(format!("`{}` is a {}, not a table", output.port, output.kind))
}

/// How tables are written.
pub(crate) fn writer_properties() -> Result<WriterProperties, ParquetError> {
    let level = ZstdLevel::try_new(3)?;
    Ok(WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_created_by("ablate".into())
        .build())
}

fn parquet_bytes(batch: &RecordBatch) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(writer_properties()?))?;
    writer.write(batch)?;
    writer.close()?;
    bytes.flush().map_err(|e| StoreError::io("memory", e))?;
    Ok(bytes)
}

/// Digest over the sorted relative paths, lengths and bytes of a folder; and its size.
pub(crate) fn tree_digest(root: &Path) -> Result<(Digest, u64), StoreError> {
    let mut paths = Vec::new();
    list(root, &mut paths)?;
    paths.sort();
    let mut hasher = blake3::Hasher::new_derive_key("ablate tree v1");
    let mut size = 0;
    for path in paths {
        let name = path
            .strip_prefix(root)
            .unwrap_or(&path)
            .to_string_lossy()
            .replace('\\', "/");
        let mut file = blake3::Hasher::new();
        file.update_mmap_rayon(&path)
            .map_err(|e| StoreError::io(&path, e))?;
        size += file.count();
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update(file.finalize().as_bytes());
    }
    Ok((hasher.finalize().into(), size))
}

fn list(folder: &Path, into: &mut Vec<PathBuf>) -> Result<(), StoreError> {
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, into)?;
        } else {
            into.push(path);
        }
    }
    Ok(())
}
