//! Analysers, BM25, exact dense search, fusion, negatives.

pub mod analysis;
pub mod bm25;
mod dense;
pub mod feedback;
mod fuse;
mod length;
mod negatives;
pub mod porter;
mod retrieve;
pub mod similarity;

pub use dense::RetrieveDense;
pub use fuse::Fuse;
pub use negatives::Negatives;
pub use retrieve::RetrieveBm25;
