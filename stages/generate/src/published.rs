//! The published templates of InPars, Promptagator and InPars+: read from the repositories of InPars' toolkit and of InPars+ at fixed
//! commits, never written down here.

use std::path::{Path, PathBuf};

use ablate_core::{Digest, Places, StageError};
use ablate_fetch::{
    Fetcher, Want, once,
    pins::{self, Pin},
};

use crate::{
    shots::Shot,
    strategies::{Manner, Strategy},
};

/// The names, sorted.
pub(crate) const NAMES: [&str; 24] = [
    "inpars/gbq",
    "inpars/vanilla",
    "inparsplus/arguana",
    "inparsplus/climate-fever",
    "inparsplus/dbpedia-entity",
    "inparsplus/fever",
    "inparsplus/fiqa",
    "inparsplus/hotpotqa",
    "inparsplus/msmarco-document",
    "inparsplus/nfcorpus",
    "inparsplus/scidocs",
    "inparsplus/scifact",
    "inparsplus/trec-covid",
    "inparsplus/webis-touche2020",
    "promptagator/arguana",
    "promptagator/dbpedia-entity",
    "promptagator/fever",
    "promptagator/fiqa",
    "promptagator/hotpotqa",
    "promptagator/nfcorpus",
    "promptagator/scidocs",
    "promptagator/scifact",
    "promptagator/trec-covid",
    "promptagator/webis-touche2020",
];

/// Where templates stand.
struct Origin {
    /// What the names of its templates begin with, and the folder of its file.
    name: &'static str,
    repository: &'static str,
    commit: &'static str,
}

/// <https://github.com/zetaalphavector/InPars/blob/master/inpars/prompts/templates.yaml>
const INPARS: Origin = Origin {
    name: "inpars",
    repository: "https://raw.githubusercontent.com/zetaalphavector/InPars",
    commit: "f88c92ba090ee600eb3e3bf0b8296c33e52b311d",
};
/// <https://github.com/danilotpnta/IR2-project/blob/main/inpars/prompts/templates.yaml>
const INPARS_PLUS: Origin = Origin {
    name: "inparsplus",
    repository: "https://raw.githubusercontent.com/danilotpnta/IR2-project",
    commit: "12fbdf0f31b3c1bf6262314a5cfc42093a645e50",
};
const FILE: &str = "templates.yaml";
/// What the source is called in pins.
const KIND: &str = "prompt";

/// Whether a name is one of published templates.
pub(crate) fn is_published(name: &str) -> bool {
    NAMES.contains(&name)
}

fn origin(name: &str) -> &'static Origin {
    match name.starts_with(INPARS_PLUS.name) {
        true => &INPARS_PLUS,
        false => &INPARS,
    }
}

/// The strategy of a name, from the file on this machine.
///
/// # Errors
/// If it is not on this machine, or the file has no such template.
pub(crate) fn strategy(name: &str, places: &Places) -> Result<Strategy, StageError> {
    let file = folder(name, places)?.join(FILE);
    if !file.is_file() {
        return Err(absent(name));
    }
    read(&file, name)
}

/// The digest of a template: of the file on this machine, which must be what is pinned, else what is pinned.
///
/// # Errors
/// If the file or the pins cannot be read, or differ.
pub(crate) fn digest(name: &str, places: &Places) -> Result<Option<Digest>, StageError> {
    let file = folder(name, places)?.join(FILE);
    if !file.is_file() {
        return Ok(pins::pinned(places, KIND, name)?.map(|pin| pin.digest));
    }
    let digest = of_strategy(&read(&file, name)?);
    pins::hold(places, KIND, name, digest)?;
    Ok(Some(digest))
}

/// Puts the file on this machine and pins the template: from then on another one is an error.
///
/// # Errors
/// If it may not or cannot be had, or is not what is pinned.
pub(crate) fn fetch(name: &str, places: &Places, report: &dyn Fn(&str)) -> Result<PathBuf, StageError> {
    fetch_from(origin(name).repository, name, places, report)
}

fn fetch_from(
    repository: &str,
    name: &str,
    places: &Places,
    report: &dyn Fn(&str),
) -> Result<PathBuf, StageError> {
    let (folder, commit) = (folder(name, places)?, origin(name).commit);
    if !folder.is_dir() && places.offline {
        return Err(absent(name));
    }
    once(&folder, report, |staging| {
        let ready = staging.join("ready");
        fs_err::create_dir_all(&ready)?;
        let want = Want {
            name: FILE,
            url: format!("{repository}/{commit}/inpars/prompts/{FILE}"),
            token: None,
            checksum: None,
            bytes: None,
            commit: None,
        };
        Fetcher::new(places, report).download(&want, &ready.join(FILE))?;
        let digest = read(&ready.join(FILE), name).map(|strategy| of_strategy(&strategy));
        let held = digest.and_then(|digest| pins::hold(places, KIND, name, digest));
        // A file that is no good must not be met again.
        held.inspect_err(|_| drop(fs_err::remove_dir_all(staging)))?;
        Ok(ready)
    })?;
    let pin = Pin {
        revision: Some(commit.into()),
        digest: of_strategy(&strategy(name, places)?),
    };
    pins::pin(places, KIND, name, &pin)?;
    Ok(folder)
}

fn folder(name: &str, places: &Places) -> Result<PathBuf, StageError> {
    let data = places
        .data
        .last()
        .ok_or_else(|| StageError::new("there is no folder to download to"))?;
    let Origin { name, commit, .. } = origin(name);
    Ok(data.join(format!("{name}-prompts-{}", &commit[..12])))
}

