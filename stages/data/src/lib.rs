//! Collections in and out: BEIR's archives and folders, datasets of the hub, TREC's files, the demo collection, sampling, judged pairs.

mod archives;
mod beir;
mod collection;
mod demo;
mod files;
mod format;
mod found;
mod layout;
mod name;
mod pairs;
mod sample;
mod snapshot;
mod sorted;
mod source;

pub use collection::Collection;
pub use pairs::Pairs;
pub use sample::Sample;
pub use source::{COLLECTION_SOURCE, CollectionSource};
