//! The texts of a training run as tokens, each once.

use std::collections::BTreeMap;

use ablate_core::StageError;
use ablate_models::encoder::SentenceEncoder;

/// The token ids of texts, cut as their encoder cuts them.
pub(crate) struct TokenTable<'a>(BTreeMap<&'a str, Vec<u32>>);

impl<'a> TokenTable<'a> {
    /// # Errors
    /// If a text cannot be tokenised.
    pub(crate) fn of(
        encoder: &SentenceEncoder,
        texts: impl Iterator<Item = &'a str>,
    ) -> Result<Self, StageError> {
        let mut table: BTreeMap<&str, Vec<u32>> = texts.map(|text| (text, Vec::new())).collect();
        let texts: Vec<String> = table.keys().map(|text| (*text).to_owned()).collect();
        for (slot, ids) in table.values_mut().zip(encoder.tokenize(&texts)?) {
            *slot = ids;
        }
        Ok(Self(table))
    }

    /// Those of a text of the table.
    pub(crate) fn get(&self, text: &str) -> &[u32] {
        &self.0[text]
    }
}
