//! Opening a store, its format version, its lock and its errors.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use crate::{files, gate::Gate};

/// The layout this program reads and writes.
const FORMAT: u32 = 1;

const CACHEDIR_TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
    # This folder is a cache of ablate. Backup programs may pass it by.\n";

/// What can go wrong with a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused; the message names the path.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A file's bytes are not what was written.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// The file or folder.
        path: PathBuf,
        /// What was seen.
        what: String,
    },
    /// The store was written by a newer program.
    #[error(
        "{path} has store format {found}; this ablate reads format {FORMAT}: use the newer ablate, or another --store"
    )]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Rows that may not stand in an artifact.
    #[error("{0}")]
    Refused(String),
    /// Rows that are not those of their kind.
    #[error(transparent)]
    Rows(#[from] ablate_core::RowsError),
    /// Parquet could not be written or read.
    #[error(transparent)]
    Parquet(#[from] parquet::errors::ParquetError),
    /// Arrow refused.
    #[error(transparent)]
    Arrow(#[from] arrow::error::ArrowError),
}

impl StoreError {
    pub(crate) fn io(path: impl AsRef<Path>, error: std::io::Error) -> Self {
        Self::Io(std::io::Error::new(
            error.kind(),
            format!("{}: {error}", path.as_ref().display()),
        ))
    }
}

/// A content store in a folder. Any number of processes may use one at once.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    read_only: bool,
    /// Held shared for the life of the store: a collector deletes only under the exclusive lock.
    lock: Option<File>,
    pub(crate) gate: Gate,
}

impl Store {
    /// Opens the store in `root`, making it if it is not there. A store that cannot be written is opened for reuse only.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        if let Some(found) = format_of(&root)? {
            if found > FORMAT {
                return Err(StoreError::Newer { path: root, found });
            }
            return match lock_shared(&root) {
                Ok(lock) => Ok(Self {
                    root,
                    read_only: false,
                    lock: Some(lock),
                    gate: Gate::default(),
                }),
                Err(StoreError::Io(e)) if is_read_only(&e) => Ok(Self {
                    root,
                    read_only: true,
                    lock: None,
                    gate: Gate::default(),
                }),
                Err(error) => Err(error),
            };
        }
        Self::create(&root)?;
        let lock = lock_shared(&root)?;
        Ok(Self {
            root,
            read_only: false,
            lock: Some(lock),
            gate: Gate::default(),
        })
    }

    fn create(root: &Path) -> Result<(), StoreError> {
        for folder in ["objects", "traces", "locks", "runs", "partial"] {
            fs_err::create_dir_all(root.join(folder))?;
        }
        let partial = root.join("partial");
        files::write_atomic(&partial, &root.join("CACHEDIR.TAG"), CACHEDIR_TAG.as_bytes())?;
        files::write_atomic(
            &partial,
            &root.join("format"),
            format!("ablate store {FORMAT}\n").as_bytes(),
        )
    }

    pub(crate) fn take_lock(&mut self) -> Option<File> {
        self.lock.take()
    }

    pub(crate) fn put_lock(&mut self, lock: File) {
        self.lock = Some(lock);
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether the store serves reuse only.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Makes everything written so far durable, in one call for any number of files.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        self.gate.pass(&self.root)?;
        let root = fs_err::File::open(&self.root)?;
        sync_file_system(root.file()).map_err(|e| StoreError::io(&self.root, e))
    }
}

#[cfg(target_os = "linux")]
fn sync_file_system(file: &std::fs::File) -> std::io::Result<()> {
    Ok(rustix::fs::syncfs(file)?)
}

/// All file systems: one alone cannot be asked for. macOS begins to write and does not wait for the drive, so that there a power cut may cost the last nodes.
#[cfg(not(target_os = "linux"))]
fn sync_file_system(_: &std::fs::File) -> std::io::Result<()> {
    rustix::fs::sync();
    Ok(())
}

fn format_of(root: &Path) -> Result<Option<u32>, StoreError> {
    let path = root.join("format");
    let text = match fs_err::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let number = text
        .trim()
        .strip_prefix("ablate store ")
        .and_then(|n| n.parse().ok());
    number.map(Some).ok_or(StoreError::Damaged {
        path,
        what: "not the format file of an ablate store".into(),
    })
}

fn lock_shared(root: &Path) -> Result<File, StoreError> {
    let path = root.join("lock");
    let file = fs_err::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)?
        .into_parts()
        .0;
    file.lock_shared().map_err(|e| StoreError::io(&path, e))?;
    Ok(file)
}

fn is_read_only(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem
    )
}
