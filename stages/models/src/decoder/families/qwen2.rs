//! Qwen2 and Qwen2.5: Llama with a bias of queries, keys and values (Yang et al. 2024).

use super::{Config, Family, Layout, Settings};
use crate::decoder::Biases;

pub(super) static FAMILY: Family = Family {
    model_type: "qwen2",
    architecture: "Qwen2ForCausalLM",
    layout: Layout::LLAMA,
    gguf: Some(("qwen2", Layout::GGUF)),
    defaults: &[],
    config,
};

fn config(settings: &Settings) -> Config {
    let bias = Biases {
        qkv: true,
        ..Biases::default()
    };
    windowed(
        settings,
        Config {
            bias,
            ..Config::base(settings)
        },
    )
}

/// Qwen's windows: off unless asked for, then in the layers from `max_window_layers` on.
pub(super) fn windowed(settings: &Settings, config: Config) -> Config {
    let window = settings
        .optional_number("sliding_window")
        .filter(|_| settings.flag("use_sliding_window", false));
    let first = settings.number_or("max_window_layers", 28);
    config.with_windows(window, |layer| layer >= first)
}
