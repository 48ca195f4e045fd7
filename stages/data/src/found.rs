//! Where a collection is on this machine, and what its files are.

use std::path::{Path, PathBuf};

use ablate_core::{Digest, Places, StageError, canon::Value};
use ablate_fetch::pins;

use crate::{
    demo,
    files::{self, Content},
    layout::{Part, Role, parts, unread},
    name::Name,
    snapshot,
    source::KIND,
};

/// Where a collection is.
pub(crate) enum Found {
    Embedded,
    /// A folder, or a file of documents.
    At(PathBuf),
    /// Not on this machine.
    Nowhere,
}

/// Looks for a collection on this machine.
///
/// # Errors
/// If a path leads nowhere, or the lock cannot be read.
pub(crate) fn found(name: &Name, text: &str, places: &Places) -> Result<Found, StageError> {
    let path = match name {
        Name::Demo => return Ok(Found::Embedded),
        Name::Path(path) => {
            let path = places.base.join(path);
            let there = path.exists();
            return there.then_some(Found::At(path)).ok_or_else(|| {
                StageError::with_help(
                    format!("{} is not there", places.base.join(text).display()),
                    "a collection is a folder, a file of documents, `beir/NAME` or `hf:OWNER/NAME`",
                )
            });
        }
        Name::Beir { name, .. } => folders(name, places).into_iter().find(|path| path.is_dir()),
        Name::Hub(own) => {
            let revisions = revisions(name, text, places)?;
            let folder = revisions.and_then(|revisions| snapshot::folder(own, &revisions, places));
            folder.filter(|folder| folder.is_dir())
        }
    };
    Ok(path.map_or(Found::Nowhere, Found::At))
}

/// The revisions of a collection of the hub that are pinned, or the commit that it names.
pub(crate) fn revisions(name: &Name, text: &str, places: &Places) -> Result<Option<String>, StageError> {
    let Name::Hub(name) = name else {
        return Ok(None);
    };
    let pinned = pinned_revisions(text, places)?;
    Ok(pinned.or_else(|| snapshot::named_commit(name).map(str::to_owned)))
}

/// The revisions of a collection of the hub that are pinned.
pub(crate) fn pinned_revisions(text: &str, places: &Places) -> Result<Option<String>, StageError> {
    Ok(pins::pinned(places, KIND, text)?.and_then(|pin| pin.revision))
}

/// Where a collection below the folders of the user may be.
pub(crate) fn folders(name: &str, places: &Places) -> Vec<PathBuf> {
    places.data.iter().map(|data| data.join(name)).collect()
}

/// The files of the embedded collection.
pub(crate) fn embedded() -> Vec<(Part, Content)> {
    let bytes = |part: &Part| demo::FILES.iter().find(|(name, _)| *name == part.path);
    let names: Vec<String> = demo::FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
    let parts = parts(&names).into_iter();
    parts
        .filter_map(|part| Some((part.clone(), Content::Embedded(bytes(&part)?.1))))
        .collect()
}

/// The files of a collection.
///
/// # Errors
/// If it lacks one.
pub(crate) fn contents(path: &Path) -> Result<Vec<(Part, Content)>, StageError> {
    let content = |(part, file): (Part, PathBuf)| (part, Content::At(file));
    Ok(located(path)?.into_iter().map(content).collect())
}

/// What of a folder is judgements and not read, as a warning.
///
/// # Errors
/// If the folder cannot be read.
pub(crate) fn unread_judgements(path: &Path) -> Result<Option<String>, StageError> {
    if path.is_file() {
        return Ok(None);
    }
    let files = files::list(path)?;
    let unread = unread(&files, &parts(&files));
    let told = format!(
        "{} not read: name judgements after their split, as qrels/test.tsv (train, dev or test)",
        unread.join(", ")
    );
    Ok((!unread.is_empty()).then_some(told))
}

/// The parts of a collection and their files; of a file, the documents alone.
fn located(path: &Path) -> Result<Vec<(Part, PathBuf)>, StageError> {
    if path.is_file() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let part = Part::new(Role::Corpus, &name).ok_or_else(|| {
            StageError::with_help(
                format!("{} is no file of documents", path.display()),
                "give it as .jsonl, .tsv, .csv or .parquet, and name a folder if it has queries",
            )
        })?;
        return Ok(vec![(part, path.to_owned())]);
    }
    let found = parts(&files::list(path)?);
    let lacks = |role, what| (!found.iter().any(|part| part.role == role)).then_some(what);
    let missing: Vec<&str> = [
        lacks(Role::Corpus, "corpus.jsonl"),
        lacks(Role::Queries, "queries.jsonl"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if missing.is_empty() {
        return Ok(found
            .into_iter()
            .map(|part| (part.clone(), path.join(&part.path)))
            .collect());
    }
    Err(StageError::with_help(
        format!(
            "{} has no {} (nor .tsv, .csv, .parquet; nor .gz, .zst of them)",
            path.display(),
            missing.join(" and no ")
        ),
        "a collection is a folder in BEIR layout: corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv",
    ))
}

/// The digest of a collection at a path.
pub(crate) fn digest(path: &Path) -> Result<Digest, StageError> {
    digest_of(&contents(path)?)
}

/// Over the names and bytes of the decompressed files, so that compressing a collection does not change it.
pub(crate) fn digest_of(files: &[(Part, Content)]) -> Result<Digest, StageError> {
    let digest = |(part, content): &(Part, Content)| Ok((part.name().to_owned(), content.digest()?));
    Ok(over(
        &files.iter().map(digest).collect::<Result<Vec<_>, StageError>>()?,
    ))
}

/// Over names and digests of files.
pub(crate) fn over(digests: &[(String, Digest)]) -> Digest {
    let value = digests
        .iter()
        .map(|(name, digest)| (name.as_str(), Value::text(digest)));
    Value::map(value).digest("ablate collection v1")
}
