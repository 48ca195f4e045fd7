//! The files a command declares: a script or a folder of them, whose bytes enter the key.

use std::path::{Path, PathBuf};

use ablate_core::{Digest, Places, SourceType, StageError, canon::Value};

/// A file or a folder beside the experiment.
pub struct FilesSource;

/// The one value.
pub const FILES_SOURCE: FilesSource = FilesSource;

fn path(text: &str, places: &Places) -> PathBuf {
    places.base.join(text)
}

impl SourceType for FilesSource {
    fn name(&self) -> &'static str {
        "file"
    }

    fn about(&self) -> &'static str {
        "the path of a file or a folder, from the experiment file"
    }

    fn examples(&self) -> Vec<&'static str> {
        vec!["mine.py"]
    }

    fn check(&self, text: &str) -> Result<(), String> {
        match text.trim().is_empty() {
            true => Err("write the path of a file or a folder".into()),
            false => Ok(()),
        }
    }

    fn identity(&self, text: &str, places: &Places) -> String {
        path(text, places).display().to_string()
    }

    fn digest(&self, text: &str, places: &Places) -> Result<Option<Digest>, StageError> {
        let root = path(text, places);
        let mut files = Vec::new();
        list(&root, &root, &mut files)?;
        let pairs = files
            .into_iter()
            .map(|(name, digest)| (name, Value::text(digest)));
        Ok(Some(Value::map(pairs).digest("ablate files v1")))
    }

    fn fetch(&self, text: &str, places: &Places, _: &dyn Fn(&str)) -> Result<PathBuf, StageError> {
        Ok(path(text, places))
    }
}

/// The files under `path` by their names below `root`; Python's byte code is no source.
fn list(root: &Path, path: &Path, into: &mut Vec<(String, Digest)>) -> Result<(), StageError> {
    if path.file_name().is_some_and(|name| name == "__pycache__") {
        return Ok(());
    }
    if path.is_dir() {
        for entry in fs_err::read_dir(path)? {
            list(root, &entry?.path(), into)?;
        }
        return Ok(());
    }
    let name = path
        .strip_prefix(root)
        .unwrap_or(path)
        .to_string_lossy()
        .into_owned();
    into.push((name, Digest::of(&fs_err::read(path)?)));
    Ok(())
}
