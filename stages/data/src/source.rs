//! Collections as sources: found on this machine, or fetched, verified and pinned.

use std::path::{Path, PathBuf};

use ablate_core::{Digest, Places, SourceType, StageError, canon::Value, similar};
use ablate_fetch::pins::{self, Pin};

use crate::{
    archives,
    beir::{self, Beir},
    found::{
        Found, contents, digest, digest_of, embedded, folders, found, pinned_revisions, revisions,
        unread_judgements,
    },
    name::Name,
    snapshot,
};

/// The collection sources.
pub static COLLECTION_SOURCE: CollectionSource = CollectionSource;

/// Resolves the name of a collection.
pub struct CollectionSource;

/// What the source is called in messages and pins.
pub(crate) const KIND: &str = "collection";

/// The collection of a source that is on this machine.
pub(crate) fn load(text: &str, places: &Places) -> Result<Beir, StageError> {
    let name = parsed(text)?;
    let beir = match found(&name, text, places)? {
        Found::Embedded => beir::parse(embedded(), &places.base)?,
        Found::At(path) => {
            let mut beir = beir::parse(contents(&path)?, &path)?;
            beir.warnings.extend(unread_judgements(&path)?);
            beir
        }
        Found::Nowhere => return Err(absent(text, &name, places)),
    };
    Ok(match split(&name) {
        Some(split) => beir.only(split),
        None => beir,
    })
}

fn parsed(text: &str) -> Result<Name, StageError> {
    Name::parse(text).map_err(StageError::new)
}

fn split(name: &Name) -> Option<&'static str> {
    match name {
        Name::Beir { split, .. } => *split,
        _ => None,
    }
}

/// The digest of one split of a collection: another collection, of the same files.
fn of_split(whole: Digest, split: Option<&'static str>) -> Digest {
    match split {
        None => whole,
        Some(split) => Value::map([("collection", Value::text(whole)), ("split", Value::text(split))])
            .digest("ablate split v1"),
    }
}

fn absent(text: &str, name: &Name, places: &Places) -> StageError {
    let Name::Beir { name, .. } = name else {
        return StageError::with_help(
            format!("the collection `{text}` is not on this machine and the network may not be used"),
            "unset ABLATE_OFFLINE, or run once where there is a network",
        );
    };
    let sought: Vec<_> = folders(name, places)
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    StageError::with_help(
        format!(
            "the collection `{text}` is not on this machine and the network may not be used; looked in {}",
            sought.join(", ")
        ),
        format!("unset ABLATE_OFFLINE, or set ABLATE_DATA to the folder that holds `{name}/` in BEIR layout"),
    )
}

/// Fetches what is nowhere on this machine; the revisions it has, of a hub.
fn receive(
    name: &Name,
    text: &str,
    places: &Places,
    report: &dyn Fn(&str),
) -> Result<Option<String>, StageError> {
    let accept = |folder: &Path| pins::hold(places, KIND, text, of_split(digest(folder)?, split(name)));
    match name {
        Name::Hub(own) if places.offline => {
            let revisions = snapshot::remembered(own, places).ok_or_else(|| absent(text, name, places))?;
            report(&format!(
                "`{text}` as it was when the hub was last asked: {revisions}"
            ));
            Ok(Some(revisions))
        }
        Name::Hub(name) => {
            let pinned = pinned_revisions(text, places)?;
            snapshot::fetch(name, pinned.as_deref(), places, report, &accept).map(Some)
        }
        Name::Beir { name, .. } if !places.offline => {
            archives::fetch(name, places, report, &accept).map(|()| None)
        }
        _ => Err(absent(text, name, places)),
    }
}

/// What to tell of an archive that BEIR does not list and that has to be asked for. Its server has more than it lists.
fn doubted(name: &str, places: &Places) -> Option<String> {
    let archive = name.split('/').next()?;
    let unknown = places.beir.is_none() && !archives::known(archive);
    let meant = similar(archive, archives::names()).first().copied()?;
    unknown.then(|| {
        format!("BEIR lists no `{archive}`: did you mean `beir/{meant}`? It is asked for all the same")
    })
}

