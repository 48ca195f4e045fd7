//! Names of models: the catalogue, repositories of the hub, Python packages, and folders by path.

mod catalogue;
mod fetch;
mod kept;
mod repository;
mod role;
mod wheel;

use std::path::{Path, PathBuf};

use ablate_core::{Digest, Places, SourceType, StageError, canon::Value, similar};
use ablate_fetch::{
    hub::{self, is_commit},
    once,
    pins::{self, Pin},
};
use wheel::Wheel;

pub use catalogue::{Entry, File, catalogue};
pub use role::{ENCODER, GENERATOR, RERANKER, require_role};

/// The model sources.
pub static MODEL_SOURCE: ModelSource = ModelSource;

/// Resolves the name of a model.
pub struct ModelSource;

const KIND: &str = "model";

/// Whether a model of the catalogue is on this machine.
pub fn is_present(entry: &Entry, places: &Places) -> bool {
    fetch::folder(entry, places).is_dir()
}

/// A source as it is written.
enum Name {
    Entry(&'static Entry),
    Hub(hub::Name),
    Wheel(Wheel),
    /// `path:DIR`, `./DIR`, `../DIR` or `/DIR`.
    Path(String),
}

impl Name {
    /// Reads a source.
    ///
    /// # Errors
    /// What to write instead.
    fn parse(text: &str) -> Result<Self, String> {
        if let Some(entry) = catalogue().iter().find(|entry| entry.name == text) {
            return Ok(Self::Entry(entry));
        }
        if let Some(name) = hub::Name::parse(text) {
            let name = name?;
            return repository::check(&name).map(|()| Self::Hub(name));
        }
        if let Some(wheel) = Wheel::parse(text) {
            return wheel.map(Self::Wheel);
        }
        let is_path = ["./", "../", "/"].iter().any(|start| text.starts_with(start));
        let path = text.strip_prefix("path:").or(is_path.then_some(text));
        path.map(|path| Self::Path(path.into()))
            .ok_or_else(|| instead(text))
    }
}

fn instead(text: &str) -> String {
    let names: Vec<&str> = catalogue().iter().map(|entry| entry.name).collect();
    match similar(text, names.iter().copied()).first() {
        Some(best) => format!("did you mean the model `{best}`?"),
        None => format!(
            "the catalogue has {}; one of the hub is `hf:OWNER/NAME`, a folder is `path:DIR`",
            names.join(", ")
        ),
    }
}

fn parsed(text: &str) -> Result<Name, StageError> {
    Name::parse(text).map_err(StageError::new)
}

impl SourceType for ModelSource {
    fn name(&self) -> &'static str {
        KIND
    }

    fn about(&self) -> &'static str {
        "a name of the catalogue (`ablate models list`), `hf:OWNER/NAME[@REVISION][#FILE.gguf]` (of the hub), \
         `pypi:NAME==VERSION#FOLDER` (in a Python package), or a folder as `path:DIR`, `./DIR` or `/DIR`"
    }

    fn examples(&self) -> Vec<&'static str> {
        catalogue().iter().map(|entry| entry.name).collect()
    }

    fn check(&self, text: &str) -> Result<(), String> {
        Name::parse(text).map(drop)
    }

    fn identity(&self, text: &str, places: &Places) -> String {
        match Name::parse(text) {
            Ok(Name::Path(path)) => places.base.join(path).to_string_lossy().into_owned(),
            _ => text.to_owned(),
        }
    }

    /// Of what is not on this machine, what is pinned.
    fn digest(&self, text: &str, places: &Places) -> Result<Option<Digest>, StageError> {
        let name = parsed(text)?;
        match &name {
            Name::Entry(entry) => return Ok(Some(entry.digest())),
            Name::Path(path) => return folder_digest(&places.base.join(path)).map(Some),
            Name::Hub(_) | Name::Wheel(_) => {}
        }
        match located(&name, text, places)? {
            Some(folder) => {
                let digest = kept::digest(&folder)?;
                pins::hold(places, KIND, text, digest)?;
                Ok(Some(digest))
            }
            None => Ok(pins::pinned(places, KIND, text)?.map(|pin| pin.digest)),
        }
    }

    fn fetch(&self, text: &str, places: &Places, report: &dyn Fn(&str)) -> Result<PathBuf, StageError> {
        let name = parsed(text)?;
        if let Some(folder) = located(&name, text, places)? {
            let revision = match &name {
                Name::Hub(name) => commit(name, text, places)?,
                _ => None,
            };
            return settled(&name, folder, revision, text, places, report);
        }
        match &name {
            Name::Entry(entry) => fetch::fetch(entry, places, report),
            Name::Path(path) => Ok(places.base.join(path)),
            Name::Hub(name) if places.offline => remembered(name, text, places, report),
            Name::Wheel(_) if places.offline => Err(absent(text)),
            Name::Hub(name) => from_hub(name, text, places, report),
            Name::Wheel(wheel) => {
                let folder = wheel.folder(places);
                keep(&folder, text, places, report, |staging| {
                    let received = wheel.receive(places, report, staging);
                    // Pip takes nothing up again, and a wheel that is no good must not be met again.
                    received.inspect_err(|_| drop(fs_err::remove_dir_all(staging)))
                })?;
                settled(&name, folder, None, text, places, report)
            }
        }
    }
}

