//! Analysers, BM25, exact dense search, negatives.

pub mod analysis;
pub mod bm25;
mod dense;
mod negatives;
pub mod porter;
mod retrieve;

pub use dense::RetrieveDense;
pub use negatives::Negatives;
pub use retrieve::RetrieveBm25;
