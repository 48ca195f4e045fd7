//! Gradient checkpointing (Chen et al., 2016, arXiv:1604.06174): of a pass only the states between its layers are kept, and a layer
//! is computed again when its gradients are asked for. Dropout is a function of a layer's name, so both times its masks are the same.
//!
//! The graph is cut behind every layer: what the layer gave is a leaf, whose gradient tells those of the layer's own leaves, its
//! parameters and the states it was computed of. Contributions to a leaf are added up in the order of an uncut graph, so the
//! gradients are the same to the bit.

use std::sync::{Mutex, PoisonError};

use candle_core::{Result, Tensor, Var, backprop::GradStore};

/// The layers of a pass that are to be computed again.
#[derive(Default)]
pub struct Tape(Mutex<Vec<Layer>>);

struct Layer {
    compute: Box<dyn Fn() -> Result<Tensor> + Send + Sync>,
    /// What it gave, cut off from what it was computed of.
    gave: Var,
}

impl Tape {
    /// What `compute` gives, as a leaf.
    pub(crate) fn layer(
        &self,
        compute: impl Fn() -> Result<Tensor> + Send + Sync + 'static,
    ) -> Result<Tensor> {
        let out = compute()?;
        if !out.track_op() {
            return Ok(out);
        }
        let gave = Var::from_tensor(&out)?;
        let leaf = gave.as_tensor().clone();
        let compute = Box::new(compute);
        self.layers().push(Layer { compute, gave });
        Ok(leaf)
    }

    /// The gradients of a scalar that was computed of the layers; they are forgotten.
    pub(crate) fn backward(&self, scalar: &Tensor) -> Result<GradStore> {
        let layers = std::mem::take(&mut *self.layers());
        let mut gradients = scalar.backward()?;
        for layer in layers.into_iter().rev() {
            // A layer that the scalar does not reach has none.
            if let Some(gradient) = gradients.remove(&layer.gave) {
                pull(&(layer.compute)()?, &gradient, &mut gradients)?;
            }
        }
        Ok(gradients)
    }

    fn layers(&self) -> std::sync::MutexGuard<'_, Vec<Layer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds to the gradients of the leaves of `out` what its own gradient comes to.
fn pull(out: &Tensor, gradient: &Tensor, gradients: &mut GradStore) -> Result<()> {
    let leaves: Vec<&Tensor> = out
        .sorted_nodes()
        .into_iter()
        .filter(|node| node.is_variable())
        .collect();
    let mut scalar = (out * gradient)?.sum_all()?;
    for leaf in &leaves {
        // Of a product with a constant the gradient is that constant: what later layers have added up comes first.
        if let Some(known) = gradients.remove(leaf) {
            scalar = (scalar + (*leaf * known)?.sum_all()?)?;
        }
    }
    let mut found = scalar.backward()?;
    for leaf in leaves {
        if let Some(gradient) = found.remove(leaf) {
            gradients.insert(leaf, gradient);
        }
    }
    Ok(())
}
