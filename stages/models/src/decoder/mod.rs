//! Decoder-only language models: one skeleton ([`Transformer`]), whose differences by family are values of [`Config`] and
//! names of [`Layout`]. On the CPU in f32 with stable bits, on devices with
//! candle's tensors, and with gradients to train it ([`TunedDecoder`]).
//!
//! Reference of every family: transformers' modeling files; of GGUF's names: llama.cpp's converter.

mod adapter;
mod build;
mod candle;
mod config;
mod convert;
mod cpu;
mod device;
mod experts;
pub mod families;
mod group;
mod layout;
mod logits;
mod rotary;
mod settings;
mod skeleton;
mod tuning;
mod weights;

use ablate_core::StageError;
use candle_core::Device;
use rayon::prelude::*;

pub(crate) use adapter::Adapted;
pub use build::expected_tensors;
pub use config::{Activation, Biases, Config, FeedForward, LayerKind, NormKind};
pub(crate) use convert::Converted;
pub use cpu::CpuDecoder;
pub use device::DeviceDecoder;
pub use families::Family;
pub use layout::Layout;
pub use logits::{likeliest, log_probability};
pub use rotary::Rotary;
pub use settings::Settings;
pub use skeleton::Transformer;
pub use tuning::{Lora, Prompted, TunedDecoder};
pub use weights::{TensorSpec, Weights};

use crate::Precision;

/// What decoding asks of a model: rows go forward in groups, behind a prefix they share.
pub trait Decoder: Sync {
    /// Whether groups run beside each other, a thread each; where not, a step has the whole machine.
    const GROUPS_AT_ONCE: bool;
    /// Rows of a group beyond which steps gain nothing.
    const MOST_ROWS: usize;
    /// Keys and values of the shared prefix.
    type Prefix: Sync;
    /// Keys and values of a group's rows.
    type Group;

    /// Bytes there are for the keys and values of all rows under way.
    fn cache_bytes(&self) -> usize;

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

    /// The same, but of each row's next token only the likeliest with its log-probability, of equals the first: a device need not hand over a vocabulary's worth of
    /// logits for each row.
    fn step_likeliest(
        &self,
        prefix: &Self::Prefix,
        group: &mut Self::Group,
        feeds: &[&[u32]],
    ) -> Result<Vec<(u32, f32)>, StageError> {
        let logits = self.step(prefix, group, feeds)?;
        let chosen = |logits: &Vec<f32>| {
            let token = likeliest(logits);
            (token, log_probability(logits, token))
        };
        Ok(logits.par_iter().map(chosen).collect())
    }

    /// Drops all rows but these, given in ascending order.
    fn keep(&self, group: &mut Self::Group, rows: &[usize]) -> Result<(), StageError>;

    /// Adds rows that were fed, behind those of the group.
    fn join(&self, group: &mut Self::Group, others: Self::Group) -> Result<(), StageError>;

    /// Bytes that a row of so many tokens of its own takes behind a prefix of so many.
    fn row_bytes(&self, prefix: usize, tokens: usize) -> usize;
}

/// A model where it computes.
pub enum Model {
    /// On the CPU, with stable bits.
    Cpu(CpuDecoder),
    /// On another device, or on the CPU with candle's tensors.
    Device(DeviceDecoder),
}

impl Model {
    /// Takes the weights to `device`.
    pub fn load(
        config: Config,
        layout: &Layout,
        weights: &mut dyn Weights,
        device: &Device,
        precision: Precision,
    ) -> Result<Self, StageError> {
        match (device, precision) {
            (Device::Cpu, Precision::F32) => CpuDecoder::load(config, layout, weights).map(Self::Cpu),
            _ => Self::load_tensors(config, layout, weights, device, precision),
        }
    }

    /// The same with candle's tensors, on the CPU in f32 too.
    pub fn load_tensors(
        config: Config,
        layout: &Layout,
        weights: &mut dyn Weights,
        device: &Device,
        precision: Precision,
    ) -> Result<Self, StageError> {
        DeviceDecoder::load_on(config, layout, weights, device, precision).map(Self::Device)
    }

    /// In what numbers it computes.
    pub fn precision(&self) -> Precision {
        match self {
            Self::Cpu(_) => Precision::F32,
            Self::Device(model) => model.precision(),
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
