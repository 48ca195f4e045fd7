//! Which of the texts that a model wrote are negatives.

use std::collections::{BTreeMap, BTreeSet};

use ablate_core::{StageError, rows::Pair};

use super::Params;
use crate::{
    answers::{Failure, Rule},
    likeness::{Grams, words},
    writing::Written,
};

/// How lines begin that say what follows, in lower case.
const HEADINGS: [&str; 6] = ["here is", "here's", "sure", "certainly", "of course", "passage"];

/// What tells a negative from other texts.
pub(super) struct Filter {
    rule: Rule,
    refusals: Vec<String>,
    max_likeness: f64,
    run_words: usize,
}

impl Filter {
    pub(super) fn new(params: &Params) -> Result<Self, StageError> {
        Ok(Self {
            rule: Rule::new(params.answer_after.as_deref(), None).map_err(StageError::new)?,
            refusals: params.refusals.iter().map(|text| plain(text)).collect(),
            max_likeness: params.max_likeness,
            run_words: params.run_words as usize,
        })
    }

    /// The negatives among the texts of a query, each with the number of its sample.
    pub(super) fn kept(
        &self,
        pair: &Pair,
        written: &[Written],
        failures: &mut BTreeMap<Failure, usize>,
    ) -> Vec<(usize, String)> {
        let (mut kept, mut seen) = (Vec::new(), BTreeSet::new());
        for (sample, written) in written.iter().enumerate() {
            match self.negative(&written.text, &pair.text) {
                Ok(text) if seen.insert(words(&text)) => kept.push((sample, text)),
                Ok(_) => *failures.entry("repeat another of their query").or_insert(0) += 1,
                Err(failure) => *failures.entry(failure).or_insert(0) += 1,
            }
        }
        kept
    }

    fn negative(&self, text: &str, positive: &str) -> Result<String, Failure> {
        let text = self.rule.apply(text)?.query;
        let text = without_heading(&text);
        if words(text).is_empty() {
            Err("were empty")
        } else if self.is_refusal(text) {
            Err("were refusals")
        } else if self.likeness(text, positive) > self.max_likeness {
            Err("were too close to the positive")
        } else {
            Ok(text.to_owned())
        }
    }

    /// Whether the first sentence has the words of a refusal.
    fn is_refusal(&self, text: &str) -> bool {
        let text = plain(text);
        let sentence = text.split(['.', '!', '?', '\n']).next().unwrap_or_default();
        let is_whole = |(at, found): (usize, &str)| {
            let (before, behind) = (&sentence[..at], &sentence[at + found.len()..]);
            !before.ends_with(char::is_alphanumeric) && !behind.starts_with(char::is_alphanumeric)
        };
        let has = |refusal: &String| sentence.match_indices(refusal.as_str()).any(is_whole);
        self.refusals.iter().any(has)
    }

    fn likeness(&self, text: &str, positive: &str) -> f64 {
        // Of a text that is shorter than a run, all of it is one.
        let run = [text, positive].map(|text| Grams::of(text, self.run_words).run());
        let run = run[0].min(run[1]);
        Grams::of(text, run).overlap(&Grams::of(positive, run))
    }
}

/// A text without a first line that only says that it follows, as `Here is a passage:`.
fn without_heading(text: &str) -> &str {
    let Some((line, rest)) = text.split_once('\n') else {
        return text;
    };
    let start = plain(line);
    let announces = HEADINGS.iter().any(|heading| start.starts_with(heading));
    match announces && line.trim_end().ends_with(':') {
        true => rest.trim_start(),
        false => text,
    }
}

