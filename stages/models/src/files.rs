//! The files of a model folder that every architecture has.

use std::path::Path;

use ablate_core::StageError;
use serde::{Deserialize, de::DeserializeOwned};
use tokenizers::Tokenizer;

/// The files a tokenizer may have.
pub(crate) const TOKENIZER: [&str; 4] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
];

/// Copies those of `files` that the folder `from` has.
pub(crate) fn copy(files: &[&str], from: &Path, to: &Path) -> Result<(), StageError> {
    for name in files.iter().filter(|name| from.join(name).is_file()) {
        fs_err::copy(from.join(name), to.join(name))?;
    }
    Ok(())
}

/// Reads a JSON file; the error names it.
pub(crate) fn json<T: DeserializeOwned>(file: &Path) -> Result<T, StageError> {
    serde_json::from_slice(&fs_err::read(file)?)
        .map_err(|error| StageError::new(format!("`{}` cannot be read: {error}", file.display())))
}

/// Reads a `tokenizer.json`; the error names it.
pub(crate) fn load_tokenizer(file: &Path) -> Result<Tokenizer, StageError> {
    if !file.exists() {
        return Err(StageError::with_help(
            format!("there is no `{}`", file.display()),
            "have transformers write one: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)",
        ));
    }
    Tokenizer::from_bytes(fs_err::read(file)?)
        .map_err(|error| StageError::new(format!("`{}` is no tokenizer: {error}", file.display())))
}

/// The same of a file that need not be there.
pub(crate) fn optional_json<T: DeserializeOwned>(file: &Path) -> Result<Option<T>, StageError> {
    if file.exists() {
        json(file).map(Some)
    } else {
        Ok(None)
    }
}

/// Tokens that the tokenizer of a folder lets a text have; none said where it is a number that stands for no limit.
pub(crate) fn tokenizer_limit(folder: &Path) -> Result<Option<usize>, StageError> {
    #[derive(Deserialize)]
    struct Limit {
        model_max_length: Option<f64>,
    }
    const NO_LIMIT: f64 = 1e9;
    let limit: Option<Limit> = optional_json(&folder.join("tokenizer_config.json"))?;
    let limit = limit.and_then(|limit| limit.model_max_length);
    Ok(limit
        .filter(|tokens| (1.0..NO_LIMIT).contains(tokens))
        .map(|tokens| tokens as usize))
}
