//! Rows of numbers, and the linear layers they go through.

use std::sync::Arc;

use crate::ops::product::{Matrix, Packed, multiply_shared};

/// A linear layer: its weights in parts, side by side.
pub(in crate::decoder) struct Linear {
    pub(super) parts: Vec<Arc<Packed>>,
    pub(super) width: usize,
    pub(super) bias: Option<Vec<f32>>,
}

impl Linear {
    /// `x · weights` into rows of `out`, added to what stands there if `add`.
    pub(super) fn multiply(&self, x: &States, out: &mut [f32], add: bool) {
        let mut first = 0;
        for part in &self.parts {
            multiply_shared(x.matrix(), part, &mut out[first..], self.width, add);
            first += part.cols();
        }
    }
}

/// Rows of `width` numbers, `stride` apart.
pub(in crate::decoder) struct States {
    pub(super) numbers: Vec<f32>,
    pub(super) width: usize,
    pub(super) stride: usize,
}

impl States {
    pub(super) fn new(numbers: Vec<f32>, width: usize) -> Self {
        Self {
            numbers,
            width,
            stride: width,
        }
    }

    pub(super) fn tokens(&self) -> usize {
        self.numbers.len() / self.stride
    }

    pub(super) fn matrix(&self) -> Matrix<'_> {
        Matrix::window(&self.numbers, self.tokens(), self.width, self.stride)
    }
}
