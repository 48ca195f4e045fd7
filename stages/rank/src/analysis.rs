//! From text to terms, as Lucene's analysers do it.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

use crate::porter;

/// How text becomes terms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Analyser {
    /// Words by UAX #29, possessives cut, lower case, Lucene's 33 stop words, Porter's stemmer: Anserini's default.
    #[default]
    LuceneEnglish,
    /// Split on white space, nothing else.
    Whitespace,
}

/// Lucene's EnglishAnalyzer.ENGLISH_STOP_WORDS_SET.
const STOP_WORDS: [&str; 33] = [
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no",
    "not", "of", "on", "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to",
    "was", "will", "with",
];

/// Lucene's StandardTokenizer cuts longer words; none that long is a word.
const LONGEST: usize = 255;

impl Analyser {
    /// The terms of `text`, in order.
    pub fn terms(self, text: &str) -> Vec<String> {
        match self {
            Self::Whitespace => text.split_whitespace().map(str::to_owned).collect(),
            Self::LuceneEnglish => lucene_english(text),
        }
    }
}

fn lucene_english(text: &str) -> Vec<String> {
    let stop: BTreeSet<&str> = STOP_WORDS.into();
    text.unicode_words()
        .filter(|word| word.chars().count() <= LONGEST)
        .map(|word| without_possessive(word).to_lowercase())
        .filter(|word| !stop.contains(word.as_str()))
        .map(|word| porter::stem(&word))
        .collect()
}

/// Cuts `'s` with any of the apostrophes of Lucene's EnglishPossessiveFilter.
fn without_possessive(word: &str) -> &str {
    let cut = word
        .strip_suffix(['s', 'S'])
        .and_then(|rest| rest.strip_suffix(['\'', '\u{2019}', '\u{ff07}']));
    cut.unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_as_lucene_makes_them() {
        let terms = Analyser::LuceneEnglish
            .terms("The Bees' hive isn't the keeper's; 3.5 mm TNF-alpha, U.S.A. relational");
        assert_eq!(
            terms,
            [
                "bee", "hive", "isn't", "keeper", "3.5", "mm", "tnf", "alpha", "u.s.a", "relat"
            ]
        );
    }
}
