//! Operations of the encoders: one source for inference and training, with gradients.
//!
//! Texts travel *ragged*: the tokens of all texts of a batch stand in one `(tokens, hidden)` matrix, without padding,
//! and only attention and pooling know where a text begins ([`Segments`]). So a text's numbers cannot depend on the
//! batch it sat in. On the CPU every operation is a kernel whose reductions run in an order fixed by the shapes alone:
//! results are equal to the bit with any number of threads, and, where the CPU fuses multiply-adds, across
//! instruction sets. On other devices the same functions compose candle's differentiable operations.
#![expect(
    clippy::inline_always,
    reason = "vector instructions reach a function only if it is compiled into the one that was chosen for them"
)]

mod adamw;
mod adapted;
#[cfg(test)]
mod agreement;
mod attention;
pub mod decoder;
mod dropout;
mod gate;
mod gelu;
mod layer_norm;
mod linear;
mod masked;
mod math;
mod norm;
mod pool;
pub mod product;
mod relative;
mod rms_norm;
mod rounding;
mod row_gradients;
mod storage;

pub use adamw::{AdamW, Moments};
pub use adapted::adapted_linear;
pub use attention::attention;
pub use dropout::{Dropout, dropout};
pub use gate::{activated, gated};
pub use gelu::{feed_forward, gelu};
pub use layer_norm::layer_norm;
pub use linear::{linear, product_nn, product_nt};
pub use masked::{Masked, Turns, masked_attention};
pub use norm::squared_norm;
pub use pool::{normalize, pool_first, pool_mean};
pub use relative::{Attended, Distances, attend};
pub use rms_norm::rms_norm;
pub use rounding::rounded_to_bf16;
pub(crate) use storage::with_numbers;

use std::sync::Arc;

/// Where each text of a ragged batch stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segments(Arc<[usize]>);

impl Segments {
    /// Segments of these lengths, in tokens, one after the other.
    pub fn new(lengths: impl IntoIterator<Item = usize>) -> Self {
        Self(lengths.into_iter().collect())
    }

    /// Length of each text in tokens.
    pub fn lengths(&self) -> &[usize] {
        &self.0
    }

    /// Tokens of all texts.
    pub fn tokens(&self) -> usize {
        self.0.iter().sum()
    }

    /// The row at which each text begins.
    pub fn starts(&self) -> impl Iterator<Item = usize> {
        self.0.iter().scan(0, |next, length| {
            let start = *next;
            *next += length;
            Some(start)
        })
    }

    /// Length of the longest text.
    pub fn longest(&self) -> usize {
        self.0.iter().copied().max().unwrap_or(0)
    }

    /// Cuts the rows of `data`, `width` numbers each, into one slice per text.
    pub(crate) fn split<'a, T>(&self, mut data: &'a [T], width: usize) -> Vec<&'a [T]> {
        let mut take = |length: &usize| {
            let (head, tail) = data.split_at(length * width);
            data = tail;
            head
        };
        self.0.iter().map(&mut take).collect()
    }

    /// The same, for writing.
    pub(crate) fn split_mut<'a, T>(&self, mut data: &'a mut [T], width: usize) -> Vec<&'a mut [T]> {
        let mut parts = Vec::with_capacity(self.0.len());
        for length in self.0.iter() {
            let (head, tail) = data.split_at_mut(length * width);
            parts.push(head);
            data = tail;
        }
        parts
    }
}
