//! Llama decoders.
