//! candle models: architectures, loading, tokenizers, and the catalogue of sources.

mod batches;
pub mod bert;
mod checkpoint;
pub mod decoder;
pub mod device;
pub mod distilbert;
pub mod encoder;
mod files;
pub mod generator;
mod gguf;
pub mod gradient_checkpointing;
mod mapped;
mod mixed_precision;
mod mode;
pub mod onnx;
pub mod ops;
pub mod params;
mod pass;
mod precision;
mod protobuf;
pub mod reranker;
mod sentencepiece;
pub mod source;
pub mod t5;
mod tuned;

pub use mode::Mode;
pub use precision::Precision;
pub use tuned::TunedGenerator;
