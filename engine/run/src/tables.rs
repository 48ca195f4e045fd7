//! Tables read in this run: a corpus that a thousand nodes read is read, verified and decoded once.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use ablate_cache::{OutputRecord, Store, StoreError};
use ablate_core::FileDigest;
use arrow::array::RecordBatch;

/// Bytes of decoded tables kept at most.
const MOST: usize = 256 << 20;

/// The tables read last.
#[derive(Debug, Default)]
pub(crate) struct Tables(Mutex<VecDeque<(FileDigest, RecordBatch)>>);

impl Tables {
    /// The rows of `record`, from memory or from the store, which verifies them.
    pub(crate) fn read(&self, store: &Store, record: &OutputRecord) -> Result<RecordBatch, StoreError> {
        if let Some(batch) = self.recall(record.file) {
            return Ok(batch);
        }
        let batch = store.read_rows(record)?;
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tables.push_front((record.file, batch.clone()));
        let size = |tables: &VecDeque<(FileDigest, RecordBatch)>| -> usize {
            tables
                .iter()
                .map(|(_, batch)| batch.get_array_memory_size())
                .sum()
        };
        while size(&tables) > MOST {
            tables.pop_back();
        }
        Ok(batch)
    }

    fn recall(&self, file: FileDigest) -> Option<RecordBatch> {
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = tables.iter().position(|(known, _)| *known == file)?;
        let found = tables.remove(at)?;
        tables.push_front(found.clone());
        Some(found.1)
    }
}
