//! The ports of a stage: what it declares, and what stands at them before anything runs.

use std::{collections::BTreeMap, fmt};

use serde_json::Value;

use crate::{ArtifactKind, Bound, SourceType};

/// An input port.
#[derive(Clone, Copy)]
pub struct Input {
    /// Its name in the experiment file.
    pub name: &'static str,
    /// The kind of artifact it takes.
    pub kind: ArtifactKind,
    /// Whether it must be given.
    pub required: bool,
    /// Another port that may stand instead of it: one of them must.
    pub instead: Option<&'static str>,
    /// The sources it takes instead of a stage, if any.
    pub source: Option<&'static dyn SourceType>,
    /// One line on what it is for.
    pub about: &'static str,
}

impl Input {
    /// A required input from a stage.
    pub const fn of(name: &'static str, kind: ArtifactKind) -> Self {
        Self {
            name,
            kind,
            required: true,
            instead: None,
            source: None,
            about: "",
        }
    }

    /// The same, with a line on what it is for.
    #[must_use]
    pub const fn about(self, about: &'static str) -> Self {
        Self { about, ..self }
    }

    /// The same, optional.
    #[must_use]
    pub const fn optional(self) -> Self {
        Self {
            required: false,
            ..self
        }
    }

    /// The same, needed only where the port `other` does not stand.
    #[must_use]
    pub const fn or_port(self, other: &'static str) -> Self {
        Self {
            required: false,
            instead: Some(other),
            ..self
        }
    }

    /// The same, also taking a source.
    #[must_use]
    pub const fn or_source(self, source: &'static dyn SourceType) -> Self {
        Self {
            source: Some(source),
            ..self
        }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.kind)
    }
}

/// An output port. The first of a stage is the one its bare name stands for.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// Its name; dots allowed (`queries.test`).
    pub name: &'static str,
    /// The kind of artifact.
    pub kind: ArtifactKind,
    /// One line on what it holds.
    pub about: &'static str,
}

impl Output {
    /// An output port.
    pub const fn of(name: &'static str, kind: ArtifactKind) -> Self {
        Self {
            name,
            kind,
            about: "",
        }
    }

    /// The same, with a line on what it holds.
    #[must_use]
    pub const fn about(self, about: &'static str) -> Self {
        Self { about, ..self }
    }
}

/// What stands at an input port.
pub enum Wire<'a> {
    /// An output of a stage.
    Stage(Maker<'a>),
    /// A source, as the user wrote it.
    Source(&'a str),
}

/// A stage whose output stands at a port.
pub struct Maker<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its parameters; `None` where they do not fit, which is told elsewhere.
    pub bound: Option<&'a dyn Bound>,
    /// What stands at its own inputs: the names of stages, and sources as the user wrote them.
    pub inputs: BTreeMap<&'static str, String>,
}

/// The input ports at which something stands.
#[derive(Default)]
pub struct Ports<'a>(BTreeMap<&'static str, Wire<'a>>);

impl<'a> FromIterator<(&'static str, Wire<'a>)> for Ports<'a> {
    fn from_iter<T: IntoIterator<Item = (&'static str, Wire<'a>)>>(wires: T) -> Self {
        Self(wires.into_iter().collect())
    }
}

impl Ports<'_> {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether something stands at this port.
    pub fn has(&self, port: &str) -> bool {
        self.0.contains_key(port)
    }

    /// The source at a port, if it is one.
    pub fn source(&self, port: &str) -> Option<&str> {
        match self.0.get(port)? {
            Wire::Source(text) => Some(text),
            Wire::Stage(_) => None,
        }
    }

    /// What stands at a port: the name of a stage, or a source as the user wrote it.
    pub fn name(&self, port: &str) -> Option<&str> {
        match self.0.get(port)? {
            Wire::Source(text) => Some(text),
            Wire::Stage(maker) => Some(maker.name),
        }
    }

    /// The stage at a port, if it is one.
    pub fn maker(&self, port: &str) -> Option<&Maker<'_>> {
        match self.0.get(port)? {
            Wire::Stage(maker) => Some(maker),
            Wire::Source(_) => None,
        }
    }

    /// The parameters of the stage at a port, defaults filled in.
    pub fn params(&self, port: &str) -> Option<Value> {
        Some(self.maker(port)?.bound?.params())
    }
}
