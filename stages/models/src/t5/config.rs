//! What T5s differ in.

use ablate_core::StageError;
use serde::Deserialize;

/// What models of the family differ in, read from `config.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    /// Entries of the vocabulary.
    pub vocab_size: usize,
    /// Width of a token's state.
    pub d_model: usize,
    /// Width of a head.
    pub d_kv: usize,
    /// Width within the feed-forward network.
    pub d_ff: usize,
    /// Layers of the encoder.
    pub num_layers: usize,
    /// Layers of the decoder; those of the encoder if not given.
    #[serde(default)]
    pub num_decoder_layers: Option<usize>,
    /// Heads of the attention.
    pub num_heads: usize,
    /// Buckets that distances between tokens fall into.
    #[serde(default = "buckets")]
    pub relative_attention_num_buckets: usize,
    /// The distance from which on all share a bucket.
    #[serde(default = "distance")]
    pub relative_attention_max_distance: usize,
    /// ε of the norms.
    #[serde(default = "epsilon")]
    pub layer_norm_epsilon: f64,
    /// `relu` or `gated-gelu`.
    #[serde(default)]
    pub feed_forward_proj: FeedForward,
    /// Whether the head was trained tied to the embeddings (T5 1.0).
    #[serde(default = "yes")]
    pub tie_word_embeddings: bool,
    /// Whether states are scaled by d_model^-0.5 before the head; as `tie_word_embeddings` if not given. transformers 5 writes this,
    /// and `tie_word_embeddings: true` whatever a model is.
    #[serde(default)]
    pub scale_decoder_outputs: Option<bool>,
    /// The token decoding starts from.
    #[serde(default)]
    pub decoder_start_token_id: u32,
    /// The token that ends a text.
    #[serde(default = "end")]
    pub eos_token_id: u32,
    /// Dropout of embeddings, sublayers, attention weights and within feed-forward networks.
    #[serde(default = "tenth")]
    pub dropout_rate: f32,
}

/// The feed-forward networks of the family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeedForward {
    /// Two linear layers with a ramp between them (T5 1.0).
    #[default]
    Relu,
    /// A gate through GELU (T5 1.1, FLAN).
    GatedGelu,
}

fn buckets() -> usize {
    32
}
fn distance() -> usize {
    128
}
fn epsilon() -> f64 {
    1e-6
}
fn yes() -> bool {
    true
}
fn end() -> u32 {
    1
}
fn tenth() -> f32 {
    0.1
}

impl Config {
    pub(super) fn inner(&self) -> usize {
        self.num_heads * self.d_kv
    }

    pub(super) fn scales_outputs(&self) -> bool {
        self.scale_decoder_outputs.unwrap_or(self.tie_word_embeddings)
    }

    pub(super) fn decoder_layers(&self) -> usize {
        self.num_decoder_layers.unwrap_or(self.num_layers)
    }

    /// The bucket of a key `distance` tokens after (below 0: before) the query: in the encoder half of the buckets for each
    /// side, in the decoder all of them for what stands before; half of a side's for a distance each, the rest in steps
    /// that grow to the farthest.
    pub(super) fn bucket(&self, stack: Stack, distance: isize) -> usize {
        let side = match stack {
            Stack::Encoder => self.relative_attention_num_buckets / 2,
            Stack::Decoder => self.relative_attention_num_buckets,
        };
        let distance = if stack == Stack::Decoder {
            distance.min(0)
        } else {
            distance
        };
        let (exact, apart) = (side / 2, distance.unsigned_abs());
        let first = if distance > 0 { side } else { 0 };
        if apart < exact {
            return first + apart;
        }
        // In f32 and in this order, as the reference rounds.
        let span = (self.relative_attention_max_distance as f64 / exact as f64).ln() as f32;
        let step = (apart as f32 / exact as f32).ln() / span * (side - exact) as f32;
        first + (exact + step as usize).min(side - 1)
    }

    /// Refuses shapes that cannot be.
    pub(super) fn check(&self) -> Result<(), StageError> {
        let (buckets, farthest) = (
            self.relative_attention_num_buckets,
            self.relative_attention_max_distance,
        );
        if self.num_heads == 0 || self.d_kv == 0 || buckets < 4 || farthest <= buckets / 4 {
            return Err(StageError::new(format!(
                "config.json: {} heads of {}, {buckets} buckets up to {farthest} tokens are no T5",
                self.num_heads, self.d_kv
            )));
        }
        if self.decoder_start_token_id as usize >= self.vocab_size {
            let message = format!(
                "config.json: decoder_start_token_id {} is no token",
                self.decoder_start_token_id
            );
            return Err(StageError::new(message));
        }
        Ok(())
    }
}

/// The two halves of a T5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stack {
    Encoder,
    Decoder,
}

impl Stack {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Encoder => "encoder",
            Self::Decoder => "decoder",
        }
    }
}