/// In lower case, with plain apostrophes and without what stands around an answer.
fn plain(text: &str) -> String {
    text.trim_start_matches(|character: char| !character.is_alphanumeric())
        .to_lowercase()
        .replace('\u{2019}', "'")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::samples::pair;

    fn lake() -> Pair {
        pair(
            "how deep is the lake",
            "The lake is ninety metres deep at its north end.",
        )
    }

    fn kept(fields: serde_json::Value, texts: &[&str]) -> (Vec<(usize, String)>, BTreeMap<Failure, usize>) {
        let filter = Filter::new(&serde_json::from_value(fields).unwrap()).unwrap();
        let written = |text: &&str| Written {
            text: (*text).to_owned(),
            reasoning: None,
            tokens: vec![],
            prompt_tokens: 1,
            new_tokens: 1,
            finish: "stop".into(),
        };
        let written: Vec<Written> = texts.iter().map(written).collect();
        let mut failures = BTreeMap::new();
        let kept = filter.kept(&lake(), &written, &mut failures);
        (kept, failures)
    }

    const TEXTS: [&str; 8] = [
        "<think>A lake.</think>\nLakes are measured with a line and a weight.",
        "lakes are measured with a line, and a weight",
        "The lake is ninety metres deep at its north shore.",
        "\u{201c}I can\u{2019}t help with that.",
        "<think>never ends",
        " ***\n",
        "Ships cross the lake from north to south.",
        "",
    ];

    #[test]
    fn each_filter_is_met() {
        let (kept, failures) = kept(serde_json::json!({}), &TEXTS);
        assert_eq!(
            kept,
            [
                (0, "Lakes are measured with a line and a weight.".to_owned()),
                (6, "Ships cross the lake from north to south.".to_owned())
            ]
        );
        let counted: Vec<(Failure, usize)> = failures.into_iter().collect();
        assert_eq!(
            counted,
            [
                ("end before the thinking does", 1),
                ("repeat another of their query", 1),
                ("were empty", 2),
                ("were refusals", 1),
                ("were too close to the positive", 1)
            ]
        );
    }

    /// Refusals are not only at the start, and no word that ends with one is one; an excerpt is too close though most of the positive
    /// is not in it, and so is a text that holds all of it.
    #[test]
    fn everyday_refusals_excerpts_and_headings_are_seen() {
        let whole = format!(
            "{} And ships cross it, from north to south, on most days of the year, with people and cattle.",
            lake().text
        );
        let texts = [
            "I apologize, but I can't write that.",
            "Unfortunately, I cannot fulfil this request.",
            "As asked, I'm not able to do so.",
            "The lake is ninety metres",
            &whole,
            "Mumbai cannot be seen from here.",
            "Magnesium is used as an aid for sleep.",
            "Unfortunately, it rains on the lake.",
            "Here is a passage that looks relevant:\n\nShips cross the lake.",
            "Ferries: a list\nThey go daily.",
        ];
        let (kept, failures) = kept(serde_json::json!({}), &texts);
        assert_eq!(
            kept,
            [
                (5, texts[5].to_owned()),
                (6, texts[6].to_owned()),
                (7, texts[7].to_owned()),
                (8, "Ships cross the lake.".to_owned()),
                (9, texts[9].to_owned())
            ]
        );
        assert_eq!(failures["were refusals"], 3);
        assert_eq!(failures["were too close to the positive"], 2);
    }

    #[test]
    fn filters_can_be_left_out() {
        let fields = serde_json::json!({"refusals": [], "max_likeness": 1.0});
        let (kept, failures) = kept(fields, &TEXTS);
        let samples: Vec<usize> = kept.iter().map(|(sample, _)| *sample).collect();
        assert_eq!(samples, [0, 2, 3, 6]);
        assert_eq!(failures.len(), 3);
    }

    #[test]
    fn the_passage_may_stand_behind_a_marker() {
        let fields = serde_json::json!({"answer_after": "Passage:"});
        let (kept, failures) = kept(fields, &["Here it is. Passage: Ships.", "Ships."]);
        assert_eq!(kept, [(0, "Ships.".to_owned())]);
        assert_eq!(failures["do not hold `answer_after`"], 1);
    }
}
