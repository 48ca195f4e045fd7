//! Commits in groups: a thousand tiny nodes must not cost a thousand syncs, a long node must be safe at once.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use ablate_cache::{ActionLock, Committed, Store, StoreError, Trace};
use ablate_core::{ActionKey, RecipeId};

/// How long a finished node may wait for company before it is committed.
const INTERVAL: Duration = Duration::from_millis(200);

/// Finished nodes on their way into the store.
pub(crate) struct Committer<'a> {
    store: &'a Store,
    waiting: Mutex<Waiting>,
}

struct Waiting {
    traces: Vec<Trace>,
    /// Held until the traces stand, so that no other process computes the same.
    locks: Vec<ActionLock>,
    recipes: Vec<(RecipeId, ActionKey)>,
    last: Instant,
}

impl<'a> Committer<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        let waiting = Waiting {
            traces: vec![],
            locks: vec![],
            recipes: vec![],
            last: Instant::now(),
        };
        Self {
            store,
            waiting: Mutex::new(waiting),
        }
    }

    /// Queues a computed node with the lock of its key.
    pub(crate) fn add(&self, recipe: RecipeId, trace: Trace, lock: ActionLock) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.recipes.push((recipe, trace.key));
        waiting.traces.push(trace);
        waiting.locks.push(lock);
    }

    /// Queues a recipe that led to a key which was there.
    pub(crate) fn add_recipe(&self, recipe: RecipeId, key: ActionKey) {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recipes
            .push((recipe, key));
    }

    /// Commits the queue if the last commit is long enough ago. Answers with warnings.
    pub(crate) fn tick(&self) -> Result<Vec<String>, StoreError> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.last.elapsed() < INTERVAL {
            Ok(vec![])
        } else {
            self.write(&mut waiting)
        }
    }

    /// Commits what waits.
    pub(crate) fn flush(&self) -> Result<Vec<String>, StoreError> {
        self.write(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, waiting: &mut Waiting) -> Result<Vec<String>, StoreError> {
        let traces = std::mem::take(&mut waiting.traces);
        let recipes = std::mem::take(&mut waiting.recipes);
        let mut warnings = Vec::new();
        if !traces.is_empty() && !self.store.is_read_only() {
            for (trace, committed) in traces.iter().zip(self.store.commit(&traces)?) {
                self.store.remove_checkpoints(trace.key)?;
                if let Committed::Differs(_) = committed {
                    let key = trace.key.0.short();
                    warnings.push(format!(
                        "key {key} was computed twice with different content: the first is kept"
                    ));
                }
            }
        }
        self.store.record_recipes(&recipes)?;
        waiting.locks.clear();
        waiting.last = Instant::now();
        Ok(warnings)
    }
}
