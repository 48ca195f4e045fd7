//! Names of models: the catalogue, and folders by path.

mod catalogue;
mod fetch;

use std::path::{Path, PathBuf};

use ablate_core::{Digest, Places, SourceType, StageError, canon::Value, similar};

pub use catalogue::{Entry, File, catalogue};

/// The model sources.
pub static MODEL_SOURCE: ModelSource = ModelSource;

/// Resolves the name of a model.
pub struct ModelSource;

/// Whether a model of the catalogue is on this machine.
pub fn is_present(entry: &Entry, places: &Places) -> bool {
    fetch::folder(entry, places).is_dir()
}

fn find(text: &str) -> Option<&'static Entry> {
    catalogue().iter().find(|entry| entry.name == text)
}

/// `path:DIR`, `./DIR`, `../DIR` or `/DIR`.
fn path(text: &str, places: &Places) -> Option<PathBuf> {
    let named = text.strip_prefix("path:").or_else(|| {
        let is_path = ["./", "../", "/"].iter().any(|start| text.starts_with(start));
        is_path.then_some(text)
    });
    named.map(|path| places.base.join(path))
}

impl SourceType for ModelSource {
    fn name(&self) -> &'static str {
        "model"
    }

    fn about(&self) -> &'static str {
        "a name of the catalogue (`ablate models list`), or a folder as `path:DIR`, `./DIR` or `/DIR`"
    }

    fn examples(&self) -> Vec<&'static str> {
        catalogue().iter().map(|entry| entry.name).collect()
    }

    fn check(&self, text: &str) -> Result<(), String> {
        if find(text).is_some() || path(text, &Places::default()).is_some() {
            return Ok(());
        }
        let names: Vec<&str> = catalogue().iter().map(|entry| entry.name).collect();
        Err(match similar(text, names.iter().copied()).first() {
            Some(best) => format!("did you mean the model `{best}`?"),
            None => format!("the catalogue has {}; a folder is `path:DIR`", names.join(", ")),
        })
    }

    fn identity(&self, text: &str, places: &Places) -> String {
        path(text, places).map_or_else(|| text.to_owned(), |path| path.to_string_lossy().into_owned())
    }

    fn digest(&self, text: &str, places: &Places) -> Result<Option<Digest>, StageError> {
        if let Some(entry) = find(text) {
            return Ok(Some(entry.digest()));
        }
        let folder = path(text, places).ok_or_else(|| StageError::new(format!("`{text}` names no model")))?;
        folder_digest(&folder).map(Some)
    }

    fn fetch(&self, text: &str, places: &Places, report: &dyn Fn(&str)) -> Result<PathBuf, StageError> {
        match (find(text), path(text, places)) {
            (Some(entry), _) => fetch::fetch(entry, places, report),
            (None, Some(folder)) => Ok(folder),
            (None, None) => Err(StageError::new(format!("`{text}` names no model"))),
        }
    }
}

/// Over the names and bytes of the files of a folder, as the catalogue's digests are made.
fn folder_digest(folder: &Path) -> Result<Digest, StageError> {
    let mut files = Vec::new();
    list(folder, folder, &mut files)?;
    if files.is_empty() {
        return Err(StageError::new(format!(
            "{} holds no model files",
            folder.display()
        )));
    }
    Ok(digest_of(
        files.iter().map(|(name, digest)| (name.as_str(), *digest)),
    ))
}

fn list(root: &Path, folder: &Path, into: &mut Vec<(String, Digest)>) -> Result<(), StageError> {
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(root, &path, into)?;
        } else {
            let name = path
                .strip_prefix(root)
                .unwrap_or(&path)
                .to_string_lossy()
                .into_owned();
            into.push((name, file_digest(&path)?));
        }
    }
    Ok(())
}

fn file_digest(path: &Path) -> Result<Digest, StageError> {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update_mmap_rayon(path)
        .map_err(|error| StageError::new(format!("{}: {error}", path.display())))?;
    Ok(hasher.finalize().into())
}

fn digest_of<'a>(files: impl Iterator<Item = (&'a str, Digest)>) -> Digest {
    Value::map(files.map(|(name, digest)| (name, Value::text(digest)))).digest("ablate model v1")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_with_a_suggestion() {
        assert!(MODEL_SOURCE.check("all-minilm-l6-v2").is_ok());
        assert!(MODEL_SOURCE.check("path:models/mine").is_ok());
        let told = MODEL_SOURCE.check("all-minilm-l6").unwrap_err();
        assert_eq!(told, "did you mean the model `all-minilm-l6-v2`?");
    }

    #[test]
    fn a_catalogue_model_has_its_digest_without_its_files() {
        let places = Places {
            models: "/nowhere".into(),
            offline: true,
            ..Places::default()
        };
        let digest = MODEL_SOURCE.digest("smollm2-135m-instruct", &places).unwrap();
        assert!(digest.is_some());
        let error = MODEL_SOURCE
            .fetch("smollm2-135m-instruct", &places, &|_| {})
            .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("the model `smollm2-135m-instruct` is not on this machine"),
            "{error}"
        );
    }

    #[test]
    fn a_folder_changes_its_digest_with_any_byte() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places {
            base: folder.path().into(),
            ..Places::default()
        };
        fs_err::create_dir(folder.path().join("m")).unwrap();
        fs_err::write(folder.path().join("m/config.json"), "{}").unwrap();
        let before = MODEL_SOURCE.digest("path:m", &places).unwrap();
        fs_err::write(folder.path().join("m/config.json"), "{ }").unwrap();
        assert_ne!(MODEL_SOURCE.digest("./m", &places).unwrap(), before);
    }
}
