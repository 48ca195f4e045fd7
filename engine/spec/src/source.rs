//! The text of an experiment file.

use std::string::FromUtf8Error;

use serde_json::Value;

use crate::{Problem, Span, yaml};

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
        let mut text = String::from_utf8(bytes).map_err(|error| not_utf8(&error))?;
        if text.starts_with('\u{feff}') {
            text.remove(0);
        }
        let name = name.into();
        Ok(Self { name, text })
    }

    /// The text as JSON, as far as it is YAML: what the schema of experiment files is about.
    pub fn json(&self) -> Option<Value> {
        yaml::parse(self).0.map(|root| root.json())
    }

    /// The text of a line, counted from 1.
    pub fn line(&self, number: usize) -> &str {
        self.text
            .lines()
            .nth(number.saturating_sub(1))
            .unwrap_or_default()
    }
}

fn not_utf8(error: &FromUtf8Error) -> Problem {
    let offset = error.utf8_error().valid_up_to();
    let before = String::from_utf8_lossy(&error.as_bytes()[..offset]);
    let (line, column) = (before.split('\n').count(), before.rsplit('\n').next());
    let at = Span {
        offset,
        length: 1,
        line,
        column: column.map_or(0, |text| text.chars().count()) + 1,
    };
    let message = format!("the byte at offset {offset} is not UTF-8");
    Problem::error("ablate::spec::not_utf8", message)
        .at(at)
        .help("save the file as UTF-8")
}
