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
    /// Bytes of the text up to the end of each kept token.
    pub ends: Vec<usize>,
    /// Why it ended.
    pub finish: Finish,
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
    let written = |count: usize| {
        let (tokens, logprobs) = (&draft.tokens[..count], &draft.logprobs[..count]);
        finished(generator, tokens, logprobs, decoding)
    };
    // What is over stays so however it goes on: the first such beginning is found by halves.
    let (mut open, mut over) = (0, draft.tokens.len());
    if over == 0 || written(over)?.is_none() {
        return Ok(None);
    }
    while over - open > 1 {
        let middle = open.midpoint(over);
        match written(middle)? {
            Some(_) => over = middle,
            None => open = middle,
        }
    }
    written(over)
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
    let keep = |text: String, tokens: &[u32], finish| {
        let mut ends = ends(generator, tokens)?;
        // None that spells more than the text.
        ends.truncate(ends.partition_point(|end| *end <= text.len()));
        Ok(Some(Continuation {
            text,
            tokens: tokens[..ends.len()].to_vec(),
            logprobs: logprobs[..ends.len()].to_vec(),
            ends,
            finish,
        }))
    };
    if let Some((last, before)) = tokens.split_last()
        && generator.reader.ends.contains(last)
    {
        return keep(spelt(generator, before)?, before, Finish::End);
    }
    let text = spelt(generator, tokens)?;
    if let Some(cut) = stopped(&text, &decoding.stop) {
        return keep(text[..cut].to_owned(), tokens, Finish::Stop);
    }
    match tokens.len() >= decoding.max_new_tokens {
        true => keep(text, tokens, Finish::Length),
        false => Ok(None),
    }
}

/// Where the first of the stop texts begins.
pub(crate) fn stopped(text: &str, stop: &[String]) -> Option<usize> {
    stop.iter().filter_map(|stop| text.find(stop.as_str())).min()
}

fn spelt(generator: &Generator, tokens: &[u32]) -> Result<String, StageError> {
    let text = generator.reader.tokenizer.decode(tokens, true);
    text.map_err(|error| StageError::new(format!("the tokenizer: {error}")))
}

/// Bytes of the text up to the end of each token; a character of several tokens is spelt by the first of them.
fn ends(generator: &Generator, tokens: &[u32]) -> Result<Vec<usize>, StageError> {
    let end = |count: usize| Ok(spelt(generator, &tokens[..count])?.len());
    let mut ends: Vec<usize> = (1..=tokens.len()).map(end).collect::<Result<_, StageError>>()?;
    // What stands for half a character may be longer than the character.
    for at in (1..ends.len()).rev() {
        ends[at - 1] = ends[at - 1].min(ends[at]);
    }
    Ok(ends)
}
