//! In what numbers a model computes.

use candle_core::DType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The numbers of weights, states and products. Normalisation and attention's weights are computed in f32 either way, and
/// whatever is learned is kept so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits, 8 of them for the exponent: half the memory, and on a GPU several times the speed.
    Bf16,
}

impl Precision {
    /// Of tensors.
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
        }
    }

    /// The word in keys and notes.
    pub fn word(self) -> &'static str {
        self.dtype().as_str()
    }

    /// Whether it is what is computed in where nothing is said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