fn absent(name: &str) -> StageError {
    StageError::with_help(
        format!("the prompt `{name}` is not on this machine and the network may not be used"),
        "unset ABLATE_OFFLINE, or run once where there is a network",
    )
}

/// Of all that a prompt is made from.
fn of_strategy(strategy: &Strategy) -> Digest {
    let texts = [strategy.template.as_bytes(), b"\0", strategy.layout.as_bytes()].concat();
    Digest::derive("ablate published prompt v1", &texts)
}

/// A template as the toolkit fills it: an empty query, and no blanks at the end. Promptagator's stands behind its shots,
/// which are the template filled; those of InPars+ have a blank line between them.
fn read(file: &Path, name: &str) -> Result<Strategy, StageError> {
    let text = fs_err::read_to_string(file)?;
    let key = match name {
        "inpars/vanilla" => "inpars".to_owned(),
        name => name.replace('/', "-"),
    };
    let block = block(&text, &key).ok_or_else(|| {
        let what = format!("{} has no template `{key}`", file.display());
        StageError::with_help(what, "delete the folder, and it is fetched again")
    })?;
    let asked = block.replace("{query}", "").trim_end().to_owned();
    let drawn = format!("{{examples}}{asked}");
    let (template, layout) = match name.split('/').next() {
        Some("inpars") => (asked, String::new()),
        Some("inparsplus") => (drawn, format!("{}\n\n", block.trim())),
        _ => (drawn, block),
    };
    Ok(Strategy {
        template,
        layout,
        shots: Vec::<Shot>::new(),
        manner: Manner::default(),
    })
}

/// The text of `KEY:`'s `template: |` in YAML, with one line feed at its end.
fn block(yaml: &str, key: &str) -> Option<String> {
    let mut lines = yaml
        .lines()
        .skip_while(|line| line.strip_suffix(':') != Some(key))
        .skip(1);
    lines.by_ref().find(|line| line.trim() == "template: |")?;
    let inside = lines.take_while(|line| line.starts_with("    ") || line.trim().is_empty());
    let text: Vec<&str> = inside.map(|line| line.get(4..).unwrap_or_default()).collect();
    let text = text.join("\n");
    (!text.trim().is_empty()).then(|| format!("{}\n", text.trim_end()))
}

#[cfg(test)]
#[path = "../../fetch/tests/common/mod.rs"]
mod common;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{
        common::{Page, Server},
        *,
    };

    /// A file of the same form, in other words.
    const TEMPLATES: &str = "# ours\ninpars:\n  mode: static\n  template: |\n    A: b\n\n    A: {document}\n    Q: {query}\n\n\
         promptagator-scifact:\n  mode: dynamic\n  template: |\n    {document}\n    Says: {query}\n\
         inparsplus-scifact:\n  mode: dynamic_v2\n  template: |\n    D: {document}\n    Says: {query}";
    const PATH: &str = "/f88c92ba090ee600eb3e3bf0b8296c33e52b311d/inpars/prompts/templates.yaml";

    /// An experiment's folder and one for downloads.
    fn places() -> (tempfile::TempDir, Places) {
        let folder = tempfile::tempdir().unwrap();
        let places = Places {
            base: folder.path().to_owned(),
            data: vec![folder.path().join("data")],
            ..Places::default()
        };
        (folder, places)
    }

    #[test]
    fn a_template_is_fetched_once_and_pinned() {
        let server = Server::start();
        server.at(PATH, [Page::of(TEMPLATES)]);
        let (folder, places) = places();
        assert_eq!(digest("inpars/vanilla", &places).unwrap(), None);
        for name in ["inpars/vanilla", "promptagator/scifact", "inpars/vanilla"] {
            fetch_from(&server.url, name, &places, &|_| {}).unwrap();
        }
        assert_eq!(server.seen().len(), 1);
        let vanilla = strategy("inpars/vanilla", &places).unwrap();
        assert_eq!(vanilla.template, "A: b\n\nA: {document}\nQ:");
        let scifact = strategy("promptagator/scifact", &places).unwrap();
        assert_eq!(scifact.template, "{examples}{document}\nSays:");
        assert_eq!(scifact.layout, "{document}\nSays: {query}\n");
        let path = format!("/{}/inpars/prompts/templates.yaml", INPARS_PLUS.commit);
        server.at(&path, [Page::of(TEMPLATES)]);
        fetch_from(&server.url, "inparsplus/scifact", &places, &|_| {}).unwrap();
        let plus = strategy("inparsplus/scifact", &places).unwrap();
        assert_eq!(plus.template, "{examples}D: {document}\nSays:");
        assert_eq!(plus.layout, "D: {document}\nSays: {query}\n\n");
        let pinned = digest("inpars/vanilla", &places).unwrap().unwrap();
        let file = super::folder("inpars/vanilla", &places).unwrap().join(FILE);

        // On a machine that has fetched nothing the pin is known, and other words are refused.
        fs_err::remove_dir_all(folder.path().join("data")).unwrap();
        assert_eq!(digest("inpars/vanilla", &places).unwrap(), Some(pinned));
        server.at(PATH, [Page::of(TEMPLATES.replace("A: b", "A: c"))]);
        let error = fetch_from(&server.url, "inpars/vanilla", &places, &|_| {}).unwrap_err();
        assert!(error.to_string().contains("is not the one that"), "{error}");
        assert!(!file.exists());
    }

    #[test]
    fn without_a_network_what_is_missing_is_told() {
        let (_folder, places) = places();
        let places = Places {
            offline: true,
            ..places
        };
        let error = fetch("inpars/gbq", &places, &|_| {}).unwrap_err().to_string();
        assert!(
            error.contains("`inpars/gbq` is not on this machine and the network may not be used"),
            "{error}"
        );
    }
}
