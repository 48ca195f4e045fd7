//! What is decoded, how, and what comes of it.

use ablate_core::{RowValue, StageError, Stream};
use ablate_models::{decoder::Model, generator::Generator};

use crate::lanes;
pub use crate::sampling::Sampling;

/// How long texts are and where they end.
#[derive(Clone, Debug)]
pub struct Decoding {
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Tokens at most.
    pub max_new_tokens: usize,
    /// Texts that end decoding; cut off.
    pub stop: Vec<String>,
    /// Rows decoded together at most; if none, as many as `Decoder::cache_bytes` have room for.
    pub batch: Option<usize>,
}

/// A row to decode.
pub struct Request {
    /// Its tokens behind the common head.
    pub tokens: Vec<u32>,
    /// Its random stream.
    pub stream: Stream,
}

/// Why decoding ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// A stop text was written.
    Stop,
    /// The model ended the text.
    End,
    /// `max_new_tokens` was reached.
    Length,
}

impl Finish {
    /// The word in artifacts.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::End => "end",
            Self::Length => "length",
        }
    }
}

/// A decoded text.
#[derive(Clone, Debug, PartialEq)]
pub struct Continuation {
    /// The text, the stop text cut off.
    pub text: String,
    /// The tokens kept: none that belongs to a stop text.
    pub tokens: Vec<u32>,
    /// Natural-log probability of each kept token.
    pub logprobs: Vec<f32>,
    /// Why it ended.
    pub finish: Finish,
}

impl Continuation {
    /// Mean over the kept tokens; `None` if there are none. InPars' score (Bonifacio et al. 2022).
    pub fn mean_logprob(&self) -> Option<f32> {
        let sum: f64 = self.logprobs.iter().copied().map(f64::from).sum();
        (!self.logprobs.is_empty()).then(|| (sum / self.logprobs.len() as f64) as f32)
    }
}

/// What a model wrote: everything up to where decoding ended, nothing cut off. Stop rules are applied to it afterwards.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Draft {
    /// The tokens, the one that ended the text among them.
    pub tokens: Vec<u32>,
    /// Natural-log probability of each.
    pub logprobs: Vec<f32>,
}

/// Little-endian token ids, then as many little-endian log-probabilities.
impl RowValue for Draft {
    fn to_bytes(&self) -> Vec<u8> {
        let tokens = self.tokens.iter().flat_map(|token| token.to_le_bytes());
        let logprobs = self.logprobs.iter().flat_map(|logprob| logprob.to_le_bytes());
        tokens.chain(logprobs).collect()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() || words.len() % 2 != 0 {
            return None;
        }
        let (tokens, logprobs) = words.split_at(words.len() / 2);
        Some(Self {
            tokens: tokens.iter().map(|word| u32::from_le_bytes(*word)).collect(),
            logprobs: logprobs.iter().map(|word| f32::from_le_bytes(*word)).collect(),
        })
    }
}

/// Takes the draft of the request at an index.
pub type DraftSink<'s> = &'s (dyn Fn(usize, Draft) -> Result<(), StageError> + Sync);

/// The text of a draft under the rules of `decoding`; `None` if it does not reach an end under them.
pub fn cut(
    generator: &Generator,
    draft: &Draft,
    decoding: &Decoding,
) -> Result<Option<Continuation>, StageError> {
    for count in 1..=draft.tokens.len() {
        let written = finished(
            generator,
            &draft.tokens[..count],
            &draft.logprobs[..count],
            decoding,
        )?;
        if written.is_some() {
            return Ok(written);
        }
    }
    Ok(None)
}

/// Decodes every request behind `head`; each draft is given to `each` as soon as it is there and, on the CPU, does not
/// depend on the batch.
pub fn decode(
    generator: &Generator,
    head: &[u32],
    requests: Vec<Request>,
    decoding: &Decoding,
    each: DraftSink<'_>,
) -> Result<(), StageError> {
    match &generator.model {
        Model::Cpu(model) => lanes::decode(generator, model, head, requests, decoding, each),
        Model::Device(model) => lanes::decode(generator, model, head, requests, decoding, each),
    }
}

/// The text of a row that is over; `None` while it goes on.
pub(crate) fn finished(
    generator: &Generator,
    tokens: &[u32],
    logprobs: &[f32],
    decoding: &Decoding,
) -> Result<Option<Continuation>, StageError> {
    let text_of = |tokens: &[u32]| {
        generator
            .tokenizer
            .decode(tokens, true)
            .map_err(|error| StageError::new(format!("the tokenizer: {error}")))
    };
    let keep = |count: usize, text: String, finish| Continuation {
        text,
        tokens: tokens[..count].to_vec(),
        logprobs: logprobs[..count].to_vec(),
        finish,
    };
    let count = tokens.len();
    if tokens.last().is_some_and(|token| generator.ends.contains(token)) {
        return Ok(Some(keep(count - 1, text_of(&tokens[..count - 1])?, Finish::End)));
    }
    let text = text_of(tokens)?;
    let cut = decoding
        .stop
        .iter()
        .filter_map(|stop| text.find(stop.as_str()))
        .min();
    if let Some(cut) = cut {
        let kept = kept_before(tokens, cut, text_of)?;
        return Ok(Some(keep(kept, text[..cut].to_owned(), Finish::Stop)));
    }
    Ok((count >= decoding.max_new_tokens).then(|| keep(count, text, Finish::Length)))
}

/// How many tokens spell no more than the first `cut` bytes of the text.
fn kept_before(
    tokens: &[u32],
    cut: usize,
    text_of: impl Fn(&[u32]) -> Result<String, StageError>,
) -> Result<usize, StageError> {
    let mut kept = tokens.len();
    while kept > 0 && text_of(&tokens[..kept])?.len() > cut {
        kept -= 1;
    }
    Ok(kept)
}
