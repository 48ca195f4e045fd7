//! One lock file per action: two processes on one store share work. The operating system frees the lock of a dead
//! process, so nothing is ever left to clear.

use std::fs::{File, TryLockError};

use ablate_core::ActionKey;

use crate::{Store, StoreError};

/// Held while an action is being computed; freed on drop, or by the end of the process.
#[derive(Debug)]
pub struct ActionLock {
    _file: Option<File>,
}

impl Store {
    /// Takes the lock of `key` if nobody holds it. On a read-only store there is nothing to lock.
    pub fn try_lock(&self, key: ActionKey) -> Result<Option<ActionLock>, StoreError> {
        if self.is_read_only() {
            return Ok(Some(ActionLock { _file: None }));
        }
        let path = self.root().join("locks").join(key.to_string());
        self.gate.pass(&path)?;
        let file = fs_err::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)?
            .into_parts()
            .0;
        match file.try_lock() {
            Ok(()) => Ok(Some(ActionLock { _file: Some(file) })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(StoreError::io(&path, error)),
        }
    }
}
