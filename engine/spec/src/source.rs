//! The text of an experiment file.

use crate::{Problem, Span};

/// A file's name and text.
#[derive(Clone, Debug)]
pub struct Source {
    /// As the user wrote it.
    pub name: String,
    /// Its text.
    pub text: String,
}

impl Source {
    /// Decodes UTF-8, without a byte order mark; the problem names the first byte that is not UTF-8.
    pub fn decode(name: &str, bytes: Vec<u8>) -> Result<Self, Problem> {
        String::from_utf8(bytes)
            .map(|text| Self {
                name: name.into(),
                text: text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned),
            })
            .map_err(|error| {
                let good = error.utf8_error().valid_up_to();
                let before = &error.as_bytes()[..good];
                let line = before.iter().filter(|b| **b == b'\n').count() + 1;
                let start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
                let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
                Problem::error(
                    "ablate::spec::not_utf8",
                    format!("the byte at offset {good} is not UTF-8"),
                )
                .at(Span {
                    offset: good,
                    length: 1,
                    line,
                    column,
                })
                .help("save the file as UTF-8")
            })
    }

    /// The text of a line, counted from 1.
    pub fn line(&self, number: usize) -> &str {
        self.text
            .lines()
            .nth(number.saturating_sub(1))
            .unwrap_or_default()
    }
}
