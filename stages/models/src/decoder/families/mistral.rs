//! Mistral: Llama with a window in every layer (Jiang et al. 2023). Its GGUF files say they are Llama's.

use super::{Config, Family, Layout, Settings};

pub(super) static FAMILY: Family = Family {
    model_type: "mistral",
    architecture: "MistralForCausalLM",
    layout: Layout::LLAMA,
    gguf: None,
    defaults: &[],
    config,
};

fn config(settings: &Settings) -> Config {
    Config::base(settings).with_windows(settings.optional_number("sliding_window"), |_| true)
}
