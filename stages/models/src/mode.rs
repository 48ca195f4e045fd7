//! What a pass through a model is for.

use ablate_core::Seed;
use candle_core::{Result, Tensor, backprop::GradStore};

use crate::{Precision, gradient_checkpointing::Tape, ops::Dropout};

/// Whether a pass is for use or for training.
#[derive(Clone, Copy)]
pub enum Mode<'t> {
    /// No gradients, no dropout.
    Inference,
    /// Gradients, and dropout from streams named by layer below `seed`.
    Train {
        /// The seed of the step.
        seed: Seed,
        /// Dropout probability; the configuration's own if `None`.
        dropout: Option<f32>,
        /// What products are computed in.
        precision: Precision,
        /// Where layers are noted that are computed again for their gradients; `None` if the graph of all of them is kept.
        tape: Option<&'t Tape>,
    },
}

impl Mode<'_> {
    /// Training in f32 with the whole graph.
    pub fn train(seed: Seed, dropout: Option<f32>) -> Self {
        Self::Train {
            seed,
            dropout,
            precision: Precision::F32,
            tape: None,
        }
    }

    /// The same with products in `precision`; of no account to inference.
    #[must_use]
    pub fn in_precision(mut self, wanted: Precision) -> Self {
        if let Self::Train { precision, .. } = &mut self {
            *precision = wanted;
        }
        self
    }

    /// What products are computed in.
    pub(crate) fn precision(self) -> Precision {
        match self {
            Self::Inference => Precision::F32,
            Self::Train { precision, .. } => precision,
        }
    }

    /// The same with gradient checkpointing, layers noted on `tape`.
    #[must_use]
    pub fn checkpointed(self, tape: &Tape) -> Mode<'_> {
        self.on(Some(tape))
    }

    fn on(self, tape: Option<&Tape>) -> Mode<'_> {
        match self {
            Self::Inference => Mode::Inference,
            Self::Train {
                seed,
                dropout,
                precision,
                ..
            } => Mode::Train {
                seed,
                dropout,
                precision,
                tape,
            },
        }
    }

    /// Whether the pass is for training.
    pub fn is_training(self) -> bool {
        matches!(self, Self::Train { .. })
    }

    /// The mode of a part of a batch, which draws from streams of its own.
    #[must_use]
    pub fn child(mut self, part: usize) -> Self {
        if let Self::Train { seed, .. } = &mut self {
            *seed = seed.child(&format!("part {part}"));
        }
        self
    }

    /// The gradients of a scalar that was computed in this mode.
    ///
    /// # Errors
    /// As candle's `backward`, and if a layer cannot be computed again.
    pub fn backward(self, scalar: &Tensor) -> Result<GradStore> {
        match self {
            Self::Train { tape: Some(tape), .. } => tape.backward(scalar),
            _ => scalar.backward(),
        }
    }

    /// What a layer gives: `compute` knows all it is computed of, and computes in the mode [`Self::inside`]. What several layers are
    /// computed of is what a layer gives, or a parameter.
    pub(crate) fn layer(
        self,
        compute: impl Fn() -> Result<Tensor> + Send + Sync + 'static,
    ) -> Result<Tensor> {
        match self {
            Self::Train { tape: Some(tape), .. } => tape.layer(compute),
            _ => compute(),
        }
    }

    /// The mode inside a layer.
    pub(crate) fn inside(self) -> Mode<'static> {
        self.on(None)
    }

    /// The dropout of `layer`, where the configuration says `probability`.
    pub(crate) fn dropout(self, layer: &str, probability: f32) -> Option<Dropout> {
        let Self::Train { seed, dropout, .. } = self else {
            return None;
        };
        let probability = dropout.unwrap_or(probability);
        (probability > 0.0).then(|| Dropout::new(probability, &seed.child(layer)))
    }
}
