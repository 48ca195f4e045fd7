//! The gate every write of a store passes, so that a test can refuse any one of them as a full disk or a lost
//! permission would.

use std::{fmt, io, path::Path, sync::Arc};

use crate::{Store, StoreError};

/// Decides about a write to a path.
pub type Refuse = dyn Fn(&Path) -> io::Result<()> + Send + Sync;

/// Open, unless a test says otherwise.
#[derive(Clone, Default)]
pub(crate) struct Gate(Option<Arc<Refuse>>);

impl Gate {
    /// Called before anything is written to `path`.
    pub(crate) fn pass(&self, path: &Path) -> Result<(), StoreError> {
        let refused = self.0.as_ref().map_or(Ok(()), |refuse| refuse(path));
        refused.map_err(|error| StoreError::io(path, error))
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "guarded" } else { "open" })
    }
}

impl Store {
    /// The same store, whose writes `refuse` may fail: for tests of what a fault costs.
    #[must_use]
    pub fn guarded(mut self, refuse: Arc<Refuse>) -> Self {
        self.gate = Gate(Some(refuse));
        self
    }
}
