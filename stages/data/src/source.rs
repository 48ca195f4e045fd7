//! Names of collections: `demo`, `beir/NAME`, a folder.

use std::path::{Path, PathBuf};

use ablate_core::{Digest, Places, SourceType, StageError, canon::Value};

use crate::{beir::SPLITS, demo, files};

/// The collection sources.
pub static COLLECTION_SOURCE: CollectionSource = CollectionSource;

/// Resolves the name of a collection.
pub struct CollectionSource;

/// The files of a collection, by name.
pub(crate) fn load(text: &str, places: &Places) -> Result<Vec<(String, Vec<u8>)>, StageError> {
    if text == "demo" {
        return Ok(demo::FILES
            .iter()
            .map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()))
            .collect());
    }
    let folder = folder(text, places)?;
    let mut loaded = Vec::new();
    for (name, required) in names() {
        match files::find(&folder, &name) {
            Some(path) => loaded.push((name, files::read(&path)?)),
            None if required => return Err(missing(&folder, &name)),
            None => {}
        }
    }
    Ok(loaded)
}

/// The files of the BEIR layout, and whether each must be there.
fn names() -> Vec<(String, bool)> {
    let fixed = [
        ("corpus.jsonl".to_owned(), true),
        ("queries.jsonl".to_owned(), true),
    ];
    fixed
        .into_iter()
        .chain(SPLITS.map(|split| (format!("qrels/{split}.tsv"), false)))
        .collect()
}

fn missing(folder: &Path, name: &str) -> StageError {
    let message = format!("{} has no {name} (nor {name}.gz, {name}.zst)", folder.display());
    StageError::with_help(
        message,
        "a collection is a folder in BEIR layout: corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv",
    )
}

/// The folder of a collection.
fn folder(text: &str, places: &Places) -> Result<PathBuf, StageError> {
    if let Some(name) = text.strip_prefix("beir/") {
        let tried: Vec<PathBuf> = places.data.iter().map(|data| data.join(name)).collect();
        return tried.iter().find(|path| path.is_dir()).cloned().ok_or_else(|| {
            let tried: Vec<_> = tried.iter().map(|path| path.display().to_string()).collect();
            let message = format!(
                "the collection `{text}` is not on this machine; looked in {}",
                tried.join(", ")
            );
            StageError::with_help(
                message,
                format!("set ABLATE_DATA to the folder that holds `{name}/` in BEIR layout"),
            )
        });
    }
    let path = places.base.join(text);
    if path.is_dir() {
        Ok(path)
    } else {
        Err(StageError::new(format!("{} is no folder", path.display())))
    }
}

impl SourceType for CollectionSource {
    fn name(&self) -> &'static str {
        "collection"
    }

    fn about(&self) -> &'static str {
        "`demo` (in the program), `beir/NAME` (below `ABLATE_DATA`), or a folder in BEIR layout as `./NAME`"
    }

    fn examples(&self) -> Vec<&'static str> {
        vec!["demo", "beir/scifact"]
    }

    fn check(&self, text: &str) -> Result<(), String> {
        let path = text.contains('/') || text.starts_with('.');
        match text == "demo" || path {
            true => Ok(()),
            false => Err("a collection is `demo`, `beir/NAME`, or a folder, as `./NAME`".into()),
        }
    }

    fn identity(&self, text: &str, places: &Places) -> String {
        match text == "demo" || text.starts_with("beir/") {
            true => text.to_owned(),
            false => places.base.join(text).to_string_lossy().into_owned(),
        }
    }

    /// Over the names and bytes of the decompressed files, so that compressing a collection does not change it.
    fn digest(&self, text: &str, places: &Places) -> Result<Option<Digest>, StageError> {
        let files = load(text, places)?;
        let value = Value::map(
            files
                .iter()
                .map(|(name, bytes)| (name.as_str(), Value::text(Digest::of(bytes)))),
        );
        Ok(Some(value.digest("ablate collection v1")))
    }

    fn fetch(&self, text: &str, places: &Places, _report: &dyn Fn(&str)) -> Result<PathBuf, StageError> {
        if text == "demo" {
            Ok(places.base.clone())
        } else {
            folder(text, places)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn compression_does_not_change_a_collection() {
        let corpus = "{\"_id\":\"a\",\"text\":\"x\"}\n";
        let write = |compress: bool| {
            let folder = tempfile::tempdir().unwrap();
            fs_err::write(
                folder.path().join("queries.jsonl"),
                "{\"_id\":\"q\",\"text\":\"y\"}\n",
            )
            .unwrap();
            if compress {
                let file = fs_err::File::create(folder.path().join("corpus.jsonl.gz")).unwrap();
                let mut gz = flate2::write::GzEncoder::new(file, flate2::Compression::default());
                gz.write_all(corpus.as_bytes()).unwrap();
                gz.finish().unwrap();
                fs_err::create_dir(folder.path().join("qrels")).unwrap();
                let qrels = zstd::encode_all("query-id\tcorpus-id\tscore\nq\ta\t1\n".as_bytes(), 3).unwrap();
                fs_err::write(folder.path().join("qrels/test.tsv.zst"), qrels).unwrap();
            } else {
                fs_err::write(folder.path().join("corpus.jsonl"), corpus).unwrap();
                fs_err::create_dir(folder.path().join("qrels")).unwrap();
                fs_err::write(
                    folder.path().join("qrels/test.tsv"),
                    "query-id\tcorpus-id\tscore\nq\ta\t1\n",
                )
                .unwrap();
            }
            let places = Places {
                base: folder.path().into(),
                ..Places::default()
            };
            COLLECTION_SOURCE.digest("./", &places).unwrap()
        };
        assert_eq!(write(true), write(false));
    }

    #[test]
    fn an_absent_collection_says_where_it_was_sought() {
        let places = Places {
            data: vec!["/nowhere".into()],
            ..Places::default()
        };
        let error = COLLECTION_SOURCE.digest("beir/scifact", &places).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the collection `beir/scifact` is not on this machine; looked in /nowhere/scifact"
        );
    }
}
