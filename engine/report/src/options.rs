//! What the `report:` section of an experiment asks for.

use std::collections::BTreeMap;

use ablate_core::similar;
use ablate_stats::{Correction, Interval, Test};
use serde::{Deserialize, Serialize};

/// How rows are compared. The form of the `report:` section.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The measure that stands first.
    pub measure: Option<String>,
    /// Axis → label of the rows that others are compared with; `system` names an evaluate stage. Empty: no comparison.
    pub baseline: BTreeMap<String, String>,
    /// The test over queries.
    pub test: Test,
    /// The correction over all arms and measures of the table.
    pub correction: Correction,
    /// How confidence intervals of differences are made; `None`: not at all.
    pub interval: Option<Interval>,
    /// The probability with which an interval covers the difference, 0 to 1; `None`: 0.95.
    pub confidence: Option<f64>,
    /// Differences smaller than this are none; `None`: equivalence is not tested.
    pub equivalence: Option<f64>,
}

/// A word that names none of the choices.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} `{text}`: {help}")]
pub struct UnknownName {
    what: &'static str,
    text: String,
    help: String,
}

/// Finds the choice called `text`, or says what it could have been.
pub(crate) fn choose<T: Copy>(
    what: &'static str,
    text: &str,
    choices: &[(&'static str, T)],
) -> Result<T, UnknownName> {
    if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == text) {
        return Ok(*choice);
    }
    let help = suggestion(text, choices.iter().map(|(name, _)| *name));
    Err(UnknownName {
        what,
        text: text.into(),
        help,
    })
}

/// "did you mean `x`?", or the list of what there is.
pub(crate) fn suggestion<'a>(text: &str, names: impl Iterator<Item = &'a str> + Clone) -> String {
    match similar(text, names.clone()).first() {
        Some(best) => format!("did you mean `{best}`?"),
        None => format!("there is {}", names.collect::<Vec<_>>().join(", ")),
    }
}

impl Options {
    /// The probability with which an interval covers the difference.
    pub fn confidence(&self) -> f64 {
        self.confidence.unwrap_or(0.95)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_name_is_corrected() {
        let formats = [("text", 1), ("json", 2)];
        let error = |name| choose("format", name, &formats).unwrap_err().to_string();
        assert_eq!(error("jsn"), "unknown format `jsn`: did you mean `json`?");
        assert_eq!(error("x"), "unknown format `x`: there is text, json");
    }

    #[test]
    fn the_section_decodes_with_defaults() {
        let options: Options = serde_json::from_str(r#"{"baseline": {"system": "bm25"}}"#).unwrap();
        assert_eq!(
            (options.test, options.correction),
            (Test::PairedT, Correction::Holm)
        );
        assert_eq!(options.baseline["system"], "bm25");
    }
}
