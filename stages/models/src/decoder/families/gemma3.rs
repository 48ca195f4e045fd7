//! Gemma 3, its language model: norms on both sides, windows in five of six layers, embeddings scaled (Gemma Team 2025).

use super::{
    Config, Family, Layout, Settings,
    qwen3::{GGUF_HEAD_NORMS, HEAD_NORMS},
};
use crate::decoder::{Biases, FeedForward, LayerKind, Rotary};

pub(super) static FAMILY: Family = Family {
    model_type: "gemma3_text",
    architecture: "Gemma3ForCausalLM",
    layout: Layout {
        head_norms: HEAD_NORMS,
        attention_post_norm: Some("post_attention_layernorm"),
        feed_forward_norm: Some("pre_feedforward_layernorm"),
        feed_forward_post_norm: Some("post_feedforward_layernorm"),
        norm_offset: 1.0,
        ..Layout::LLAMA
    },
    gguf: Some((
        "gemma3",
        Layout {
            head_norms: GGUF_HEAD_NORMS,
            attention_post_norm: Some("post_attention_norm"),
            feed_forward_post_norm: Some("post_ffw_norm"),
            // The converter has added the 1.
            ..Layout::GGUF
        },
    )),
    defaults: DEFAULTS,
    config,
};

/// Those of transformers' `Gemma3TextConfig`, which the published models that read pictures, too, leave out.
const DEFAULTS: &[(&str, u32)] = &[
    ("vocab_size", 262_208),
    ("hidden_size", 2304),
    ("intermediate_size", 9216),
    ("num_hidden_layers", 26),
    ("num_attention_heads", 8),
    ("num_key_value_heads", 4),
    ("head_dim", 256),
    ("max_position_embeddings", 131_072),
    ("sliding_window", 4096),
    ("query_pre_attn_scalar", 256),
];

fn config(settings: &Settings) -> Config {
    if settings.value("attn_logit_softcapping").is_some() {
        settings.problem("has `attn_logit_softcapping`, which is not supported");
    }
    let base = Config::base(settings);
    let attention = settings.flag("attention_bias", false);
    // The 27B, of 62 layers, is the only one whose scale is not its head's.
    let queries = match base.layers.len() {
        62 => base.hidden_size / base.num_attention_heads.max(1),
        _ => base.head_width,
    };
    let queries = settings.real_or("query_pre_attn_scalar", queries as f64);
    Config {
        score_scale: queries.max(1.0).powf(-0.5),
        rotaries: rotaries(settings, &base),
        layers: layers(settings, base.layers.len()),
        feed_forward: FeedForward::Gated {
            width: settings.number("intermediate_size"),
            activation: settings.activation("gelu_pytorch_tanh"),
        },
        bias: Biases {
            qkv: attention,
            output: attention,
            ..Biases::default()
        },
        embedding_scale: Some((base.hidden_size as f64).sqrt()),
        tied_head: settings.flag("tie_word_embeddings", true),
        ..base
    }
}

/// The rotation of layers that see everything, and that of layers with a window.
fn rotaries(settings: &Settings, base: &Config) -> Vec<Rotary> {
    let local = match settings.value("rope_parameters") {
        Some(_) => settings.rope(Some("sliding_attention")),
        None => Settings::default(),
    };
    let theta = settings.real_or("rope_local_base_freq", 10_000.0);
    let both = [
        settings.rope(Some("full_attention")).or("rope_theta", 1e6),
        local.or("rope_theta", theta),
    ];
    let read = |rope| Rotary::read(settings, &rope, base.head_width, base.max_position_embeddings).0;
    both.map(read).into()
}

/// Every sixth layer sees everything, if the settings say nothing else.
fn layers(settings: &Settings, count: usize) -> Vec<LayerKind> {
    let window = settings.number("sliding_window");
    let pattern = settings.number_or("sliding_window_pattern", 6).max(1);
    let kinds = settings.value("layer_types").and_then(|kinds| kinds.as_array());
    let local = |layer: usize| match kinds.and_then(|kinds| kinds.get(layer)) {
        Some(kind) => kind == "sliding_attention",
        None => !(layer + 1).is_multiple_of(pattern),
    };
    let kind = |layer| LayerKind {
        window: local(layer).then_some(window),
        rotary: Some(usize::from(local(layer))),
    };
    (0..count).map(kind).collect()
}
