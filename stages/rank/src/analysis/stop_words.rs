//! Words that are left out.

use std::{collections::BTreeSet, fmt};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, IntoDeserializer, SeqAccess, Visitor, value::SeqAccessDeserializer},
};
use stop_words::Language;

/// Words left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum StopWords {
    /// By name.
    Named(StopList),
    /// These.
    List(Vec<String>),
}

impl Default for StopWords {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

/// Stop lists with a name: Lucene's 33 English words, and by language those of NLTK, which are Snowball's but for a few words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum StopList {
    LuceneEnglish,
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

impl StopList {
    /// The language of NLTK's list.
    fn language(self) -> Option<Language> {
        Some(match self {
            Self::LuceneEnglish => return None,
            Self::Arabic => Language::Arabic,
            Self::Danish => Language::Danish,
            Self::Dutch => Language::Dutch,
            Self::English => Language::English,
            Self::Finnish => Language::Finnish,
            Self::French => Language::French,
            Self::German => Language::German,
            Self::Greek => Language::Greek,
            Self::Hungarian => Language::Hungarian,
            Self::Italian => Language::Italian,
            Self::Norwegian => Language::Norwegian,
            Self::Portuguese => Language::Portuguese,
            Self::Romanian => Language::Romanian,
            Self::Russian => Language::Russian,
            Self::Spanish => Language::Spanish,
            Self::Swedish => Language::Swedish,
            Self::Tamil => Language::Tamil,
            Self::Turkish => Language::Turkish,
        })
    }
}

/// Lucene's EnglishAnalyzer.ENGLISH_STOP_WORDS_SET.
const LUCENE_ENGLISH: [&str; 33] = [
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no",
    "not", "of", "on", "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to",
    "was", "will", "with",
];

impl StopWords {
    /// All of them.
    pub(super) fn words(&self) -> BTreeSet<String> {
        let named: &[&str] = match self {
            Self::List(words) => return words.iter().cloned().collect(),
            Self::Named(list) => list.language().map_or(&LUCENE_ENGLISH, stop_words::get),
        };
        named.iter().map(|word| (*word).to_owned()).collect()
    }
}

impl<'de> Deserialize<'de> for StopWords {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = StopWords;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a stop list or a list of words")
            }
            fn visit_str<E: Error>(self, name: &str) -> Result<StopWords, E> {
                StopList::deserialize(name.into_deserializer()).map(StopWords::Named)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, words: A) -> Result<StopWords, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(words)).map(StopWords::List)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_has_words() {
        let schema = serde_json::to_value(schemars::schema_for!(StopList)).unwrap_or_default();
        let names = schema["enum"].as_array().cloned().unwrap_or_default();
        assert_eq!(names.len(), 19);
        for name in names {
            let list = StopWords::deserialize(&name).map(|list| list.words().len());
            assert!(list.is_ok_and(|words| words > 30), "{name}");
        }
    }
}
