//! The Llama family: RMSNorm, rotary positions, grouped-query attention, SwiGLU (Touvron et al. 2023; reference:
//! transformers' modeling_llama.py). Inference only: [`cpu`] in f32 with stable bits, [`device`] with candle's tensors.

pub mod cpu;
pub mod device;
mod group;
#[cfg(test)]
mod tests;

use ablate_core::StageError;
use candle_core::Device;
use serde::Deserialize;

pub use cpu::Llama;
pub use device::DeviceLlama;
pub use group::Group;

/// The shape of a model, by the names of Hugging Face's config.json.
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key-value heads.
    pub num_key_value_heads: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Tokens known.
    pub vocab_size: usize,
    /// Added under the root of the norm.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// Whether query and key rows are laid out for rotation of neighbours, as in GGUF files.
    #[serde(default)]
    pub neighbours: bool,
}

impl Config {
    fn head_width(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    fn key_value_width(&self) -> usize {
        self.num_key_value_heads * self.head_width()
    }

    /// Radians a position turns each pair of a head by.
    fn inverse_frequencies(&self) -> Vec<f64> {
        let width = self.head_width();
        let frequency = |i: usize| self.rope_theta.powf(-2.0 * i as f64 / width as f64);
        (0..width / 2).map(frequency).collect()
    }
}

/// Where weights come from: each is asked for once by its Hugging Face name, with its shape.
pub trait Weights {
    /// Why a tensor cannot be had.
    type Error;
    /// The values of a tensor, row-major.
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Self::Error>;
    /// Whether there is such a tensor.
    fn has(&self, name: &str) -> bool;
}

/// What decoding asks of a model: rows go forward in groups, behind a prefix they share.
pub trait Decoder: Sync {
    /// Whether groups run beside each other, a thread each; where not, a step has the whole machine.
    const GROUPS_AT_ONCE: bool;
    /// Keys and values of the shared prefix.
    type Prefix: Sync;
    /// Keys and values of a group's rows.
    type Group;

    /// Computes the prefix; of no tokens, an empty one.
    fn prefix(&self, tokens: &[u32]) -> Result<Self::Prefix, StageError>;

    /// A group of so many rows, each of which has seen the prefix alone.
    fn group(&self, prefix: &Self::Prefix, rows: usize) -> Result<Self::Group, StageError>;

    /// Feeds each row its tokens, at least one; gives the logits (`vocabulary` each) after each row's last one.
    fn step(
        &self,
        prefix: &Self::Prefix,
        group: &mut Self::Group,
        feeds: &[&[u32]],
    ) -> Result<Vec<Vec<f32>>, StageError>;

    /// Drops all rows but these, given in ascending order.
    fn keep(&self, group: &mut Self::Group, rows: &[usize]) -> Result<(), StageError>;
}

/// A model where it computes.
pub enum Model {
    /// On the CPU, with stable bits.
    Cpu(Llama),
    /// On another device.
    Device(DeviceLlama),
}

impl Model {
    /// Takes the weights to `device`.
    pub fn load<W: Weights>(config: Config, weights: &mut W, device: &Device) -> Result<Self, W::Error>
    where
        W::Error: From<candle_core::Error>,
    {
        match device {
            Device::Cpu => Llama::load(config, weights).map(Self::Cpu),
            _ => DeviceLlama::load(config, weights, device).map(Self::Device),
        }
    }

    /// The model's shape.
    pub fn config(&self) -> &Config {
        match self {
            Self::Cpu(model) => model.config(),
            Self::Device(model) => model.config(),
        }
    }
}
