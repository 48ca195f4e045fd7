//! From text to terms, as Lucene's analysers do it.

mod stop_words;
mod words;

use std::{collections::BTreeSet, fmt};

use rust_stemmers::Algorithm;
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, IntoDeserializer, MapAccess, Visitor, value::MapAccessDeserializer},
};

pub use self::stop_words::{StopList, StopWords};
use crate::porter;

/// How text becomes terms: by name or by steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Analyser {
    /// By name.
    Named(Named),
    /// By steps.
    Steps(Steps),
}

impl Default for Analyser {
    fn default() -> Self {
        Self::Named(Named::LuceneEnglish)
    }
}

/// Analysers with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Named {
    /// Words by UAX #29, possessives cut, lower case, Lucene's 33 stop words, Porter's stemmer: Anserini's default.
    LuceneEnglish,
    /// The same with Snowball's English stemmer (Porter 2).
    EnglishSnowball,
    /// Split on white space, nothing else.
    Whitespace,
}

/// The steps of an analyser, in the order of the fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Steps {
    /// How text becomes words.
    #[serde(default)]
    tokenizer: Tokenizer,
    /// Whether the English `'s` is cut.
    #[serde(default)]
    possessive: bool,
    /// Whether words become lower case.
    #[serde(default = "yes")]
    lowercase: bool,
    /// Words left out: `lucene-english`, a language, or a list; none by default.
    #[serde(default)]
    stop_words: StopWords,
    /// How words become stems; not at all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stemmer: Option<Stemmer>,
}

fn yes() -> bool {
    true
}

/// How text becomes words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tokenizer {
    /// Words by UAX #29, as Lucene's StandardTokenizer: emoji are words, and so is a run of a script that writes no blanks (Thai).
    #[default]
    Standard,
    /// Split on white space.
    Whitespace,
}

/// Stemmers: Porter's of 1980, and Snowball's by language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Stemmer {
    Porter,
    Arabic,
    Danish,
    Dutch,
    English,
    Finnish,
    French,
    German,
    Greek,
    Hungarian,
    Italian,
    Norwegian,
    Portuguese,
    Romanian,
    Russian,
    Spanish,
    Swedish,
    Tamil,
    Turkish,
}

impl Stemmer {
    /// Snowball's algorithm; `None` for Porter's of 1980, which is our own.
    fn snowball(self) -> Option<Algorithm> {
        Some(match self {
            Self::Porter => return None,
            Self::Arabic => Algorithm::Arabic,
            Self::Danish => Algorithm::Danish,
            Self::Dutch => Algorithm::Dutch,
            Self::English => Algorithm::English,
            Self::Finnish => Algorithm::Finnish,
            Self::French => Algorithm::French,
            Self::German => Algorithm::German,
            Self::Greek => Algorithm::Greek,
            Self::Hungarian => Algorithm::Hungarian,
            Self::Italian => Algorithm::Italian,
            Self::Norwegian => Algorithm::Norwegian,
            Self::Portuguese => Algorithm::Portuguese,
            Self::Romanian => Algorithm::Romanian,
            Self::Russian => Algorithm::Russian,
            Self::Spanish => Algorithm::Spanish,
            Self::Swedish => Algorithm::Swedish,
            Self::Tamil => Algorithm::Tamil,
            Self::Turkish => Algorithm::Turkish,
        })
    }
}

impl Analyser {
    /// The analyser made ready.
    pub fn pipeline(&self) -> Pipeline {
        let english = |stemmer| Steps {
            tokenizer: Tokenizer::Standard,
            possessive: true,
            lowercase: true,
            stop_words: StopWords::Named(StopList::LuceneEnglish),
            stemmer: Some(stemmer),
        };
        let steps = match self {
            Self::Named(Named::LuceneEnglish) => english(Stemmer::Porter),
            Self::Named(Named::EnglishSnowball) => english(Stemmer::English),
            Self::Named(Named::Whitespace) => Steps {
                tokenizer: Tokenizer::Whitespace,
                possessive: false,
                lowercase: false,
                stop_words: StopWords::default(),
                stemmer: None,
            },
            Self::Steps(steps) => steps.clone(),
        };
        Pipeline::of(steps)
    }
}

/// An analyser made ready: its stop words in a set, its stemmer at hand.
pub struct Pipeline {
    steps: Steps,
    stop_words: BTreeSet<String>,
    snowball: Option<rust_stemmers::Stemmer>,
}

impl Pipeline {
    fn of(steps: Steps) -> Self {
        let snowball = steps.stemmer.and_then(Stemmer::snowball);
        Self {
            stop_words: steps.stop_words.words(),
            steps,
            snowball: snowball.map(rust_stemmers::Stemmer::create),
        }
    }

    /// The terms of `text`, in order.
    pub fn terms(&self, text: &str) -> Vec<String> {
        let mut terms = Vec::new();
        self.each_word(text, |word| terms.extend(self.term(word)));
        terms
    }

