//! GPT-2: learned positions, biases everywhere, a plain network (Radford et al. 2019).

use super::{Config, Family, Layout, Settings};
use crate::decoder::{Biases, FeedForward};

pub(super) static FAMILY: Family = Family {
    model_type: "gpt2",
    architecture: "GPT2LMHeadModel",
    layout: Layout {
        prefix: "transformer.",
        embeddings: "transformer.wte",
        positions: Some("transformer.wpe"),
        layer: "transformer.h.{}.",
        attention_norm: "ln_1",
        qkv: &["attn.c_attn"],
        output: "attn.c_proj",
        feed_forward_norm: Some("ln_2"),
        inner: &["mlp.c_fc"],
        down: "mlp.c_proj",
        norm: "transformer.ln_f",
        transposed: true,
        ..Layout::LLAMA
    },
    gguf: Some((
        "gpt2",
        Layout {
            positions: Some("position_embd"),
            qkv: &["attn_qkv"],
            inner: &["ffn_up"],
            ..Layout::GGUF
        },
    )),
    defaults: &[],
    config,
};

fn config(settings: &Settings) -> Config {
    settings.require("scale_attn_weights", true);
    settings.require("scale_attn_by_inverse_layer_idx", false);
    let base = Config::learned(settings, 0);
    Config {
        feed_forward: FeedForward::Plain {
            width: settings.number_or("intermediate_size", 4 * base.hidden_size),
            activation: settings.activation("gelu_new"),
        },
        bias: Biases {
            qkv: true,
            output: true,
            feed_forward: true,
            head: false,
        },
        tied_head: settings.flag("tie_word_embeddings", true),
        ..base
    }
}
