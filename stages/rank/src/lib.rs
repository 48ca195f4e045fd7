//! Analysers, BM25, exact dense search, reranking, scores of pairs, negatives.

pub mod analysis;
pub mod bm25;
mod dense;
mod negatives;
pub mod porter;
mod rerank;
mod retrieve;
mod score;
mod scoring;

pub use dense::RetrieveDense;
pub use negatives::Negatives;
pub use rerank::Rerank;
pub use retrieve::RetrieveBm25;
pub use score::Score;
