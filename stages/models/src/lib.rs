//! candle models: architectures, loading, tokenizers, and the catalogue of sources.

pub mod bert;
pub mod device;
pub mod distilbert;
pub mod encoder;
pub mod gguf;
pub mod llama;
pub mod ops;
pub mod params;
pub mod source;
