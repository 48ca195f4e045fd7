//! A decoder in training: the skeleton with gradients, whole or through low-rank adapters.

mod batch;
mod export;
mod graph;
mod lora;
mod parameters;

use std::{collections::BTreeMap, sync::Arc};

use ablate_core::{Seed, StageError};
use candle_core::{Device, Tensor};
use candle_nn::ops::log_softmax;

use super::{
    Config, Layout, Weights,
    build::{check, parts},
    skeleton::{Body, Pass},
    weights::Norm,
};
use crate::{Mode, params::ParamStore};
use batch::Batch;
use graph::{Graph, Module};
pub use lora::Lora;
use parameters::{Parameters, Read};

/// A decoder whose log-probabilities have gradients. A clone has the same parameters.
#[derive(Clone)]
pub struct TunedDecoder {
    config: Config,
    layout: Layout,
    parameters: Arc<Parameters>,
    body: Arc<Body<Vec<Module>, Norm<String>, String>>,
    device: Device,
}

/// A prompt and completions of it, which do not see each other: the prompt is computed once.
#[derive(Clone, Debug)]
pub struct Prompted<'a> {
    /// At least one token.
    pub prompt: &'a [u32],
    /// At least one token each.
    pub completions: Vec<&'a [u32]>,
}

impl Prompted<'_> {
    /// What is fed: the prompt, then the completions, each without its last token, behind which nothing is asked for.
    fn tokens(&self) -> Vec<u32> {
        let completions = self
            .completions
            .iter()
            .flat_map(|tokens| &tokens[..tokens.len() - 1]);
        self.prompt.iter().chain(completions).copied().collect()
    }

    /// The position of each token fed.
    fn positions(&self) -> Vec<usize> {
        let behind = |tokens: &&[u32]| self.prompt.len()..self.prompt.len() + tokens.len() - 1;
        (0..self.prompt.len())
            .chain(self.completions.iter().flat_map(behind))
            .collect()
    }

    /// Of each token fed, the completion it belongs to, from 1; 0 in the prompt.
    fn branches(&self) -> Vec<usize> {
        let of = |(at, tokens): (usize, &&[u32])| std::iter::repeat_n(at + 1, tokens.len() - 1);
        let completions = self.completions.iter().enumerate().flat_map(of);
        std::iter::repeat_n(0, self.prompt.len())
            .chain(completions)
            .collect()
    }

    /// Which tokens fed say what the completions' tokens are, where the first one fed is number `start`.
    fn predictors(&self, start: usize) -> Vec<usize> {
        let (mut all, mut next) = (Vec::new(), start + self.prompt.len());
        for completion in &self.completions {
            all.push(start + self.prompt.len() - 1);
            all.extend(next..next + completion.len() - 1);
            next += completion.len() - 1;
        }
        all
    }

    fn is_sound(&self) -> bool {
        !self.prompt.is_empty() && self.completions.iter().all(|tokens| !tokens.is_empty())
    }
}

impl TunedDecoder {
    /// Takes the weights of a checkpoint to `device`, to be trained whole, or through adapters drawn from `seed`.
    ///
    /// # Errors
    /// If tensors are missing or misshapen, or the targets of the adapters name no layer.
    pub fn load(
        config: Config,
        layout: &Layout,
        weights: &mut dyn Weights,
        lora: Option<&Lora>,
        seed: &Seed,
        device: &Device,
    ) -> Result<Self, StageError> {
        check(&config, layout, weights)?;
        let mut read = Read {
            weights,
            device: device.clone(),
            tensors: BTreeMap::new(),
            modules: Vec::new(),
        };
        let body = Body::new(parts(&config, layout, &mut read)?, |table| {
            Ok(Module::tied(table))
        })?;
        let mut modules = read.modules;
        modules.retain(|(name, ..)| name != layout.head);
        let parameters = match lora {
            None => Parameters::trained(&read.tensors)?,
            Some(lora) => {
                lora.all_found(&modules)?;
                Parameters::adapted(read.tensors, lora, &modules, seed, device)?
            }
        };
        Ok(Self {
            config,
            layout: *layout,
            parameters: Arc::new(parameters),
            body: Arc::new(body),
            device: device.clone(),
        })
    }

    /// What is trained: all parameters by the names of the checkpoint, or the adapters by peft's.
    pub fn store(&self) -> &ParamStore {
        &self.parameters.store
    }

    /// Longest sequence.
    pub fn max_length(&self) -> usize {
        self.config.max_position_embeddings
    }

    /// The log-probability of every token of every completion behind its prompt, one text after the other: `(tokens)`.
    ///
    /// # Errors
    /// If a prompt or a completion is empty, or has a token that the model does not know.
    pub fn log_probabilities(&self, texts: &[Prompted<'_>], mode: Mode<'_>) -> Result<Tensor, StageError> {
        let completions = texts.iter().flat_map(|text| &text.completions);
        let tokens: Vec<u32> = completions.flat_map(|tokens| *tokens).copied().collect();
        if tokens
            .iter()
            .any(|token| *token as usize >= self.config.vocab_size)
        {
            return Err(StageError::new(
                "a completion has tokens that the model does not know",
            ));
        }
        let logits = self.logits(texts, mode)?;
        let tokens = Tensor::from_vec(tokens, (logits.dim(0)?, 1), &self.device)?;
        let chosen = log_softmax(&logits, 1)?.gather(&tokens, 1)?;
        Ok(chosen.squeeze(1)?)
    }

    /// The logits before every token of every completion, one text after the other: `(tokens, vocabulary)`.
    ///
    /// # Errors
    /// As [`Self::log_probabilities`].
    pub fn logits(&self, texts: &[Prompted<'_>], mode: Mode<'_>) -> Result<Tensor, StageError> {
        if texts.is_empty() || !texts.iter().all(Prompted::is_sound) {
            return Err(StageError::new("a prompt or a completion has no tokens"));
        }
        let fed: Vec<Vec<u32>> = texts.iter().map(Prompted::tokens).collect();
        let positions: Vec<usize> = texts.iter().flat_map(Prompted::positions).collect();
        let starts = fed.iter().scan(0, |start, tokens| {
            *start += tokens.len();
            Some(*start - tokens.len())
        });
        let asked: Vec<usize> = texts
            .iter()
            .zip(starts)
            .flat_map(|(text, start)| text.predictors(start))
            .collect();
        let graph = self.graph(mode);
        let pass = Pass::new(&graph, &self.config, &self.body);
        let embedded = pass.embedded(&fed.concat(), &positions)?;
        let batch = Batch::new(&self.config, texts, (&self.device, mode), self.layout.neighbours)?;
        pass.logits(&self.through(embedded, batch, mode)?, &asked)
    }
    fn graph(&self, mode: Mode<'_>) -> Graph<'_> {
        Graph {
            parameters: &self.parameters,
            mode: mode.inside(),
            neighbours: self.layout.neighbours,
        }
    }

    /// The states after all layers.
    fn through(&self, embedded: Tensor, batch: Batch, mode: Mode<'_>) -> Result<Tensor, StageError> {
        let (batch, inside) = (Arc::new(batch), mode.inside());
        let mut x = embedded;
        for index in 0..self.config.layers.len() {
            let (decoder, batch) = (self.clone(), Arc::clone(&batch));
            x = mode.layer(move || {
                let graph = decoder.graph(inside);
                let layer =
                    Pass::new(&graph, &decoder.config, &decoder.body).layer(index, x.clone(), &mut &*batch);
                layer.map_err(candle_core::Error::wrap)
            })?;
        }
        Ok(x)
    }
}
