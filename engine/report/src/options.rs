//! What the `report:` section of an experiment asks for.

use std::{collections::BTreeMap, fmt, str::FromStr};

use ablate_core::similar;
use serde::{Deserialize, Serialize};

/// How rows are compared. The form of the `report:` section.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// A paired two-sided test whose unit is the query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Test {
    /// Student's paired t-test.
    #[default]
    PairedT,
    /// Wilcoxon's signed-rank test.
    Wilcoxon,
    /// Fisher's randomisation of signs.
    Randomization,
}

/// A correction of p-values for the size of their family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Correction {
    /// Holm's step-down procedure: family-wise error.
    #[default]
    Holm,
    /// Bonferroni's: family-wise error.
    Bonferroni,
    /// Benjamini and Hochberg's step-up procedure: false discovery rate.
    Bh,
    /// None.
    None,
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

const TESTS: [(&str, Test); 3] = [
    ("paired-t", Test::PairedT),
    ("wilcoxon", Test::Wilcoxon),
    ("randomization", Test::Randomization),
];

const CORRECTIONS: [(&str, Correction); 4] = [
    ("holm", Correction::Holm),
    ("bonferroni", Correction::Bonferroni),
    ("bh", Correction::Bh),
    ("none", Correction::None),
];

impl FromStr for Test {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        choose("test", text, &TESTS)
    }
}

impl FromStr for Correction {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        choose("correction", text, &CORRECTIONS)
    }
}

/// As legends write it.
impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PairedT => "paired t-test",
            Self::Wilcoxon => "Wilcoxon signed-rank test",
            Self::Randomization => "randomisation test",
        })
    }
}

/// As legends write it.
impl fmt::Display for Correction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Holm => "Holm correction",
            Self::Bonferroni => "Bonferroni correction",
            Self::Bh => "Benjamini-Hochberg correction",
            Self::None => "no correction",
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_read_as_in_experiment_files() {
        for (name, test) in TESTS {
            assert_eq!(name.parse(), Ok(test));
            assert_eq!(serde_json::to_value(test).unwrap(), name);
        }
        for (name, correction) in CORRECTIONS {
            assert_eq!(name.parse(), Ok(correction));
            assert_eq!(serde_json::to_value(correction).unwrap(), name);
        }
    }

    #[test]
    fn a_wrong_name_is_corrected() {
        let error = "pairedt".parse::<Test>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown test `pairedt`: did you mean `paired-t`?"
        );
        let error = "x".parse::<Correction>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown correction `x`: there is holm, bonferroni, bh, none"
        );
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
