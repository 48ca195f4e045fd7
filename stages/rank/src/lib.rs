//! Analysers, BM25, vectors and exact search among them, reranking, fusion, scores of pairs and of triples, negatives, and how well
//! queries find the documents they were written from.

pub mod analysis;
pub mod bm25;
mod dense;
pub mod feedback;
mod fuse;
mod hardness;
mod hits;
pub mod index;
mod index_bm25;
mod length;
mod negatives;
pub mod porter;
mod rerank;
mod retrieve;
pub mod round_trip;
mod score;
mod scoring;
pub mod similarity;
mod teacher;

pub use dense::{Embed, RetrieveDense};
pub use fuse::Fuse;
pub use hardness::Hardness;
pub use index_bm25::IndexBm25;
pub use negatives::{DenoiseNegatives, MixNegatives, Negatives};
pub use rerank::Rerank;
pub use retrieve::RetrieveBm25;
pub use score::Score;
pub use teacher::Teacher;
