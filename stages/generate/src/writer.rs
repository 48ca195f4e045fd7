//! The models that write: here, or behind a server.

use std::sync::Arc;

use ablate_core::{ArtifactKind, Input, Io, StageError};
use ablate_models::{Precision, generator::Generator, source::MODEL_SOURCE};

use crate::{
    cutting::{Cut, Cuts},
    endpoint::{Endpoint, GENERATOR_SOURCE},
    local, remote,
    writing::{Writing, Written},
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

/// What writing took: what was cut, and tokens that a server has read and written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    pub(crate) cuts: Cuts,
    pub(crate) read: u64,
    pub(crate) wrote: u64,
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
