//! GPT-J: attention and network read the same norm, the first numbers of a head are rotated (Wang and Komatsuzaki 2021).

use super::{Config, Family, Layout, Settings};
use crate::decoder::{Biases, FeedForward, NormKind};

pub(super) static FAMILY: Family = Family {
    model_type: "gptj",
    architecture: "GPTJForCausalLM",
    layout: Layout {
        prefix: "transformer.",
        embeddings: "transformer.wte",
        layer: "transformer.h.{}.",
        attention_norm: "ln_1",
        qkv: &["attn.q_proj", "attn.k_proj", "attn.v_proj"],
        output: "attn.out_proj",
        feed_forward_norm: None,
        inner: &["mlp.fc_in"],
        down: "mlp.fc_out",
        norm: "transformer.ln_f",
        neighbours: true,
        ..Layout::LLAMA
    },
    gguf: None,
    defaults: &[],
    config,
};

fn config(settings: &Settings) -> Config {
    let base = Config::base(settings);
    Config {
        norm: NormKind::Layer,
        norm_epsilon: settings.real_or("layer_norm_epsilon", 1e-5),
        feed_forward: FeedForward::Plain {
            width: settings.number_or("intermediate_size", 4 * base.hidden_size),
            activation: settings.activation("gelu_new"),
        },
        bias: Biases {
            feed_forward: true,
            head: true,
            ..Biases::default()
        },
        ..base
    }
}
