//! Sentence encoders: model folders in the layout of sentence-transformers, and texts to vectors.

mod layout;
mod prompts;

use std::{borrow::Cow, path::Path};

use ablate_core::StageError;
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use serde::Deserialize;
use tokenizers::{Tokenizer, TruncationParams};

pub use crate::batches::RowSink;
use layout::Modules;
pub use prompts::{Prefixes, Prompts, Role};

use crate::{
    Mode,
    batches::each_row,
    bert::{self, Bert, Tokens},
    distilbert::{self, DistilBert},
    files::{json, load_tokenizer},
    ops,
    params::{ParamStore, to_vec},
};

/// How a text's vector comes from the states of its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The mean over all tokens, the special ones included.
    Mean,
    /// The state of the first token.
    Cls,
}

/// The architectures a sentence encoder may have.
#[derive(Clone, Debug)]
pub enum Architecture {
    /// `model_type: bert`, `roberta` or `xlm-roberta`.
    Bert(Bert),
    /// `model_type: distilbert`.
    DistilBert(DistilBert),
}

impl Architecture {
    /// Reads `config.json` of `folder` and checks `store` against it.
    fn load(folder: &Path, store: &ParamStore) -> Result<Self, StageError> {
        #[derive(Deserialize)]
        struct Kind {
            #[serde(default)]
            model_type: String,
        }
        let file = folder.join("config.json");
        match json::<Kind>(&file)?.model_type.as_str() {
            "bert" | "roberta" | "xlm-roberta" => {
                Ok(Self::Bert(Bert::new(json::<bert::Config>(&file)?, store)?))
            }
            "distilbert" => Ok(Self::DistilBert(DistilBert::new(
                json::<distilbert::Config>(&file)?,
                store,
            )?)),
            other => Err(StageError::with_help(
                format!(
                    "`{}`: model_type `{other}` is no encoder known here",
                    file.display()
                ),
                "use a BERT, RoBERTa, XLM-RoBERTa or DistilBERT model",
            )),
        }
    }

    fn forward(&self, store: &ParamStore, tokens: &Tokens, mode: Mode<'_>) -> candle_core::Result<Tensor> {
        match self {
            Self::Bert(model) => model.forward(store, tokens, mode),
            Self::DistilBert(model) => model.forward(store, tokens, mode),
        }
    }

    /// Width of a token's state.
    fn width(&self) -> usize {
        match self {
            Self::Bert(model) => model.config().hidden_size,
            Self::DistilBert(model) => model.config().dim,
        }
    }

    /// Tokens of the longest text.
    fn positions(&self) -> usize {
        match self {
            Self::Bert(model) => model.config().longest(),
            Self::DistilBert(model) => model.config().max_position_embeddings,
        }
    }
}

/// One vector per text.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    /// Numbers of a vector.
    pub dim: usize,
    /// The vectors one after the other, in the order of the texts.
    pub values: Vec<f32>,
}

impl Embeddings {
    /// The vectors, in the order of the texts.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.dim)
    }

    /// Takes the vectors from index `first` on away.
    #[must_use]
    pub fn split_off(&mut self, first: usize) -> Self {
        let values = self.values.split_off(first * self.dim);
        Self {
            dim: self.dim,
            values,
        }
    }
}

/// A sentence encoder. A clone shares the parameters.
#[derive(Clone)]
pub struct SentenceEncoder {
    tokenizer: Tokenizer,
    architecture: Architecture,
    store: ParamStore,
    pooling: Pooling,
    normalize: bool,
    max_length: usize,
    prompts: Prompts,
    device: Device,
}

impl SentenceEncoder {
    /// Loads a model folder: `config.json`, parameters (see [`ParamStore::open`]), `tokenizer.json`, and where they are there
    /// `modules.json`, `1_Pooling/config.json` and `sentence_bert_config.json`. A folder without `modules.json` is
    /// a plain encoder: mean pooling, no normalisation, as sentence-transformers reads it.
    ///
    /// # Errors
    /// If a file is missing, damaged, or asks for something not computed here; the message names it.
    pub fn load(folder: &Path, device: &Device) -> Result<Self, StageError> {
        let modules = Modules::read(folder)?;
        let transformer = modules.transformer();
        let store = ParamStore::open(&transformer, device)?;
        let architecture = Architecture::load(&transformer, &store)?;
        let mut encoder = Self {
            tokenizer: load_tokenizer(&transformer.join("tokenizer.json"))?,
            max_length: 0,
            architecture,
            store,
            pooling: modules.pooling,
            normalize: modules.normalize,
            prompts: modules.prompts,
            device: device.clone(),
        };
        encoder.set_max_length(modules.max_length.unwrap_or(usize::MAX))?;
        Ok(encoder)
    }

    /// Cuts texts at `tokens`, the special ones included, or at the model's last position.
    ///
    /// # Errors
    /// If `tokens` leaves no room between the special tokens.
    pub fn set_max_length(&mut self, tokens: usize) -> Result<(), StageError> {
        self.max_length = tokens.min(self.architecture.positions());
        let truncation = TruncationParams {
            max_length: self.max_length,
            ..TruncationParams::default()
        };
        let refused = |error| StageError::new(format!("max_length {tokens} cannot be used: {error}"));
        if self.max_length < 3 {
            return Err(StageError::new(format!(
                "max_length {tokens} leaves no room for a text"
            )));
        }
        self.tokenizer
            .with_padding(None)
            .with_truncation(Some(truncation))
            .map_err(refused)?;
        Ok(())
    }

