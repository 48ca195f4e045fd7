//! What can be wrong with an experiment file.

/// A place in the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Byte offset.
    pub offset: usize,
    /// Length in bytes.
    pub length: usize,
    /// Line from 1.
    pub line: usize,
    /// Column from 1, in characters.
    pub column: usize,
}

/// Whether a problem stops the experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It does.
    Error,
    /// It does not.
    Warning,
}

/// Something wrong, with its place and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// A stable code.
    pub code: &'static str,
    /// Whether it stops the experiment.
    pub severity: Severity,
    /// A lower-case fragment.
    pub message: String,
    /// Where.
    pub at: Option<Span>,
    /// Other places, each with what it is.
    pub also: Vec<(Span, String)>,
    /// What to do.
    pub help: Option<String>,
}

impl Problem {
    /// A problem that stops the experiment.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        let (severity, at, also, help) = (Severity::Error, None, vec![], None);
        Self {
            code,
            severity,
            message: message.into(),
            at,
            also,
            help,
        }
    }

    /// One that does not.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, message)
        }
    }

    /// The same, at a place.
    #[must_use]
    pub fn at(self, span: Span) -> Self {
        Self {
            at: Some(span),
            ..self
        }
    }

    #[must_use]
    pub(crate) fn also(mut self, span: Span, what: impl Into<String>) -> Self {
        self.also.push((span, what.into()));
        self
    }

    /// The same, with what to do.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }
}

/// "did you mean `x`?", or the list of what there is.
pub(crate) fn suggestion<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<_> = known.into_iter().collect();
    let quoted = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
        names.join(", ")
    };
    match ablate_core::similar(word, known.iter().copied()).first() {
        Some(best) => format!("did you mean `{best}`?"),
        None if known.is_empty() => "there is none to name".into(),
        None if known.len() > MANY => format!("there is {}, ...", quoted(&known[..MANY])),
        None => format!("there is {}", quoted(&known)),
    }
}

/// How many names a message lists at most.
const MANY: usize = 24;
