//! GGUF files: configuration, weights and tokenizer of a decoder in one file, as llama.cpp writes them.

mod blocks;
mod metadata;
mod tensors;
mod tokenizer;
mod types;

use std::path::Path;

use ablate_core::StageError;

use crate::{
    decoder::{Family, Settings},
    generator::{Opened, Reader},
};
use metadata::Metadata;
use tensors::Tensors;

/// Opens a file; weights are read when they are taken.
pub(crate) fn open(path: &Path) -> Result<Opened, StageError> {
    let mut tensors = Tensors::open(path)?;
    let file = format!("`{}`", path.display());
    let metadata = Metadata::new(tensors.take_metadata(), path);
    let (family, layout) = Family::of_gguf(&metadata.text("general.architecture")?, &file)?;
    let values = metadata.settings(&tensors)?;
    let config = family.config(&Settings::new(values.clone()), &file)?;
    Ok(Opened {
        family,
        settings: values,
        config,
        layout: *layout,
        reader: Reader {
            tokenizer: tokenizer::rebuilt(&metadata)?,
            begin: tokenizer::begin(&metadata)?,
            ends: tokenizer::ends(&metadata)?,
            chat_template: metadata.optional_text("tokenizer.chat_template"),
        },
        weights: Box::new(tensors),
    })
}
