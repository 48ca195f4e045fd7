//! OPT: GPT-2 with ReLU, its positions two rows further on (Zhang et al. 2022). Not the 350M, which norms afterwards.

use super::{Config, Family, Layout, Settings};
use crate::decoder::{Biases, FeedForward};

pub(super) static FAMILY: Family = Family {
    model_type: "opt",
    architecture: "OPTForCausalLM",
    layout: Layout {
        prefix: "model.",
        embeddings: "model.decoder.embed_tokens",
        positions: Some("model.decoder.embed_positions"),
        layer: "model.decoder.layers.{}.",
        attention_norm: "self_attn_layer_norm",
        output: "self_attn.out_proj",
        feed_forward_norm: Some("final_layer_norm"),
        inner: &["fc1"],
        down: "fc2",
        norm: "model.decoder.final_layer_norm",
        ..Layout::LLAMA
    },
    gguf: None,
    defaults: &[],
    config,
};

fn config(settings: &Settings) -> Config {
    settings.require("do_layer_norm_before", true);
    settings.require("_remove_final_layer_norm", false);
    settings.require("layer_norm_elementwise_affine", true);
    let base = Config::learned(settings, 2);
    if settings.number_or("word_embed_proj_dim", base.hidden_size) != base.hidden_size {
        settings.problem("has embeddings of another width than its states, which is not supported");
    }
    let bias = settings.flag("enable_bias", true);
    Config {
        feed_forward: FeedForward::Plain {
            width: settings.number("intermediate_size"),
            activation: settings.activation("relu"),
        },
        bias: Biases {
            qkv: bias,
            output: bias,
            feed_forward: bias,
            head: false,
        },
        tied_head: settings.flag("tie_word_embeddings", true),
        ..base
    }
}
