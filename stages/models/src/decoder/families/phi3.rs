//! Phi-3 and Phi-4: Llama with queries, keys and values in one matrix, and gate and up in another (Abdin et al. 2024).

use super::{Config, Family, Layout, Settings};

pub(super) static FAMILY: Family = Family {
    model_type: "phi3",
    architecture: "Phi3ForCausalLM",
    layout: Layout {
        qkv: &["self_attn.qkv_proj"],
        inner: &["mlp.gate_up_proj"],
        ..Layout::LLAMA
    },
    gguf: Some((
        "phi3",
        Layout {
            qkv: &["attn_qkv"],
            inner: &["ffn_up"],
            ..Layout::GGUF
        },
    )),
    defaults: &[],
    config,
};

fn config(settings: &Settings) -> Config {
    Config::base(settings).with_windows(settings.optional_number("sliding_window"), |_| true)
}
