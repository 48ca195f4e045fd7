//! Texts by a model, here or behind a server: what is asked, how it is decoded, and what comes of it.

use ablate_core::{Io, Memory, StageError, canon};
use ablate_models::Precision;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    decode::{Decoding, Sampling},
    filling::Prompts,
    reading::Format,
    spelling::Token,
    writer::Writer,
};

/// What writing takes of main memory: weights, which a file may keep in half as many bytes, and the keys and values of the rows under
/// way (`cache_bytes` of the decoder on the CPU).
pub(crate) const WRITING: Memory = Memory {
    tables: 8.0,
    models: 2.5,
    least: 1 << 30,
};

/// What a model is asked, and how it answers.
pub(crate) struct Writing<'a> {
    /// The prompts.
    pub(crate) prompts: Prompts<'a>,
    /// Texts for each prompt.
    pub(crate) samples: u32,
    pub(crate) format: Format,
    pub(crate) decoding: &'a DecodingParams,
    pub(crate) seed: u64,
    /// What the texts are, for lines of progress.
    pub(crate) unit: &'static str,
    pub(crate) share: Share,
}

/// Which part of all texts of a stage these are, for its progress; the whole, if nothing is said.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Share {
    /// Texts before these.
    pub(crate) before: usize,
    /// All of them.
    pub(crate) total: Option<usize>,
}

impl Share {
    /// Tells how many of `missing` texts are written; `all` are asked for, and the others were known.
    pub(crate) fn tell(
        self,
        io: &Io<'_>,
        [done, missing, all]: [usize; 3],
        unit: &'static str,
    ) -> Result<(), StageError> {
        match self.total {
            Some(total) => io.progress(self.before + all - missing + done, total, unit),
            None => io.progress(done, missing, unit),
        }
    }
}

impl Writing<'_> {
    /// What the model writes for every prompt and sample, in their order; what it took is told.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub(crate) fn written(&self, writer: &Writer, io: &Io<'_>) -> Result<Vec<Written>, StageError> {
        let (written, spent) = writer.write(self, io)?;
        spent.cuts.tell(self.prompts.cut(), io);
        writer.tell(spent, io);
        Ok(written)
    }

    /// What the choice of tokens adds to the meaning of rows: nothing, where the model's likeliest one is taken.
    pub(crate) fn sampling(&self) -> Result<Vec<(&'static str, canon::Value)>, StageError> {
        self.decoding.sampling(self.seed)
    }

    /// The rows, each a prompt and a sample.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (usize, u32)> {
        let samples = self.samples;
        (0..self.prompts.len()).flat_map(move |prompt| (0..samples).map(move |sample| (prompt, sample)))
    }
}

/// How texts are decoded.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DecodingParams {
    /// How much chance has a say: 0 takes the likeliest token each time, 1 samples as the model predicts.
    #[schemars(range(min = 0))]
    pub(crate) temperature: f64,
    /// Sample from the k likeliest tokens only.
    #[schemars(range(min = 1), example = 50)]
    pub(crate) top_k: Option<u32>,
    /// Sample from the likeliest tokens whose probabilities together reach p.
    #[schemars(range(min = 0, max = 1), example = 0.95)]
    pub(crate) top_p: Option<f64>,
    /// Never sample a token below this share of the likeliest's probability.
    #[schemars(range(min = 0, max = 1), example = 0.05)]
    pub(crate) min_p: Option<f64>,
    /// What the logit of a token of prompt or text is divided by before the next one is chosen, or multiplied with where it is
    /// negative: above 1, texts repeat themselves less.
    #[schemars(extend("exclusiveMinimum" = 0), example = 1.1)]
    pub(crate) repetition_penalty: Option<f64>,
    /// Tokens of a query at most; if not given, 64, or as many as the prompt asks for (`ablate/cot`: 192).
    #[schemars(range(min = 1), example = 32)]
    pub(crate) max_new_tokens: Option<u32>,
    /// Texts that end a query, and are no part of it; if not given, the end of a line, or what the prompt asks for (`ablate/cot`, which
    /// reasons in lines).
    #[schemars(inner(length(min = 1)), example = ["\n\n"])]
    pub(crate) stop: Option<Vec<String>>,
    /// Rows decoded together on each core, or on the device; if not given, as many as 512 MiB for the keys and values of all cores have
    /// room for, or half of what a device has left.
    #[schemars(range(min = 1))]
    pub(crate) batch: Option<u32>,
    /// In what numbers a model that runs here computes: `bf16` takes half the memory of `f32`, and is for GPUs; its texts and
    /// log-probabilities are other ones.
    #[serde(skip_serializing_if = "Precision::is_default")]
    #[schemars(extend("default" = "f32"))]
    pub(crate) precision: Precision,
}

impl Default for DecodingParams {
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: None,
            top_p: None,
            min_p: None,
            repetition_penalty: None,
            max_new_tokens: None,
            stop: None,
            batch: None,
            precision: Precision::F32,
        }
    }
}

/// What was written for one document and sample.
pub(crate) struct Written {
    /// The text, its stop text cut off.
    pub(crate) text: String,
    /// What the model thought before it, where that is told apart.
    pub(crate) reasoning: Option<String>,
    /// Its tokens, where they are known.
    pub(crate) tokens: Vec<Token>,
    /// Tokens read.
    pub(crate) prompt_tokens: u32,
    /// Tokens written.
    pub(crate) new_tokens: u32,
    /// Why it ended.
    pub(crate) finish: String,
}

impl DecodingParams {
    /// What the choice of tokens adds to the meaning of rows: nothing, where the model's likeliest one is taken.
    pub(crate) fn sampling(&self, seed: u64) -> Result<Vec<(&'static str, canon::Value)>, StageError> {
        let refuse = |error: canon::CanonError| StageError::new(error.to_string());
        let mut meaning = Vec::new();
        if self.temperature > 0.0 {
            let sampled = (self.temperature, self.top_k, self.top_p, self.min_p, seed);
            meaning.push(("sampling", canon::Value::of(&sampled).map_err(refuse)?));
        }
        if let Some(penalty) = self.repetition_penalty {
            meaning.push(("repetition_penalty", canon::Value::of(&penalty).map_err(refuse)?));
        }
        Ok(meaning)
    }

    /// Tokens of a text at most.
    pub(crate) fn most_new_tokens(&self) -> u32 {
        self.max_new_tokens.unwrap_or(64)
    }

    /// For the decoding engine.
    pub(crate) fn decoding(&self) -> Decoding {
        let Self {
            temperature,
            top_k,
            top_p,
            min_p,
            repetition_penalty,
            stop,
            batch,
            ..
        } = self;
        Decoding {
            sampling: Sampling {
                temperature: *temperature,
                top_k: top_k.map(|k| k as usize),
                top_p: *top_p,
                min_p: *min_p,
                repetition_penalty: *repetition_penalty,
            },
            max_new_tokens: self.most_new_tokens() as usize,
            stop: stop.clone().unwrap_or_else(|| vec!["\n".to_owned()]),
            batch: batch.map(|batch| batch as usize),
        }
    }
}
