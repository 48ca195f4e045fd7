//! How the trainers of encoders read texts.

use std::{collections::BTreeMap, path::Path};

use ablate_core::{StageError, rows::Triple};
use ablate_models::encoder::SentenceEncoder;
use candle_core::Device;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The parameters that the trainers of encoders share.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Reading {
    /// Tokens a text is cut at in training. The trained model keeps its base's own limit.
    #[serde(default = "max_length")]
    #[schemars(range(min = 3))]
    max_length: usize,
    /// Dropout probability; that of the base's configuration if not given.
    #[serde(default)]
    #[schemars(range(min = 0), extend("exclusiveMaximum" = 1))]
    pub(crate) dropout: Option<f32>,
}

fn max_length() -> usize {
    128
}

impl Reading {
    /// The encoder that training starts from.
    ///
    /// # Errors
    /// If it cannot be loaded, or texts are to be longer than it takes.
    pub(crate) fn encoder(&self, base: &Path, device: &Device) -> Result<SentenceEncoder, StageError> {
        let mut encoder = SentenceEncoder::load(base, device)?;
        encoder.set_max_length(self.max_length)?;
        Ok(encoder)
    }
}

/// The token ids of the texts of rows, each once, cut as their encoder cuts them.
pub(crate) struct TokenTable<'a>(BTreeMap<&'a str, Vec<u32>>);

impl<'a> TokenTable<'a> {
    /// # Errors
    /// If a text cannot be tokenised.
    pub(crate) fn of(encoder: &SentenceEncoder, rows: &'a [Triple]) -> Result<Self, StageError> {
        let texts = rows
            .iter()
            .flat_map(|row| [&row.query, &row.pos_text, &row.neg_text]);
        let mut table: BTreeMap<&str, Vec<u32>> = texts.map(|text| (text.as_str(), Vec::new())).collect();
        let texts: Vec<String> = table.keys().map(|text| (*text).to_owned()).collect();
        for (slot, ids) in table.values_mut().zip(encoder.tokenize(&texts)?) {
            *slot = ids;
        }
        Ok(Self(table))
    }

    /// Those of a text of the rows.
    pub(crate) fn get(&self, text: &str) -> &[u32] {
        &self.0[text]
    }
}
