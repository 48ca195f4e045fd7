//! The families: each reads its settings and names its tensors.

mod gemma3;
mod gpt2;
mod gptj;
mod llama;
mod mistral;
mod opt;
mod phi3;
mod qwen2;
mod qwen3;
mod qwen3_moe;

use ablate_core::StageError;

use super::{Config, Layout, Settings};

/// A family of models.
pub struct Family {
    /// The `model_type` of config.json.
    pub model_type: &'static str,
    /// What transformers calls the model, as `architectures` of config.json.
    pub architecture: &'static str,
    /// How checkpoints of Hugging Face are laid out.
    pub layout: Layout,
    /// `general.architecture` of GGUF files and how they are laid out, where there are any.
    pub gguf: Option<(&'static str, Layout)>,
    /// Settings that a config.json may leave out, as transformers fills them in.
    pub defaults: &'static [(&'static str, u32)],
    /// What the settings ask for.
    config: fn(&Settings) -> Config,
}

/// Every family known.
pub static FAMILIES: [&Family; 10] = [
    &llama::FAMILY,
    &mistral::FAMILY,
    &qwen2::FAMILY,
    &qwen3::FAMILY,
    &qwen3_moe::FAMILY,
    &phi3::FAMILY,
    &gemma3::FAMILY,
    &gptj::FAMILY,
    &gpt2::FAMILY,
    &opt::FAMILY,
];

impl Family {
    /// The family of a `model_type`; `file` is named if there is none.
    pub fn of_model_type(name: &str, file: &str) -> Result<&'static Self, StageError> {
        let known = FAMILIES.iter().map(|family| family.model_type);
        let found = FAMILIES.iter().find(|family| family.model_type == name);
        found.copied().ok_or_else(|| unknown(file, name, known.collect()))
    }

    /// The family of a GGUF architecture, and its layout; `file` is named if there is none.
    pub fn of_gguf(name: &str, file: &str) -> Result<(&'static Self, &'static Layout), StageError> {
        let layouts = || {
            let named = |family: &&'static Self| {
                let (name, layout) = family.gguf.as_ref()?;
                Some((*name, *family, layout))
            };
            FAMILIES.iter().filter_map(named)
        };
        match layouts().find(|(known, ..)| *known == name) {
            Some((_, family, layout)) => Ok((family, layout)),
            None => Err(unknown(file, name, layouts().map(|(known, ..)| known).collect())),
        }
    }

    /// What the settings of `file` ask for.
    ///
    /// # Errors
    /// If settings are missing, wrong or not supported: all of them are told.
    pub fn config(&self, settings: &Settings, file: &str) -> Result<Config, StageError> {
        let config = (self.config)(settings);
        settings.finish(file)?;
        Ok(config)
    }
}

fn unknown(file: &str, name: &str, known: Vec<&str>) -> StageError {
    let known = known.join(", ");
    StageError::new(format!(
        "{file} is of the architecture `{name}`, which is not known: {known} are"
    ))
}
