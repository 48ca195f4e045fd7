//! Generators in training: a decoder with gradients, its tokenizer, and the folder it is saved to.

use std::path::Path;

use ablate_core::{Seed, StageError};
use candle_core::Device;
use serde_json::{Map, Value, json};

use crate::{
    decoder::{Lora, TunedDecoder},
    files::{TOKENIZER, copy},
    generator::{Reader, open, tokens_behind},
};

/// A generator that is trained.
pub struct TunedGenerator {
    /// The model.
    pub decoder: TunedDecoder,
    /// What it reads and writes texts by.
    pub reader: Reader,
    settings: Map<String, Value>,
}

impl TunedGenerator {
    /// Loads what [`crate::generator::Generator::load`] does; parameters are named and laid out as Hugging Face has them, those of a GGUF file too.
    /// Trained whole, or through adapters drawn from `seed`.
    ///
    /// # Errors
    /// As [`TunedDecoder::load`], and if files are missing or damaged.
    pub fn load(
        folder: &Path,
        lora: Option<&Lora>,
        seed: &Seed,
        device: &Device,
    ) -> Result<Self, StageError> {
        let mut opened = open(folder)?.into_published()?;
        let mut settings = opened.settings;
        settings.insert("model_type".into(), opened.family.model_type.into());
        settings
            .entry("architectures")
            .or_insert_with(|| json!([opened.family.architecture]));
        Ok(Self {
            decoder: TunedDecoder::load(
                opened.config,
                &opened.layout,
                &mut *opened.weights,
                lora,
                seed,
                device,
            )?,
            reader: opened.reader,
            settings,
        })
    }

    /// The tokens of a completion behind the text `prompt`, from which a blank parts it, and the one that ends it.
    pub fn completion(&self, prompt: &str, text: &str, end: Option<u32>) -> Result<Vec<u32>, StageError> {
        let blank = if prompt.ends_with(char::is_whitespace) {
            ""
        } else {
            " "
        };
        let mut tokens = tokens_behind(&self.reader.tokenizer, &format!("{blank}{}", text.trim()))?;
        tokens.extend(end);
        Ok(tokens)
    }

    /// Writes the model with its adapters merged into a folder that transformers and [`crate::generator::Generator::load`] read, f32, and
    /// the adapters apart in `adapter`, as peft keeps them. `base` is the folder it was loaded from.
    pub fn save(&self, base: &Path, folder: &Path) -> Result<(), StageError> {
        self.decoder.save(folder)?;
        self.decoder.save_adapter(&folder.join("adapter"))?;
        let mut settings = self.settings.clone();
        settings.remove("torch_dtype");
        settings.insert("dtype".into(), "float32".into());
        write(folder, "config.json", &Value::Object(settings))?;
        if base.join("tokenizer.json").is_file() {
            copy(&TOKENIZER, base, folder)?;
            return copy(&["generation_config.json", "chat_template.jinja"], base, folder);
        }
        self.write_tokenizer(folder)
    }

    /// The tokenizer of a GGUF file, and what surrounds texts.
    fn write_tokenizer(&self, folder: &Path) -> Result<(), StageError> {
        let file = folder.join("tokenizer.json");
        let Reader {
            tokenizer,
            begin,
            ends,
            chat_template,
        } = &self.reader;
        tokenizer
            .save(&file, false)
            .map_err(|error| StageError::new(format!("`{}` cannot be written: {error}", file.display())))?;
        let text = |token: u32| tokenizer.id_to_token(token);
        let about = json!({
            "tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": begin.is_some(),
            "bos_token": begin.and_then(text), "eos_token": ends.first().copied().and_then(text),
            "chat_template": chat_template,
        });
        write(folder, "tokenizer_config.json", &about)?;
        let about = json!({"bos_token_id": begin, "eos_token_id": ends});
        write(folder, "generation_config.json", &about)
    }
}

fn write(folder: &Path, name: &str, value: &Value) -> Result<(), StageError> {
    Ok(fs_err::write(
        folder.join(name),
        serde_json::to_vec_pretty(value)?,
    )?)
}
