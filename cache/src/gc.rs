//! What nobody needs any more, and taking it out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::TryLockError,
    path::{Path, PathBuf},
    time::Duration,
};

use ablate_core::{ActionKey, FileDigest};

use crate::{
    Store, StoreError, Trace,
    verify::{entries, sharded},
};

/// What can go.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Garbage {
    /// Files and folders with their size in bytes.
    pub paths: BTreeMap<PathBuf, u64>,
}

impl Garbage {
    /// Bytes in all.
    pub fn bytes(&self) -> u64 {
        self.paths.values().sum()
    }
}

impl Store {
    /// Opens the store for a collector: nobody else may have it open. `None` if somebody has.
    pub fn open_alone(root: impl Into<PathBuf>) -> Result<Option<Self>, StoreError> {
        let mut store = Self::open(root)?;
        let Some(lock) = store.take_lock() else {
            return Err(StoreError::Refused(format!(
                "{} is read-only",
                store.root().display()
            )));
        };
        match lock.try_lock() {
            Ok(()) => {
                store.put_lock(lock);
                Ok(Some(store))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(StoreError::io(store.root(), error)),
        }
    }

    /// Every sound trace.
    pub fn traces(&self) -> Result<Vec<Trace>, StoreError> {
        let mut traces = Vec::new();
        for path in sharded(&self.root().join("traces"))? {
            let name = path.file_stem().map(|name| name.to_string_lossy());
            let key = name.and_then(|name| name.parse().ok()).map(ActionKey);
            traces.extend(key.and_then(|key| self.trace(key).ok().flatten()));
        }
        Ok(traces)
    }

    /// The objects behind `keys`, with their bytes.
    pub fn objects_of(&self, keys: &BTreeSet<ActionKey>) -> Result<BTreeMap<FileDigest, u64>, StoreError> {
        let mut objects = BTreeMap::new();
        for key in keys {
            if let Ok(Some(trace)) = self.trace(*key) {
                objects.extend(trace.outputs.iter().map(|output| (output.file, output.bytes)));
            }
        }
        Ok(objects)
    }

    /// Objects that no key of `kept` leads to, checkpoints of what is finished, and leftovers of kills. Traces stay:
    /// they are small, and let what was made of a removed object be reused.
    pub fn garbage(&self, kept: &BTreeSet<ActionKey>) -> Result<Garbage, StoreError> {
        let reachable: BTreeSet<PathBuf> = self
            .objects_of(kept)?
            .into_keys()
            .map(|file| self.object_path(file))
            .collect();
        let mut garbage = Garbage::default();
        for path in sharded(&self.root().join("objects"))? {
            if !reachable.contains(&path) {
                garbage.paths.insert(path.clone(), size(&path)?);
            }
        }
        for path in entries(&self.root().join("partial"))? {
            if !self.is_needed(&path) {
                garbage.paths.insert(path.clone(), size(&path)?);
            }
        }
        Ok(garbage)
    }

    /// Whether something in `partial/` is the checkpoint of a computation that is not finished.
    fn is_needed(&self, path: &Path) -> bool {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let key = name.as_deref().and_then(|name| name.strip_prefix("checkpoints-"));
        let Some(key) = key.and_then(|key| key.parse().ok()).map(ActionKey) else {
            return false;
        };
        let whole = |trace: &Trace| trace.outputs.iter().all(|output| self.has_object(output.file));
        !self.trace(key).ok().flatten().is_some_and(|trace| whole(&trace))
    }

    /// Removes it. Only on a store opened alone is nobody surprised.
    pub fn collect(&self, garbage: &Garbage) -> Result<(), StoreError> {
        for path in garbage.paths.keys() {
            let _: () = if path.is_dir() {
                fs_err::remove_dir_all(path)?;
            } else {
                fs_err::remove_file(path)?;
            };
        }
        Ok(())
    }

    /// Rows of the memo that no stage has looked up for so long.
    pub fn unused_memo(&self, age: Duration) -> Result<Garbage, StoreError> {
        let mut garbage = Garbage::default();
        for namespace in entries(&self.root().join("memo"))? {
            let used = fs_err::metadata(namespace.join("namespace.json")).and_then(|file| file.modified());
            // A clock that went backwards makes rows young, never old.
            let unused = used.map_or(Duration::MAX, |used| used.elapsed().unwrap_or_default());
            if unused > age {
                garbage.paths.insert(namespace.clone(), size(&namespace)?);
            }
        }
        Ok(garbage)
    }

    /// Bytes of the row memo.
    pub fn memo_bytes(&self) -> Result<u64, StoreError> {
        size(&self.root().join("memo"))
    }
}

/// Bytes of a file, or of everything in a folder; 0 if it is not there.
fn size(path: &Path) -> Result<u64, StoreError> {
    if !path.is_dir() {
        return Ok(fs_err::metadata(path).map_or(0, |file| file.len()));
    }
    entries(path)?.iter().map(|path| size(path)).sum()
}
