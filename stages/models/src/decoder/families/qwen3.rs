//! Qwen3: no biases, and norms of each head's query and key (Yang et al. 2025).

use super::{Config, Family, Layout, Settings, qwen2::windowed};
use crate::decoder::Biases;

/// Hugging Face's names of the norms of queries and keys.
pub(super) const HEAD_NORMS: Option<[&str; 2]> = Some(["self_attn.q_norm", "self_attn.k_norm"]);
/// llama.cpp's.
pub(super) const GGUF_HEAD_NORMS: Option<[&str; 2]> = Some(["attn_q_norm", "attn_k_norm"]);

pub(super) static FAMILY: Family = Family {
    model_type: "qwen3",
    architecture: "Qwen3ForCausalLM",
    layout: Layout {
        head_norms: HEAD_NORMS,
        ..Layout::LLAMA
    },
    gguf: Some((
        "qwen3",
        Layout {
            head_norms: GGUF_HEAD_NORMS,
            ..Layout::GGUF
        },
    )),
    defaults: &[],
    config,
};

pub(super) fn config(settings: &Settings) -> Config {
    let attention = settings.flag("attention_bias", false);
    let bias = Biases {
        qkv: attention,
        output: attention,
        ..Biases::default()
    };
    let config = Config {
        bias,
        ..Config::base(settings)
    };
    windowed(settings, config)
}
