//! Cross-encoders (Nogueira and Cho, 2019): `BertForSequenceClassification` and `RobertaForSequenceClassification` of the
//! transformers library with one label, as sentence-transformers' `CrossEncoder` uses them.

use std::path::Path;

use ablate_core::{Seed, StageError};
use candle_core::{Device, Result as Computed, Tensor};
use rayon::prelude::*;
use serde_json::{Value, json};
use tokenizers::{Tokenizer, TruncationParams, TruncationStrategy};

use super::Truncation;
use crate::{
    Mode,
    bert::{self, Bert, Family, Tokens},
    files::{TOKENIZER, copy, json, load_tokenizer, tokenizer_limit},
    ops,
    params::{ParamStore, to_vec},
};

/// Special tokens of a pair and a token of each text: no less can be scored.
const SHORTEST: usize = 5;

/// A BERT or RoBERTa whose first state goes through two linear layers, tanh between them, to one label.
#[derive(Clone)]
pub struct CrossEncoder {
    tokenizer: Tokenizer,
    bert: Bert,
    /// The names of the two layers.
    head: [String; 2],
    store: ParamStore,
    device: Device,
    /// Tokens that the tokenizer lets a pair have.
    limit: usize,
    max_length: usize,
}

/// The tokens of a query and a document in one sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairTokens {
    /// Token ids, special ones included.
    pub ids: Vec<u32>,
    /// Of each token: 0 in the query's part, 1 in the document's.
    pub types: Vec<u32>,
}

/// The two layers of a head and their shapes.
fn head_shapes(head: &[String; 2], hidden: usize) -> Vec<(String, Vec<usize>)> {
    let first = bert::with_bias(&head[0], vec![hidden, hidden]);
    [first, bert::with_bias(&head[1], vec![1, hidden])].concat()
}

impl CrossEncoder {
    /// Loads a model folder: `config.json`, parameters (see [`ParamStore::open`]) and `tokenizer.json`.
    ///
    /// # Errors
    /// If a file is missing, damaged, or has another number of labels than one; the message names it.
    pub fn load(folder: &Path, device: &Device) -> Result<Self, StageError> {
        Self::of(folder, ParamStore::open(folder, device)?, device)
    }

    /// The same, to be trained: a plain encoder gets a new head, drawn from `seed` as transformers draws it (normal with
    /// deviation .02, biases 0). Parameters have the names that transformers' classes give them.
    pub fn over(folder: &Path, device: &Device, seed: &Seed) -> Result<Self, StageError> {
        let store = ParamStore::open(folder, device)?;
        let family = json::<bert::Config>(&folder.join("config.json"))?.model_type;
        let mut named = ParamStore::default();
        for (name, value) in store.iter() {
            if let Some(name) = family.classifier_name(name) {
                named.insert(&name, value)?;
            }
        }
        let hidden = json::<bert::Config>(&folder.join("config.json"))?.hidden_size;
        for (name, shape) in head_shapes(&family.head(), hidden) {
            if named.get(&name).is_none() {
                let mut stream = seed.child(&name).stream();
                let deviation = if name.ends_with("bias") { 0.0 } else { 0.02 };
                let count = shape.iter().product();
                let values: Vec<f32> = (0..count).map(|_| (deviation * stream.normal()) as f32).collect();
                named.insert(&name, &Tensor::from_vec(values, shape, device)?)?;
            }
        }
        Self::of(folder, named, device)
    }

    fn of(folder: &Path, store: ParamStore, device: &Device) -> Result<Self, StageError> {
        let bert = Bert::new(json::<bert::Config>(&folder.join("config.json"))?, &store)?;
        let mut head = bert.config().model_type.head();
        if bert.config().model_type == Family::Bert {
            head[0] = format!("{}pooler.dense", bert.prefix());
        }
        store.expect(&head_shapes(&head, bert.config().hidden_size))?;
        let mut model = Self {
            tokenizer: load_tokenizer(&folder.join("tokenizer.json"))?,
            bert,
            head,
            store,
            device: device.clone(),
            limit: tokenizer_limit(folder)?.unwrap_or(usize::MAX),
            max_length: 0,
        };
        model.set_truncation(None, Truncation::default())?;
        Ok(model)
    }