impl SourceType for CollectionSource {
    fn name(&self) -> &'static str {
        KIND
    }

    fn about(&self) -> &'static str {
        "`demo` (in the program), `beir/NAME` (below `ABLATE_DATA`, else BEIR's archive), `beir/NAME/SPLIT`, \
         `hf:OWNER/NAME[@REVISION][/FOLDER]` (a dataset of the hub), a folder in BEIR layout as `./NAME`, or a file of documents"
    }

    fn examples(&self) -> Vec<&'static str> {
        vec!["demo", "beir/scifact", "hf:BeIR/scifact"]
    }

    fn check(&self, text: &str) -> Result<(), String> {
        Name::parse(text).map(drop)
    }

    fn doubt(&self, text: &str, places: &Places) -> Option<String> {
        let name = parsed(text).ok()?;
        match (&name, found(&name, text, places)) {
            (Name::Beir { name, .. }, Ok(Found::Nowhere)) => doubted(name, places),
            _ => None,
        }
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
        let whole = match found(&name, text, places)? {
            Found::Nowhere => return Ok(pins::pinned(places, KIND, text)?.map(|pin| pin.digest)),
            Found::At(path) => digest(&path)?,
            Found::Embedded => digest_of(&embedded())?,
        };
        let digest = of_split(whole, split(&name));
        pins::hold(places, KIND, text, digest)?;
        Ok(Some(digest))
    }

    fn fetch(&self, text: &str, places: &Places, report: &dyn Fn(&str)) -> Result<PathBuf, StageError> {
        let name = parsed(text)?;
        let revision = match found(&name, text, places)? {
            Found::Embedded => return Ok(places.base.clone()),
            Found::At(path) if !is_download(&name, &path, places) => return Ok(path),
            Found::At(_) => revisions(&name, text, places)?,
            Found::Nowhere => receive(&name, text, places, report)?,
        };
        settled(&name, revision, text, places, report)
    }
}

/// Whether a collection lies where downloads do.
fn is_download(name: &Name, path: &Path, places: &Places) -> bool {
    let below = |downloads: &PathBuf| path.starts_with(downloads);
    !matches!(name, Name::Path(_)) && places.data.last().is_some_and(below)
}

