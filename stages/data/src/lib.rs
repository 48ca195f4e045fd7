//! Collections in and out: BEIR folders, the demo collection, sampling.

mod beir;
mod collection;
mod demo;
mod files;
mod sample;
mod source;

pub use collection::Collection;
pub use sample::Sample;
pub use source::{COLLECTION_SOURCE, CollectionSource};