    /// Calls `each` with the words of `text`, in order.
    pub(crate) fn each_word(&self, text: &str, each: impl FnMut(&str)) {
        match self.steps.tokenizer {
            Tokenizer::Whitespace => text.split_whitespace().for_each(each),
            Tokenizer::Standard => words::each_word(text, each),
        }
    }

    /// The term of one word, unless it is a stop word.
    pub(crate) fn term(&self, word: &str) -> Option<String> {
        let word = if self.steps.possessive {
            without_possessive(word)
        } else {
            word
        };
        let word = if self.steps.lowercase {
            word.chars().map(lower).collect()
        } else {
            word.to_owned()
        };
        if self.stop_words.contains(&word) {
            return None;
        }
        Some(match (&self.snowball, self.steps.stemmer) {
            (Some(snowball), _) => snowball.stem(&word).into_owned(),
            (None, Some(_)) => porter::stem(&word),
            (None, None) => word,
        })
    }
}

/// The lower case of one character, whatever stands beside it, as Java's `Character.toLowerCase` has it.
fn lower(character: char) -> char {
    character.to_lowercase().next().unwrap_or(character)
}

/// Cuts `'s` with any of the apostrophes of Lucene's EnglishPossessiveFilter.
fn without_possessive(word: &str) -> &str {
    let cut = word
        .strip_suffix(['s', 'S'])
        .and_then(|rest| rest.strip_suffix(['\'', '\u{2019}', '\u{ff07}']));
    cut.unwrap_or(word)
}

// By hand, because an untagged enum does not say what is wrong with its variants.
impl<'de> Deserialize<'de> for Analyser {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Analyser;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of an analyser or its steps")
            }
            fn visit_str<E: Error>(self, name: &str) -> Result<Analyser, E> {
                Named::deserialize(name.into_deserializer()).map(Analyser::Named)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Analyser, A::Error> {
                Steps::deserialize(MapAccessDeserializer::new(map)).map(Analyser::Steps)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn terms(analyser: Value, text: &str) -> Vec<String> {
        serde_json::from_value::<Analyser>(analyser)
            .unwrap()
            .pipeline()
            .terms(text)
    }

    #[test]
    fn terms_as_lucene_makes_them() {
        let text = "The Bees' hive isn't the keeper's; 3.5 mm TNF-alpha, U.S.A. relational";
        assert_eq!(
            terms(json!("lucene-english"), text),
            [
                "bee", "hive", "isn't", "keeper", "3.5", "mm", "tnf", "alpha", "u.s.a", "relat"
            ]
        );
    }

    #[test]
    fn long_words_are_cut_and_characters_lowered_one_by_one() {
        let long = "x".repeat(600);
        let lengths: Vec<usize> = terms(json!({}), &long).iter().map(String::len).collect();
        assert_eq!(lengths, [255, 255, 90]);
        assert_eq!(terms(json!({}), "İstanbul ΟΔΟΣ"), ["istanbul", "οδοσ"]);
    }

    #[test]
    fn steps_are_taken_one_by_one() {
        assert_eq!(
            terms(json!("whitespace"), "The Cat's  mat."),
            ["The", "Cat's", "mat."]
        );
        assert_eq!(terms(json!({}), "The Cat's mat."), ["the", "cat's", "mat"]);
        let steps =
            json!({"possessive": true, "lowercase": false, "stop_words": ["The"], "tokenizer": "whitespace"});
        assert_eq!(terms(steps, "The Cat's mat."), ["Cat", "mat."]);
        // Where the stemmers differ (Snowball's vocabulary lists): Porter 2 keeps `generously` apart from `general`.
        assert_eq!(
            terms(json!("english-snowball"), "generously skies"),
            ["generous", "sky"]
        );
        assert_eq!(
            terms(json!("lucene-english"), "generously skies"),
            ["gener", "ski"]
        );
        assert_eq!(
            terms(json!({"stemmer": "german"}), "aufeinanderfolgenden Häuser"),
            ["aufeinanderfolg", "haus"]
        );
        let german = json!({"stop_words": "german", "stemmer": "german"});
        assert_eq!(terms(german, "Die Häuser und nicht der Wald"), ["haus", "wald"]);
    }

    #[test]
    fn what_is_wrong_with_an_analyser_is_said() {
        let told = |analyser: Value| {
            serde_json::from_value::<Analyser>(analyser)
                .unwrap_err()
                .to_string()
        };
        assert!(told(json!("lucene")).contains("unknown variant `lucene`, expected one of `lucene-english`"));
        assert!(told(json!({"stemer": "porter"})).contains("unknown field `stemer`"));
        assert!(told(json!(1)).contains("expected the name of an analyser or its steps"));
        let klingon = told(json!({"stop_words": "klingon"}));
        assert!(
            klingon.starts_with("unknown variant `klingon`, expected one of `lucene-english`, `arabic`"),
            "{klingon}"
        );
        assert!(
            told(json!({"stop_words": 1})).contains("expected the name of a stop list or a list of words")
        );
    }
}
