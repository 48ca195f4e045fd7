//! Models in memory: loaded once for all nodes of a run that follow each other with the same one.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use ablate_core::{Digest, LoadedModel, ModelKey, StageError};

/// The models loaded last.
#[derive(Default)]
pub(crate) struct Models(Mutex<Vec<(ModelKey, LoadedModel)>>);

impl Models {
    /// The model of `key`, from memory or loaded now.
    pub(crate) fn get(
        &self,
        key: ModelKey,
        load: &mut dyn FnMut() -> Result<LoadedModel, StageError>,
    ) -> Result<LoadedModel, StageError> {
        let mut models = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, model)) = models.iter().find(|(known, _)| *known == key) {
            return Ok(model.clone());
        }
        let model = load()?;
        models.push((key, model.clone()));
        Ok(model)
    }

    /// Drops all models but those a node is about to use: the device may not hold both.
    pub(crate) fn keep(&self, used: &BTreeSet<Digest>) {
        let mut models = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        models.retain(|((digest, ..), _)| used.contains(digest));
    }
}
