//! How the trainers of encoders read texts.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use ablate_core::{StageError, rows::Triple};
use ablate_models::encoder::{Prefixes, Role, SentenceEncoder};
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
    /// What stands before texts, in training and wherever the trained model is used.
    #[serde(flatten)]
    prefixes: Prefixes,
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
        encoder.set_prefixes(&self.prefixes);
        Ok(encoder)
    }
}

/// A text as what it is put to an encoder.
pub(crate) type Put<'a> = (Role, &'a str);

/// The texts of rows, each once.
pub(crate) fn texts<'a>(rows: &'a [Triple]) -> BTreeSet<Put<'a>> {
    let of_row = |row: &'a Triple| {
        [
            (Role::Query, row.query.as_str()),
            (Role::Document, row.pos_text.as_str()),
            (Role::Document, row.neg_text.as_str()),
        ]
    };
    rows.iter().flat_map(of_row).collect()
}

/// These texts behind their prompts.
pub(crate) fn prompted(encoder: &SentenceEncoder, texts: &BTreeSet<Put<'_>>) -> Vec<String> {
    let prompted = |(role, text): &Put<'_>| encoder.prompted(*role, text).into_owned();
    texts.iter().map(prompted).collect()
}

/// The token ids of the texts of rows, cut as their encoder cuts them.
pub(crate) struct TokenTable<'a>(BTreeMap<Put<'a>, Vec<u32>>);

impl<'a> TokenTable<'a> {
    /// # Errors
    /// If a text cannot be tokenised.
    pub(crate) fn of(encoder: &SentenceEncoder, rows: &'a [Triple]) -> Result<Self, StageError> {
        let texts = texts(rows);
        let ids = encoder.tokenize(&prompted(encoder, &texts))?;
        Ok(Self(texts.into_iter().zip(ids).collect()))
    }

    /// Those of a text of the rows.
    pub(crate) fn get(&self, role: Role, text: &'a str) -> &[u32] {
        &self.0[&(role, text)]
    }
}