/// Pins what was fetched, now or for another experiment; without a pin it must be possible to find it again.
fn settled(
    name: &Name,
    revision: Option<String>,
    text: &str,
    places: &Places,
    report: &dyn Fn(&str),
) -> Result<PathBuf, StageError> {
    let path = match (name, &revision) {
        (Name::Hub(name), Some(revisions)) => snapshot::folder(name, revisions, places),
        (Name::Beir { name, .. }, _) => folders(name, places).pop(),
        _ => None,
    };
    let path = path.ok_or_else(|| absent(text, name, places))?;
    let digest = of_split(digest(&path)?, split(name));
    let written = pins::pin(places, KIND, text, &Pin { revision, digest });
    match (written, found(name, text, places)?) {
        (Err(error), Found::Nowhere) => Err(error),
        (Err(error), _) => {
            report(&format!("`{text}` is not pinned: {error}"));
            Ok(path)
        }
        (Ok(()), _) => Ok(path),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use super::*;

    const CORPUS: &str = "{\"_id\":\"a\",\"text\":\"x\"}\n";
    const QUERIES: &str = "{\"_id\":\"q\",\"text\":\"y\"}\n";
    const QRELS: &str = "query-id\tcorpus-id\tscore\nq\ta\t1\n";

    fn folder(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Places) {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = folder.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, bytes).unwrap();
        }
        let places = Places {
            base: folder.path().into(),
            data: vec![folder.path().into()],
            offline: true,
            ..Places::default()
        };
        (folder, places)
    }

    fn gzipped(text: &str) -> Vec<u8> {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gz.write_all(text.as_bytes()).unwrap();
        gz.finish().unwrap()
    }

    #[test]
    fn compression_does_not_change_a_collection() {
        let plain = folder(&[
            ("corpus.jsonl", CORPUS.as_bytes()),
            ("queries.jsonl", QUERIES.as_bytes()),
            ("qrels/test.tsv", QRELS.as_bytes()),
        ]);
        let packed = folder(&[
            ("corpus.jsonl.gz", &gzipped(CORPUS)),
            ("queries.jsonl", QUERIES.as_bytes()),
            (
                "qrels/test.tsv.zst",
                &zstd::encode_all(QRELS.as_bytes(), 3).unwrap(),
            ),
        ]);
        let digest = |places: &Places| COLLECTION_SOURCE.digest("./", places).unwrap().unwrap();
        assert_eq!(digest(&plain.1), digest(&packed.1));
    }

    #[test]
    fn a_folder_of_tables_and_topics_is_read() {
        let (_folder, places) = folder(&[
            ("x/corpus.csv", b"_id,title,text\na,t,\"x, y\"\n"),
            ("x/topics.mine", b"<top>\n<num> Number: 7\n<title> what\n</top>\n"),
            ("x/qrels/test.qrels", b"7 0 a 2\n"),
            (
                "x/qrels/dev.jsonl",
                b"{\"query-id\":7,\"corpus-id\":\"a\",\"score\":1}\n",
            ),
            ("x/qrels/train.txt", b"7 0 a 1\n"),
        ]);
        let beir = load("./x", &places).unwrap();
        let texts: Vec<String> = beir
            .documents()
            .iter()
            .map(ablate_core::rows::Document::full_text)
            .collect();
        assert_eq!(texts, ["t x, y"]);
        let beir = load("./x", &places).unwrap();
        assert_eq!(
            (beir.queries[0].query_id.as_str(), beir.queries[0].text.as_str()),
            ("7", "what")
        );
        assert_eq!(
            beir.qrels.values().map(|rows| rows[0].grade).collect::<Vec<_>>(),
            [1, 2, 1]
        );
        let digest = |text| COLLECTION_SOURCE.digest(text, &places).unwrap().unwrap();
        assert_eq!(load("beir/x/test", &places).unwrap().qrels.len(), 1);
        assert_eq!(digest("beir/x"), digest("./x"));
        assert_ne!(digest("beir/x/test"), digest("beir/x/dev"));
    }

    #[test]
    fn judgements_of_no_split_are_test_or_told() {
        let texts: [(&str, &[u8]); 2] = [("x/corpus.tsv", b"a\tone\n"), ("x/topics.tsv", b"q\twhat\n")];
        let (_one, places) = folder(&[&texts[..], &[("x/qrels.dl19.txt", b"q 0 a 2\n")]].concat());
        let beir = load("./x", &places).unwrap();
        assert_eq!((beir.qrels["test"].len(), beir.warnings.len()), (1, 0));
        let two: [(&str, &[u8]); 2] = [
            ("x/qrels/dl19.tsv", b"q\ta\t2\n"),
            ("x/qrels/test.tsv", b"q\t0\ta\t1\n"),
        ];
        let (_two, places) = folder(&[&texts[..], &two].concat());
        let beir = load("./x", &places).unwrap();
        assert_eq!(beir.qrels["test"][0].grade, 1);
        assert!(
            beir.warnings[0].starts_with("qrels/dl19.tsv not read: name judgements"),
            "{:?}",
            beir.warnings
        );
    }

    #[test]
    fn a_file_is_its_documents() {
        let (_folder, places) = folder(&[("docs.tsv.gz", &gzipped("a\tone\nb\ttwo\n"))]);
        let beir = load("./docs.tsv.gz", &places).unwrap();
        assert_eq!((beir.queries.len(), beir.documents().len()), (0, 2));
        // A path is not pinned, wherever it leads.
        let found = COLLECTION_SOURCE
            .fetch("./docs.tsv.gz", &places, &|_| {})
            .unwrap();
        assert!(found.is_file() && !places.base.join("ablate.lock").exists());
        let error = load("./none.jsonl", &places).unwrap_err().to_string();
        assert!(error.contains("none.jsonl is not there"), "{error}");
    }

    #[test]
    fn all_that_a_folder_lacks_is_told() {
        let (_folder, places) = folder(&[("x/README.md", b"")]);
        let error = load("./x", &places).unwrap_err().to_string();
        assert!(
            error.contains("has no corpus.jsonl and no queries.jsonl"),
            "{error}"
        );
    }

    #[test]
    fn an_archive_beir_does_not_list_is_doubted() {
        let places = Places::default();
        let doubt = |text, places| COLLECTION_SOURCE.doubt(text, places);
        let told = doubt("beir/scifcat", &places).unwrap();
        assert!(told.contains("did you mean `beir/scifact`?"), "{told}");
        assert_eq!(doubt("beir/cqadupstack/android", &places), None);
        let mirrored = Places {
            beir: Some("http://mirror".into()),
            ..Places::default()
        };
        assert_eq!(doubt("beir/scifcat", &mirrored), None);
    }

    #[test]
    fn an_absent_collection_says_where_it_was_sought() {
        let places = Places {
            data: vec!["/nowhere".into()],
            offline: true,
            ..Places::default()
        };
        assert_eq!(COLLECTION_SOURCE.digest("beir/scifact", &places).unwrap(), None);
        let error = COLLECTION_SOURCE
            .fetch("beir/scifact", &places, &|_| {})
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "the collection `beir/scifact` is not on this machine and the network may not be used; looked in \
             /nowhere/scifact"
        );
    }
}