    /// Puts these before texts instead of the model's own prompts, where they are given.
    pub fn set_prefixes(&mut self, prefixes: &Prefixes) {
        self.prompts = self.prompts.replaced(prefixes);
    }

    /// A text as it is encoded: behind the prompt of its role.
    pub fn prompted<'t>(&self, role: Role, text: &'t str) -> Cow<'t, str> {
        match self.prompts.of(role) {
            "" => text.into(),
            prompt => format!("{prompt}{text}").into(),
        }
    }

    /// Tokens a text is cut at, the special ones included.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// Numbers of a vector.
    pub fn dim(&self) -> usize {
        self.architecture.width()
    }

    /// How vectors come from token states.
    pub fn pooling(&self) -> Pooling {
        self.pooling
    }

    /// Whether vectors are scaled to length 1.
    pub fn normalizes(&self) -> bool {
        self.normalize
    }

    /// The parameters.
    pub fn store(&self) -> &ParamStore {
        &self.store
    }

    /// The parameters, to change what is frozen.
    pub fn store_mut(&mut self) -> &mut ParamStore {
        &mut self.store
    }

    /// Writes the model to the empty `folder` in the layout of sentence-transformers: the parameters as they are now,
    /// and beside them the files of `base`, the folder this encoder was loaded from, that go with any parameters.
    /// Equal parameters and files give equal bytes.
    pub fn save(&self, base: &Path, folder: &Path) -> Result<(), StageError> {
        let parameters = Modules::read(base)?.copy(&self.prompts, folder)?;
        self.store.save(&parameters)
    }

    /// The token ids of each text, cut at [`Self::max_length`].
    pub fn tokenize(&self, texts: &[String]) -> Result<Vec<Vec<u32>>, StageError> {
        let encoded = |text: &String| match self.tokenizer.encode_fast(text.as_str(), true) {
            Ok(encoding) => Ok(encoding.get_ids().to_vec()),
            Err(error) => Err(StageError::new(format!("a text cannot be tokenised: {error}"))),
        };
        let ids: Vec<Vec<u32>> = texts.par_iter().map(encoded).collect::<Result<_, _>>()?;
        match ids.iter().position(Vec::is_empty) {
            None => Ok(ids),
            Some(at) => Err(StageError::with_help(
                format!("text {at} has no tokens, not even special ones"),
                "use a tokenizer.json whose post_processor adds special tokens",
            )),
        }
    }

    /// The vectors of a batch of token ids, `(texts, dim)`; not scaled to length 1.
    pub fn forward(&self, ids: &[impl AsRef<[u32]>], mode: Mode<'_>) -> candle_core::Result<Tensor> {
        let tokens = Tokens::new(ids);
        let states = self.architecture.forward(&self.store, &tokens, mode)?;
        match self.pooling {
            Pooling::Mean => ops::pool_mean(&states, tokens.segments()),
            Pooling::Cls => ops::pool_first(&states, tokens.segments()),
        }
    }

    /// The vectors of `texts`, at most `batch` at a time. `progress` hears how many of them are done.
    ///
    /// Texts are grouped by length. A vector's bits depend on its text alone: not on `batch`, the other texts or the
    /// number of threads.
    ///
    /// # Errors
    /// If a text cannot be tokenised, the device fails, or `progress` says so.
    pub fn encode(
        &self,
        texts: &[String],
        batch: usize,
        progress: &dyn Fn(usize, usize) -> Result<(), StageError>,
    ) -> Result<Embeddings, StageError> {
        let dim = self.dim();
        let (mut values, mut done) = (vec![0.0; texts.len() * dim], 0);
        progress(0, texts.len())?;
        self.encode_each(texts, batch, &mut |text, vector| {
            values[text * dim..(text + 1) * dim].copy_from_slice(vector);
            done += 1;
            progress(done, texts.len())
        })?;
        Ok(Embeddings { dim, values })
    }

    /// The same, giving each vector with the index of its text to `each` as soon as it is there, in no order.
    pub fn encode_each(&self, texts: &[String], batch: usize, each: RowSink<'_>) -> Result<(), StageError> {
        let ids = self.tokenize(texts)?;
        let lengths: Vec<usize> = ids.iter().map(Vec::len).collect();
        let compute = |batch: &[usize]| self.encode_batch(&ids, batch);
        each_row(&lengths, batch, self.dim(), &self.device, compute, each)
    }

    fn encode_batch(&self, ids: &[Vec<u32>], batch: &[usize]) -> candle_core::Result<Vec<f32>> {
        let texts: Vec<&[u32]> = batch.iter().map(|text| ids[*text].as_slice()).collect();
        let vectors = self.forward(&texts, Mode::Inference)?;
        to_vec(&if self.normalize {
            ops::normalize(&vectors)?
        } else {
            vectors
        })
    }
}
