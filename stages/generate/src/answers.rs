//! Where in a text the query stands.

use std::{collections::BTreeMap, ops::Range};

use ablate_core::StageError;
use regex::Regex;

/// What takes a query out of what a model wrote.
pub(crate) struct Rule {
    after: Option<String>,
    until: Option<Regex>,
}

/// A query found in a text.
#[derive(Debug, PartialEq)]
pub(crate) struct Taken {
    pub(crate) query: String,
    /// Its bytes in the text.
    pub(crate) place: Range<usize>,
    /// What stands before it.
    pub(crate) reasoning: Option<String>,
    /// Whether `until` is what ends it.
    pub(crate) is_cut: bool,
}

/// Why there is no query, as it continues "3 of 200 texts ...".
pub(crate) type Failure = &'static str;

impl Rule {
    /// The query follows the last `after`, and ends with the first match of the regular expression `until`.
    ///
    /// # Errors
    /// If `until` is no regular expression.
    pub(crate) fn new(after: Option<&str>, until: Option<&str>) -> Result<Self, String> {
        let until = until
            .map(|until| Regex::new(until).map_err(|error| format!("is no regular expression: {error}")));
        Ok(Self {
            after: after.map(str::to_owned),
            until: until.transpose()?,
        })
    }

    /// The query of a text.
    pub(crate) fn apply(&self, text: &str) -> Result<Taken, Failure> {
        let (thought, said) = thinking(text)?;
        let (before, query) = match &self.after {
            None => (None, said),
            Some(after) => {
                let (before, query) = said
                    .rsplit_once(after.as_str())
                    .ok_or("do not hold `answer_after`")?;
                (Some(before), query)
            }
        };
        let parts: Vec<&str> = [thought, before].into_iter().flatten().map(str::trim).collect();
        let query = query.trim();
        let end = self.until.as_ref().and_then(|until| until.find(query));
        let query = end.map_or(query, |found| &query[..found.end()]).trim();
        if query.is_empty() {
            return Err("were empty");
        }
        let (reasoning, start) = (parts.join("\n"), place_of(query, text));
        Ok(Taken {
            query: query.to_owned(),
            place: start..start + query.len(),
            reasoning: (!reasoning.is_empty()).then_some(reasoning),
            is_cut: end.is_some(),
        })
    }
}

/// That of so many texts none is left, and why.
pub(crate) fn none_left(texts: usize, failures: &BTreeMap<Failure, usize>) -> StageError {
    let why = failures
        .iter()
        .map(|(failure, count)| format!("{count} {failure}"));
    let why = why.collect::<Vec<_>>().join(", ");
    StageError::with_help(
        format!("of {texts} texts that were written none is left: {why}"),
        "look at how the model is asked (`format`) and where a text ends (`decoding.stop`, `decoding.max_new_tokens`, `answer_after`)",
    )
}

/// Where a slice of a text begins in it.
fn place_of(slice: &str, text: &str) -> usize {
    slice.as_ptr() as usize - text.as_ptr() as usize
}

/// What stands in the thinking block of a reasoning model (`<think>...</think>`), and what follows it.
fn thinking(text: &str) -> Result<(Option<&str>, &str), Failure> {
    match text.split_once("</think>") {
        Some((thought, said)) => Ok((Some(thought.trim_start().trim_start_matches("<think>")), said)),
        None if text.trim_start().starts_with("<think>") => Err("end before the thinking does"),
        None => Ok((None, text)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn rule(after: Option<&str>, until: Option<&str>) -> Rule {
        Rule::new(after, until).unwrap()
    }

    #[test]
    fn a_text_is_its_query() {
        let taken = rule(None, None).apply("  how deep is it? \n").unwrap();
        assert_eq!((taken.query.as_str(), taken.reasoning), ("how deep is it?", None));
        assert_eq!((taken.place, taken.is_cut), (2..17, false));
        assert_eq!(rule(None, None).apply(" \n"), Err("were empty"));
    }

    #[test]
    fn reasoning_is_kept_apart() {
        let text =
            "<think>\nA lake.\n</think>\nIt is about depth. Query: a draft? Query: how deep? And more.";
        let taken = rule(Some("Query:"), Some("[?]")).apply(text).unwrap();
        assert_eq!(taken.query, "how deep?");
        assert_eq!(&text[taken.place], taken.query);
        assert!(taken.is_cut);
        assert_eq!(
            taken.reasoning.unwrap(),
            "A lake.\nIt is about depth. Query: a draft?"
        );
        assert_eq!(
            rule(Some("Query:"), None).apply("no marker"),
            Err("do not hold `answer_after`")
        );
        assert_eq!(
            rule(None, None).apply("<think> never ends"),
            Err("end before the thinking does")
        );
    }

    #[test]
    fn a_broken_expression_is_told() {
        assert!(
            Rule::new(None, Some("("))
                .err()
                .unwrap()
                .starts_with("is no regular expression")
        );
    }
}
