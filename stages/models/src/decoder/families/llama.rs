//! Llama 2 and 3, SmolLM2, and what is built like them (Touvron et al. 2023).

use super::{Config, Family, Layout, Settings};
use crate::decoder::Biases;

pub(super) static FAMILY: Family = Family {
    model_type: "llama",
    architecture: "LlamaForCausalLM",
    layout: Layout::LLAMA,
    gguf: Some((
        "llama",
        Layout {
            // The converter lays out queries and keys for the rotation of neighbours.
            neighbours: true,
            ..Layout::GGUF
        },
    )),
    defaults: &[],
    config,
};

fn config(settings: &Settings) -> Config {
    let attention = settings.flag("attention_bias", false);
    Config {
        bias: Biases {
            qkv: attention,
            output: attention,
            feed_forward: settings.flag("mlp_bias", false),
            head: false,
        },
        ..Config::base(settings)
    }
}
