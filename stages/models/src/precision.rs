//! In what numbers models compute.

use candle_core::DType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What products are computed in. A generator that writes holds its weights and states in these numbers, too; training keeps
/// parameters, sums, norms and losses in f32 (`mixed_precision.rs`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// f32.
    #[default]
    F32,
    /// bf16 with sums in f32: faster on GPUs. A CPU rounds the numbers and multiplies them as f32, which is slower than `f32`.
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
