//! The gradients of a batch, perhaps added up over its parts.

use std::collections::BTreeMap;

use ablate_models::{Mode, params::ParamStore};
use candle_core::{Result, Tensor};

/// A gradient for every trainable parameter that the loss reaches, by name.
#[derive(Default)]
pub struct Gradients(BTreeMap<String, Tensor>);

impl Gradients {
    /// Those of a scalar that was computed in this mode.
    pub fn of(loss: &Tensor, store: &ParamStore, mode: Mode<'_>) -> Result<Self> {
        let found = mode.backward(loss)?;
        let reached = store
            .trainable()
            .filter_map(|(name, variable)| Some((name.to_owned(), found.get(variable)?.clone())));
        Ok(Self(reached.collect()))
    }

    /// Adds those of another part of the batch.
    pub fn add(&mut self, other: Self) -> Result<()> {
        for (name, gradient) in other.0 {
            let sum = match self.0.get(&name) {
                Some(before) => (before + gradient)?,
                None => gradient,
            };
            self.0.insert(name, sum);
        }
        Ok(())
    }

    /// The gradient of a parameter, if the loss reaches it.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.get(name)
    }
}
