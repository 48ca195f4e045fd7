//! The row memo: what a row-wise stage computed of a row, under the digest of everything the row depends on.
//!
//! ```text
//! memo/<namespace>/namespace.json    what the rows have in common: function, version, model, parameters
//! memo/<namespace>/<digest>.parquet  segments, each sorted by key; only ever added, and merged when they are many
//! ```
//!
//! Any number of processes append at once: a segment has a name of its own. Two that compute the same row write it
//! twice, which merging undoes.

use std::{
    collections::BTreeSet,
    fs::TryLockError,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use ablate_core::{Digest, canon};

use crate::{Store, StoreError, files, gate::Gate, segment, verify::entries};

/// How much work a kill may cost: rows are written when both are reached, or when `longest` is.
#[derive(Clone, Copy, Debug)]
pub struct FlushPolicy {
    /// Fewer rows wait for company.
    pub rows: usize,
    /// The longest wait.
    pub longest: Duration,
}

impl Default for FlushPolicy {
    fn default() -> Self {
        Self {
            rows: 64,
            longest: Duration::from_secs(30),
        }
    }
}

/// Even many rows wait this share of [`FlushPolicy::longest`], so that fast rows make no heap of small files.
const SHORTEST: u32 = 15;
/// Segments are merged when there are this many small ones.
const MERGE: usize = 16;
/// Segments of this size are left as they are: a damaged one costs no more than this.
const LARGE: u64 = 64 << 20;

/// The rows of one namespace.
#[derive(Debug)]
pub struct Memo {
    folder: PathBuf,
    partial: PathBuf,
    read_only: bool,
    policy: FlushPolicy,
    waiting: Mutex<Waiting>,
    gate: Gate,
}

#[derive(Debug)]
struct Waiting {
    rows: segment::Rows,
    last: Instant,
}

/// What a look into the memo gave.
#[derive(Debug, Default)]
pub struct Recalled {
    /// By key, in the order asked; `None` where nothing is known.
    pub values: Vec<Option<Vec<u8>>>,
    /// Damaged segments. They were taken out: their rows are computed again.
    pub damaged: Vec<PathBuf>,
}

impl Store {
    /// The memo of the rows that have `namespace` in common.
    pub fn memo(&self, namespace: &canon::Value, policy: FlushPolicy) -> Result<Memo, StoreError> {
        let name = namespace.digest("ablate memo v1");
        let folder = self.root().join("memo").join(name.to_string());
        let partial = self.root().join("partial");
        if folder.join("namespace.json").exists() {
            self.mark_used(&folder.join("namespace.json"));
        } else if !self.is_read_only() {
            self.gate.pass(&folder)?;
            fs_err::create_dir_all(&folder)?;
            let text = serde_json::to_string(namespace).map_err(std::io::Error::from)?;
            files::write_atomic(
                &partial,
                &folder.join("namespace.json"),
                files::sealed(&text).as_bytes(),
            )?;
        }
        let waiting = Mutex::new(Waiting {
            rows: segment::Rows::new(),
            last: Instant::now(),
        });
        Ok(Memo {
            folder,
            partial,
            read_only: self.is_read_only(),
            policy,
            waiting,
            gate: self.gate.clone(),
        })
    }
}

impl Store {
    /// Dates a namespace, for a collector that takes old ones. Best effort: a wrong date only costs time.
    fn mark_used(&self, path: &Path) {
        let file = fs_err::OpenOptions::new().append(true).open(path);
        file.and_then(|file| file.file().set_modified(SystemTime::now()))
            .ok();
    }
}

impl Memo {
    /// What is known of `keys`.
    pub fn recall(&self, keys: &[Digest]) -> Result<Recalled, StoreError> {
        // A segment may be merged away between listing and opening it: then the list is read again.
        for _ in 0..8 {
            match self.try_recall(keys) {
                Err(StoreError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {}
                other => return other,
            }
        }
        self.try_recall(keys)
    }

    fn try_recall(&self, keys: &[Digest]) -> Result<Recalled, StoreError> {
        let wanted: Vec<Digest> = keys
            .iter()
            .copied()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let (mut rows, mut damaged) = (segment::Rows::new(), Vec::new());
        for path in segments(&self.folder)? {
            if segment::damage(&path)?.is_some() {
                self.discard(&path)?;
                damaged.push(path);
                continue;
            }
            let found = segment::read(&path, &wanted)?;
            found
                .iter()
                .for_each(|(key, value)| segment::keep(&mut rows, *key, value));
        }
        let values = keys.iter().map(|key| rows.get(key).cloned()).collect();
        Ok(Recalled { values, damaged })
    }

    /// Takes a damaged segment out: its rows are computed again.
    fn discard(&self, path: &Path) -> Result<(), StoreError> {
        match fs_err::remove_file(path) {
            Err(error) if !self.read_only && error.kind() != std::io::ErrorKind::NotFound => {
                Err(error.into())
            }
            _ => Ok(()),
        }
    }

    /// Adds a row. It is written with others when it is time; [`Memo::flush`] writes at once.
    pub fn keep(&self, key: Digest, value: Vec<u8>) -> Result<(), StoreError> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.rows.insert(key, value);
        let (count, waited, longest) = (waiting.rows.len(), waiting.last.elapsed(), self.policy.longest);
        let due = waited >= longest || (count >= self.policy.rows && waited >= longest / SHORTEST);
        if due { self.write(&mut waiting) } else { Ok(()) }
    }

    /// Writes what waits, and merges small segments if there are many.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.write(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, waiting: &mut Waiting) -> Result<(), StoreError> {
        waiting.last = Instant::now();
        if waiting.rows.is_empty() || self.read_only {
            return Ok(());
        }
        self.gate.pass(&self.folder)?;
        segment::write(&self.partial, &self.folder, &waiting.rows)?;
        waiting.rows.clear();
        self.merge()
    }

    /// Merges the small segments into one if there are many. One process at a time; others go on without.
    pub fn merge(&self) -> Result<(), StoreError> {
        let small = self.small()?;
        if small.len() < MERGE {
            return Ok(());
        }
        let path = self.folder.join("lock");
        let lock = fs_err::OpenOptions::new().create(true).append(true).open(&path)?;
        match lock.file().try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(StoreError::io(&path, error)),
        }
        let (mut rows, mut read) = (segment::Rows::new(), Vec::new());
        for path in self.small()? {
            // What is damaged is told by the next look, or by `verify`.
            if segment::damage(&path)?.is_none() {
                let found = segment::read_all(&path)?;
                found
                    .iter()
                    .for_each(|(key, value)| segment::keep(&mut rows, *key, value));
                read.push(path);
            }
        }
        self.gate.pass(&self.folder)?;
        let merged = segment::write(&self.partial, &self.folder, &rows)?;
        for path in read.iter().filter(|path| **path != merged) {
            fs_err::remove_file(path)?;
        }
        Ok(())
    }

    /// The segments worth merging: none that is larger than all smaller ones together, so that each row is rewritten
    /// a logarithmic number of times.
    fn small(&self) -> Result<Vec<PathBuf>, StoreError> {
        let sized = segments(&self.folder)?.into_iter().filter_map(|path| {
            let size = fs_err::metadata(&path).ok()?.len();
            (size < LARGE).then_some((size, path))
        });
        let mut sized: Vec<_> = sized.collect();
        sized.sort();
        let (mut small, mut sum) = (Vec::new(), 0);
        for (size, path) in sized {
            if small.len() >= MERGE && size > sum {
                break;
            }
            sum += size;
            small.push(path);
        }
        Ok(small)
    }
}

impl Drop for Memo {
    fn drop(&mut self) {
        // Best effort: a stage that ends well flushes itself and hears of errors.
        self.flush().ok();
    }
}

/// The segments of a namespace, in the order of their names.
pub(crate) fn segments(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut paths = entries(folder)?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "parquet"));
    Ok(paths)
}