/// Where a model lies that was fetched by what it is named and pinned as.
fn located(name: &Name, text: &str, places: &Places) -> Result<Option<PathBuf>, StageError> {
    let folder = match name {
        Name::Hub(name) => {
            let commit = commit(name, text, places)?;
            commit.map(|commit| name.folder(&places.models, &commit))
        }
        Name::Wheel(wheel) => Some(wheel.folder(places)),
        Name::Entry(_) | Name::Path(_) => None,
    };
    Ok(folder.filter(|folder| folder.is_dir()))
}

/// The commit that is pinned, or that the source names.
fn commit(name: &hub::Name, text: &str, places: &Places) -> Result<Option<String>, StageError> {
    let pinned = pins::pinned(places, KIND, text)?.and_then(|pin| pin.revision);
    let named = || name.revision.clone().filter(|revision| is_commit(revision));
    Ok(pinned.or_else(named))
}

fn absent(text: &str) -> StageError {
    StageError::with_help(
        format!("the model `{text}` is not on this machine and the network may not be used"),
        "unset ABLATE_OFFLINE, or run once where there is a network",
    )
}

fn from_hub(
    name: &hub::Name,
    text: &str,
    places: &Places,
    report: &dyn Fn(&str),
) -> Result<PathBuf, StageError> {
    let hub = repository::hub(places, report);
    let known = commit(name, text, places)?;
    let revision = known.as_deref().or(name.revision.as_deref()).unwrap_or("main");
    let snapshot = hub.snapshot(&name.repository, revision)?;
    let folder = name.folder(&places.models, &snapshot.commit);
    keep(&folder, text, places, report, |staging| {
        repository::receive(&hub, name, &snapshot, staging)
    })?;
    name.remember(&places.models, &snapshot.commit)?;
    settled(
        &Name::Hub(name.clone()),
        folder,
        Some(snapshot.commit),
        text,
        places,
        report,
    )
}

/// What the revision led to when the hub was last asked.
fn remembered(
    name: &hub::Name,
    text: &str,
    places: &Places,
    report: &dyn Fn(&str),
) -> Result<PathBuf, StageError> {
    let commit = name.remembered(&places.models);
    let commit = commit.filter(|commit| name.folder(&places.models, commit).is_dir());
    let commit = commit.ok_or_else(|| absent(text))?;
    report(&format!(
        "`{text}` as it was when the hub was last asked: {commit}"
    ));
    let folder = name.folder(&places.models, &commit);
    settled(
        &Name::Hub(name.clone()),
        folder,
        Some(commit),
        text,
        places,
        report,
    )
}

/// Pins what was fetched, now or for another experiment; without a pin it must be possible to find it again.
fn settled(
    name: &Name,
    folder: PathBuf,
    revision: Option<String>,
    text: &str,
    places: &Places,
    report: &dyn Fn(&str),
) -> Result<PathBuf, StageError> {
    let digest = kept::digest(&folder)?;
    match pins::pin(places, KIND, text, &Pin { revision, digest }) {
        Err(error) if located(name, text, places)?.is_none() => Err(error),
        Err(error) => {
            report(&format!("`{text}` is not pinned: {error}"));
            Ok(folder)
        }
        Ok(()) => Ok(folder),
    }
}

/// Puts what `receive` brings into `folder`, unless something else is pinned.
fn keep(
    folder: &Path,
    text: &str,
    places: &Places,
    report: &dyn Fn(&str),
    receive: impl FnOnce(&Path) -> Result<PathBuf, StageError>,
) -> Result<(), StageError> {
    once(folder, report, |staging| {
        let ready = receive(staging)?;
        let digest = kept::note(&ready, folder)?;
        pins::hold(places, KIND, text, digest).inspect_err(|_| drop(fs_err::remove_dir_all(staging)))?;
        Ok(ready)
    })
}

/// Over the names and bytes of the files of a folder, as the catalogue's digests are made.
fn folder_digest(folder: &Path) -> Result<Digest, StageError> {
    let files = files_of(folder)?;
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

fn files_of(folder: &Path) -> Result<Vec<(String, Digest)>, StageError> {
    let mut files = Vec::new();
    list(folder, folder, &mut files)?;
    Ok(files)
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
        for sound in ["hf:a/b", "hf:a/b@v1#m.gguf", "pypi:a==1#b/c"] {
            assert!(MODEL_SOURCE.check(sound).is_ok(), "{sound}");
        }
        for (wrong, told) in [
            ("hf:a/b/c", "a whole repository"),
            ("hf:a/b#m.bin", "is a .gguf"),
            ("pypi:a#b", "`pypi:NAME==VERSION#FOLDER`"),
        ] {
            assert!(MODEL_SOURCE.check(wrong).unwrap_err().contains(told), "{wrong}");
        }
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
