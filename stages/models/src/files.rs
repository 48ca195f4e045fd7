//! The files of a model folder that every architecture has.

use std::path::Path;

use ablate_core::StageError;
use serde::de::DeserializeOwned;
use tokenizers::Tokenizer;

/// Reads a JSON file; the error names it.
pub(crate) fn json<T: DeserializeOwned>(file: &Path) -> Result<T, StageError> {
    serde_json::from_slice(&fs_err::read(file)?)
        .map_err(|error| StageError::new(format!("`{}` cannot be read: {error}", file.display())))
}

/// Reads a `tokenizer.json`; the error names it.
pub(crate) fn load_tokenizer(file: &Path) -> Result<Tokenizer, StageError> {
    let bytes = fs_err::read(file)?;
    Tokenizer::from_bytes(bytes)
        .map_err(|error| StageError::new(format!("`{}` is no tokenizer: {error}", file.display())))
}
