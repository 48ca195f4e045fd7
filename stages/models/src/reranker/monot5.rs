//! monoT5 (Nogueira et al., 2020): a T5 that answers `true` or `false` to "Query: … Document: … Relevant:". The score is
//! the logit of `true` less that of `false` in the first step of decoding.

use std::{ops::Range, path::Path};

use ablate_core::StageError;
use candle_core::{Device, Result as Computed, Tensor};
use rayon::prelude::*;
use tokenizers::{Encoding, Tokenizer};

use crate::{
    Mode,
    bert::Tokens,
    files::{TOKENIZER, copy, json, load_tokenizer},
    params::{ParamStore, to_vec},
    sentencepiece::t5_tokenizer,
    t5::{Config, T5},
};

/// Tokens the published checkpoints were trained with at most.
const MAX_LENGTH: usize = 512;

/// A T5 fine-tuned to say whether a document is relevant.
#[derive(Clone)]
pub struct MonoT5 {
    tokenizer: Tokenizer,
    model: T5,
    store: ParamStore,
    device: Device,
    /// Of `▁true` and `▁false`.
    words: [u32; 2],
    max_length: usize,
}

impl MonoT5 {
    /// Loads a model folder: `config.json`, parameters (see [`ParamStore::open`]), and `tokenizer.json` or, where there is
    /// none, as in the checkpoints of castorini, `spiece.model`.
    ///
    /// # Errors
    /// If a file is missing or damaged, or its tokenizer does not know the two answers; the message names it.
    pub fn load(folder: &Path, device: &Device) -> Result<Self, StageError> {
        let store = ParamStore::open(folder, device)?;
        let model = T5::new(json::<Config>(&folder.join("config.json"))?, &store)?;
        let (file, pieces) = (folder.join("tokenizer.json"), folder.join("spiece.model"));
        let mut tokenizer = match pieces.is_file() && !file.is_file() {
            true => t5_tokenizer(&pieces)?,
            false => load_tokenizer(&file)?,
        };
        tokenizer
            .with_padding(None)
            .with_truncation(None)
            .map_err(|error| StageError::new(error.to_string()))?;
        let word = |word: &str| {
            tokenizer
                .token_to_id(word)
                .filter(|id| (*id as usize) < model.config().vocab_size)
                .ok_or_else(|| StageError::new(format!("`{}` has no token `{word}`", file.display())))
        };
        Ok(Self {
            words: [word("▁true")?, word("▁false")?],
            tokenizer,
            model,
            store,
            device: device.clone(),
            max_length: MAX_LENGTH,
        })
    }

    /// Cuts documents so that prompts have at most `tokens`, the end token included; 512 if `None`.
    pub fn set_max_length(&mut self, tokens: Option<usize>) {
        self.max_length = tokens.unwrap_or(MAX_LENGTH);
    }

    /// Tokens of the longest prompt.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// The parameters.
    pub fn store(&self) -> &ParamStore {
        &self.store
    }

    /// The mean loss of the answers to prompts, `true` where a document is relevant: see [`T5::answer_loss`].
    pub fn answer_loss(&self, prompts: &[&[u32]], relevant: &[bool], mode: Mode<'_>) -> Computed<Tensor> {
        let answers: Vec<u32> = relevant
            .iter()
            .map(|relevant| self.words[usize::from(!relevant)])
            .collect();
        self.model
            .answer_loss(&self.store, &Tokens::new(prompts), &answers, mode)
    }

    /// Writes the model to the empty `folder` in the layout of transformers: the parameters as they are now, and the files
    /// of `base`, the folder it was loaded from, that go with any parameters.
    pub fn save(&self, base: &Path, folder: &Path) -> Result<(), StageError> {
        copy(&TOKENIZER, base, folder)?;
        copy(
            &["config.json", "generation_config.json", "spiece.model"],
            base,
            folder,
        )?;
        self.store.save(&folder.join("model.safetensors"))
    }

    /// Where it computes.
    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// The tokens of the prompt of each pair (query, document). Only the document is ever cut, from its end: a prompt
    /// without its last words would ask for nothing.
    ///
    /// # Errors
    /// If a query is so long that the prompt does not fit even without a document.
    pub fn tokenize(&self, pairs: &[(&str, &str)]) -> Result<Vec<Vec<u32>>, StageError> {
        let tokens = |(query, document): &(&str, &str)| {
            let before = format!("Query: {query} Document: ");
            let place = before.len()..before.len() + document.len();
            let encoding = self
                .tokenizer
                .encode(format!("{before}{document} Relevant:"), true)
                .map_err(|error| StageError::new(format!("a text cannot be tokenised: {error}")))?;
            cut(&encoding, &place, self.max_length).ok_or_else(|| {
                let message = format!(
                    "the prompt of the query `{query}` has more than {} tokens without its document",
                    self.max_length
                );
                StageError::with_help(message, "raise max_length")
            })
        };
        pairs.par_iter().map(tokens).collect()
    }

    /// The logit of `true` less that of `false` for each prompt of a batch.
    pub(super) fn score<'a>(&self, prompts: impl Iterator<Item = &'a Vec<u32>>) -> Computed<Vec<f32>> {
        let prompts: Vec<&[u32]> = prompts.map(Vec::as_slice).collect();
        let logits = self
            .model
            .first_logits(&self.store, &Tokens::new(&prompts), &self.words)?;
        Ok(to_vec(&logits)?
            .as_chunks::<2>()
            .0
            .iter()
            .map(|[yes, no]| yes - no)
            .collect())
    }
}

/// At most `most` tokens, without the last of those that stand in the bytes `document` of the text; `None` if there are
/// not enough of them.
fn cut(encoding: &Encoding, document: &Range<usize>, most: usize) -> Option<Vec<u32>> {
    let within = |(from, to): &(usize, usize)| *to > document.start && *from < document.end;
    let inside: Vec<usize> = (0..encoding.len())
        .filter(|at| within(&encoding.get_offsets()[*at]))
        .collect();
    let excess = encoding.len().saturating_sub(most);
    let dropped = &inside[inside.len().checked_sub(excess)?..];
    let kept = encoding.get_ids().iter().enumerate();
    Some(
        kept.filter(|(at, _)| dropped.binary_search(at).is_err())
            .map(|(_, id)| *id)
            .collect(),
    )
}