    /// Writes the model to the empty `folder` as transformers' `AutoModelForSequenceClassification` reads it: the parameters
    /// as they are now, and the tokenizer of `base`, the folder this model was loaded from.
    pub fn save(&self, base: &Path, folder: &Path) -> Result<(), StageError> {
        copy(&TOKENIZER, base, folder)?;
        let mut config: serde_json::Map<String, Value> = json(&base.join("config.json"))?;
        config.insert(
            "architectures".into(),
            json!([self.bert.config().model_type.classifier()]),
        );
        config.insert("id2label".into(), json!({"0": "LABEL_0"}));
        config.insert("label2id".into(), json!({"LABEL_0": 0}));
        let config = serde_json::to_string_pretty(&config)?;
        fs_err::write(folder.join("config.json"), config + "\n")?;
        self.store.save(&folder.join("model.safetensors"))
    }

    /// Cuts pairs at `tokens`, the special ones included, else where the model's tokenizer does; at the model's last position at the latest.
    ///
    /// # Errors
    /// If `tokens` leaves no room between the special tokens.
    pub fn set_truncation(&mut self, tokens: Option<usize>, how: Truncation) -> Result<(), StageError> {
        let positions = self.bert.config().longest();
        self.max_length = tokens.unwrap_or(self.limit).min(positions);
        if self.max_length < SHORTEST {
            let message = format!(
                "max_length {} leaves no room for a query and a document",
                self.max_length
            );
            return Err(StageError::new(message));
        }
        let truncation = TruncationParams {
            max_length: self.max_length,
            strategy: match how {
                Truncation::LongestFirst => TruncationStrategy::LongestFirst,
                Truncation::OnlySecond => TruncationStrategy::OnlySecond,
            },
            ..TruncationParams::default()
        };
        let refused =
            |error| StageError::new(format!("max_length {} cannot be used: {error}", self.max_length));
        self.tokenizer
            .with_padding(None)
            .with_truncation(Some(truncation))
            .map_err(refused)?;
        Ok(())
    }

    /// Tokens a pair is cut at, the special ones included.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// Where it computes.
    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// The parameters.
    pub fn store(&self) -> &ParamStore {
        &self.store
    }

    /// The parameters, to change what is frozen.
    pub fn store_mut(&mut self) -> &mut ParamStore {
        &mut self.store
    }

    /// The tokens of each pair (query, document), cut at [`Self::max_length`].
    ///
    /// # Errors
    /// If a pair cannot be cut: with [`Truncation::OnlySecond`], a query that leaves no room.
    pub fn tokenize(&self, pairs: &[(&str, &str)]) -> Result<Vec<PairTokens>, StageError> {
        let encoded =
            |(query, document): &(&str, &str)| match self.tokenizer.encode_fast((*query, *document), true) {
                Ok(encoding) => Ok(PairTokens {
                    ids: encoding.get_ids().to_vec(),
                    types: encoding.get_type_ids().to_vec(),
                }),
                Err(error) => Err(StageError::with_help(
                    format!(
                        "the query `{query}` and its document cannot be cut at {} tokens: {error}",
                        self.max_length
                    ),
                    "raise max_length, or set truncation to longest_first",
                )),
            };
        pairs.par_iter().map(encoded).collect()
    }

    /// The logits of a batch, `(pairs)`.
    pub fn forward<'a>(
        &self,
        pairs: impl Iterator<Item = &'a PairTokens>,
        mode: Mode<'_>,
    ) -> Computed<Tensor> {
        let pairs: Vec<&PairTokens> = pairs.collect();
        let ids: Vec<&[u32]> = pairs.iter().map(|pair| pair.ids.as_slice()).collect();
        let types = pairs.iter().flat_map(|pair| pair.types.iter().copied()).collect();
        let tokens = Tokens::new(&ids).with_types(types);
        let states = self.bert.forward(&self.store, &tokens, mode)?;
        let first = ops::pool_first(&states, tokens.segments())?;
        let pooled = self.linear(&first, &self.head[0], mode)?.tanh()?;
        let dropout = mode.dropout("classifier", self.bert.config().hidden_dropout_prob);
        self.linear(&ops::dropout(&pooled, dropout)?, &self.head[1], mode)?
            .squeeze(1)
    }

    fn linear(&self, x: &Tensor, name: &str, mode: Mode<'_>) -> Computed<Tensor> {
        let value = |part: &str| self.store.value(&format!("{name}.{part}"), mode.is_training());
        mode.precision()
            .linear(x, &value("weight")?, Some(&value("bias")?))
    }

    /// The logits of a batch, as numbers.
    pub(super) fn score<'a>(&self, pairs: impl Iterator<Item = &'a PairTokens>) -> Computed<Vec<f32>> {
        to_vec(&self.forward(pairs, Mode::Inference)?)
    }
}
