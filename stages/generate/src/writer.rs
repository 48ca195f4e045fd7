//! The models that write: here, or behind a server.

use std::sync::Arc;

use ablate_core::{ArtifactKind, Expense, Input, Io, Preview, StageError};
use ablate_models::{Precision, generator::Generator, source::MODEL_SOURCE};

use crate::{
    cutting::{Cut, Cuts},
    endpoint::{Endpoint, GENERATOR_SOURCE},
    filling::Prompts,
    local, remote,
    writing::{DecodingParams, Writing, Written},
};

/// The port of a LoRA adapter.
pub(crate) const ADAPTER: &str = "adapter";

/// The input that [`Writer::open`] opens.
pub(crate) const WRITER: Input = Input::of("model", ArtifactKind::Model)
    .or_source(&GENERATOR_SOURCE)
    .about("the language model that writes");

/// The adapter that [`Writer::open`] looks for.
pub(crate) const ADAPTED: Input = Input::of(ADAPTER, ArtifactKind::Model)
    .optional()
    .or_source(&MODEL_SOURCE)
    .about("a LoRA adapter for the model, as peft or a trainer of ours keeps it");

/// A model that is ready to write.
pub(crate) enum Writer {
    /// One that computes here.
    Here(Arc<Generator>),
    /// One behind a server.
    Server(Endpoint),
}

/// A usual figure for English and most tokenizers.
const CHARACTERS_PER_TOKEN: f64 = 4.0;

/// What writing took: what was cut, and tokens that a server has read and written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    pub(crate) cuts: Cuts,
    pub(crate) read: u64,
    pub(crate) wrote: u64,
}

/// What so many texts will take of the model at the port `model`, if that is behind a server; `prompts` are some of theirs.
pub(crate) fn expense(
    preview: &dyn Preview,
    prompts: &Prompts<'_>,
    texts: u64,
    decoding: &DecodingParams,
) -> Option<Expense> {
    let endpoint = Endpoint::parse(preview.source("model")?)?.ok()?;
    let characters = |at: usize| Some(prompts.filled(at).ok()?.text.chars().count());
    let all: Option<usize> = (0..prompts.len()).map(characters).sum();
    let tokens = all? as f64 / CHARACTERS_PER_TOKEN / prompts.len().max(1) as f64;
    let read = (tokens * texts as f64).round() as u64;
    let written = texts * u64::from(decoding.most_new_tokens());
    let cost = endpoint.price.map(|price| price.of(read, written));
    Some(Expense { read, written, cost })
}

impl Writer {
    /// The model at the port `model`, with the adapter at `adapter` if there is one.
    ///
    /// # Errors
    /// If the model cannot be loaded, or the fields of an endpoint are wrong.
    pub(crate) fn open(io: &Io<'_>, precision: Precision) -> Result<Self, StageError> {
        match io.source("model").and_then(|text| Endpoint::parse(&text)) {
            Some(_) if io.optional_tree(ADAPTER)?.is_some() => Err(StageError::with_help(
                "an adapter is merged into a model that computes here, and this one is behind a server",
                "let the server load the adapter, under a `revision` of its own",
            )),
            Some(_) if !precision.is_default() => Err(StageError::with_help(
                format!(
                    "`precision: {}` is for a model that computes here, and this one is behind a server",
                    precision.word()
                ),
                "leave `precision` out, and say by `revision` what the server computes in",
            )),
            Some(endpoint) => Ok(Self::Server(endpoint.map_err(StageError::new)?)),
            None => local::open(io, precision).map(Self::Here),
        }
    }

    /// What it writes for every prompt and sample, in their order. No row is written twice.
    ///
    /// # Errors
    /// If the model cannot be reached, or has no chat template where one is asked for, or a prompt is too long.
    pub(crate) fn write(
        &self,
        writing: &Writing<'_>,
        io: &Io<'_>,
    ) -> Result<(Vec<Written>, Spent), StageError> {
        match self {
            Self::Here(generator) => local::written(generator, writing, io),
            Self::Server(endpoint) => remote::written(endpoint, writing, io),
        }
    }

    /// Tells what a server has read and written.
    pub(crate) fn tell(&self, spent: Spent, io: &Io<'_>) {
        if let Self::Server(endpoint) = self {
            remote::tell_cost(endpoint, spent, io);
        }
    }

    /// What the length of a text is counted in: a server's tokens are not known here.
    pub(crate) fn unit(&self) -> &'static str {
        match self {
            Self::Here(_) => "tokens",
            Self::Server(_) => "words",
        }
    }

    /// The longest prompt the model takes before it writes `new` tokens, where that is known.
    pub(crate) fn most_tokens(&self, new: u32) -> Option<usize> {
        match self {
            Self::Here(generator) => Some(local::context(generator).saturating_sub(new as usize)),
            Self::Server(_) => None,
        }
    }

    /// The length of the longest prompt of some writing.
    ///
    /// # Errors
    /// If the model has no chat template where one is asked for.
    pub(crate) fn longest(&self, writing: &Writing<'_>) -> Result<usize, StageError> {
        match self {
            Self::Here(generator) => local::longest(generator, writing),
            Self::Server(_) => remote::longest(writing),
        }
    }

    /// What cuts documents that are longer than so many tokens (words, for a model behind a server).
    pub(crate) fn cut(&self, most: u32) -> Cut<'_> {
        match self {
            Self::Here(generator) => Cut::Tokens(&generator.reader, most as usize),
            Self::Server(_) => Cut::Words(most as usize),
        }
    }
}
