//! What the length of each document does to its scores.

use crate::{
    index::{BLOCK, Field, Unpacked},
    length,
    similarity::{Bm25, Variant},
};

/// The norms of a field, by document.
pub(crate) enum Norms {
    /// Lengths in a byte as Lucene keeps them, and the norm of each byte: small enough to stay in a cache.
    Bytes(Vec<u8>, Box<[f32; 256]>),
    /// Norms of exact lengths.
    Exact(Vec<f32>),
}

impl Norms {
    /// The norms of a field whose documents have so many terms at the mean.
    pub(crate) fn new(field: &Field, bm25: Bm25, average_length: f32) -> Self {
        let norm = |length: u32| of_length(length, bm25, average_length);
        if bm25.variant == Variant::Lucene {
            let known = std::array::from_fn(|byte| norm(length::decode(byte as u8)));
            Self::Bytes(field.lengths().map(length::encode).collect(), Box::new(known))
        } else {
            Self::Exact(field.lengths().map(norm).collect())
        }
    }

    /// The norm of one document.
    pub(crate) fn of_one(&self, document: u32) -> f32 {
        match self {
            Self::Bytes(bytes, known) => known[usize::from(bytes[document as usize])],
            Self::Exact(exact) => exact[document as usize],
        }
    }

    /// The norms of the documents of a block.
    pub(crate) fn of(&self, block: &Unpacked, into: &mut [f32; BLOCK]) {
        let norms = into.iter_mut().zip(block.documents());
        match self {
            Self::Bytes(bytes, known) => {
                norms.for_each(|(norm, document)| *norm = known[usize::from(bytes[*document as usize])]);
            }
            Self::Exact(exact) => norms.for_each(|(norm, document)| *norm = exact[*document as usize]),
        }
    }
}

/// The norm of a document of so many terms.
pub(super) fn of_length(length: u32, bm25: Bm25, average_length: f32) -> f32 {
    let kept = match bm25.variant {
        Variant::Lucene => length::decode(length::encode(length)),
        _ => length,
    };
    bm25.norm(kept as f32, average_length)
}
