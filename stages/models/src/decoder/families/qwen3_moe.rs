//! Qwen3's mixtures of experts, as Qwen3-30B-A3B (Yang et al. 2025).

use super::{
    Config, Family, Layout, Settings,
    qwen3::{self, GGUF_HEAD_NORMS, HEAD_NORMS},
};
use crate::decoder::FeedForward;

pub(super) static FAMILY: Family = Family {
    model_type: "qwen3_moe",
    architecture: "Qwen3MoeForCausalLM",
    layout: Layout {
        head_norms: HEAD_NORMS,
        router: Some("mlp.gate"),
        inner: &["mlp.experts.{}.gate_proj", "mlp.experts.{}.up_proj"],
        down: "mlp.experts.{}.down_proj",
        ..Layout::LLAMA
    },
    gguf: Some((
        "qwen3moe",
        Layout {
            head_norms: GGUF_HEAD_NORMS,
            router: Some("ffn_gate_inp"),
            inner: &["ffn_gate_exps", "ffn_up_exps"],
            down: "ffn_down_exps",
            ..Layout::GGUF
        },
    )),
    defaults: &[],
    config,
};

fn config(settings: &Settings) -> Config {
    let dense = settings
        .value("mlp_only_layers")
        .and_then(|layers| layers.as_array());
    if dense.is_some_and(|layers| !layers.is_empty()) || settings.number_or("decoder_sparse_step", 1) != 1 {
        settings.problem("has layers without experts, which are not supported");
    }
    Config {
        feed_forward: FeedForward::Experts {
            width: settings.number("moe_intermediate_size"),
            activation: settings.activation("silu"),
            count: settings.number("num_experts"),
            chosen: settings.number("num_experts_per_tok"),
            renormalise: settings.flag("norm_topk_prob", false),
        },
        ..qwen3::config(settings)
    }
}
