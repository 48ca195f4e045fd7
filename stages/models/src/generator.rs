//! Generators: a decoder, its tokenizer, and what it expects around a text.

use std::path::Path;

use ablate_core::StageError;
use candle_core::Device;
use serde_json::{Map, Value};
use tokenizers::{Encoding, Tokenizer};

use crate::{
    Precision, checkpoint,
    decoder::{Adapted, Config, Converted, Family, Layout, Model, Weights},
    gguf,
};

/// What decoding needs.
pub struct Generator {
    /// The model.
    pub model: Model,
    /// What it reads and writes texts by.
    pub reader: Reader,
}

/// What stands between texts and a model: its tokenizer, and what the model expects around a text.
pub struct Reader {
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// What stands before every text, where the model was trained so; a tokenizer asked for no special tokens leaves
    /// it out.
    pub begin: Option<u32>,
    /// Tokens that end a text.
    pub ends: Vec<u32>,
    /// How a conversation is written (Jinja), where the model says so.
    pub chat_template: Option<String>,
}

impl Reader {
    /// That of a model folder.
    ///
    /// # Errors
    /// As [`Generator::load`].
    pub fn load(folder: &Path) -> Result<Self, StageError> {
        Ok(open(folder)?.reader)
    }

    /// Whatever a tokenizer was saved with, no text is cut nor filled up: that is decided elsewhere.
    fn read_all(&mut self) -> Result<(), StageError> {
        let told = |error| StageError::new(format!("the tokenizer: {error}"));
        self.tokenizer
            .with_padding(None)
            .with_truncation(None)
            .map_err(told)?;
        Ok(())
    }

    /// The tokens of a text, with none that begins or ends it.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub fn tokens(&self, text: &str) -> Result<Vec<u32>, StageError> {
        Ok(encoded(&self.tokenizer, text)?.get_ids().to_vec())
    }

    /// The text of the first `most` tokens of a text, at least one.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub fn beginning<'t>(&self, text: &'t str, most: usize) -> Result<&'t str, StageError> {
        let encoded = encoded(&self.tokenizer, text)?;
        let end = match (encoded.len() > most, encoded.get_offsets().get(most.max(1) - 1)) {
            (true, Some((_, end))) => *end,
            _ => text.len(),
        };
        Ok(&text[..text.floor_char_boundary(end)])
    }
}

fn encoded(tokenizer: &Tokenizer, text: &str) -> Result<Encoding, StageError> {
    let encoded = tokenizer.encode(text, false);
    encoded.map_err(|error| StageError::new(format!("the tokenizer: {error}")))
}

/// The tokens of a text that stands behind another. SentencePiece puts a blank before every text, also here, where it
/// does not belong; behind a line feed, which no token has a part of, it can be told from the text.
pub fn tokens_behind(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>, StageError> {
    let tokens = |text: &str| Ok::<_, StageError>(encoded(tokenizer, text)?.get_ids().to_vec());
    let line = tokens("\n")?;
    if line.len() > 1 {
        let both = tokens(&format!("\n{text}"))?;
        if let Some(behind) = both.strip_prefix(line.as_slice()) {
            return Ok(behind.to_vec());
        }
    }
    tokens(text)
}

/// A generator whose weights are still in their files.
pub(crate) struct Opened {
    pub(crate) family: &'static Family,
    /// What config.json says, or would.
    pub(crate) settings: Map<String, Value>,
    pub(crate) config: Config,
    pub(crate) layout: Layout,
    pub(crate) weights: Box<dyn Weights>,
    pub(crate) reader: Reader,
}

impl Opened {
    /// The same with the names and the layout of Hugging Face, those of a GGUF file too.
    pub(crate) fn into_published(mut self) -> Result<Self, StageError> {
        let layout = &self.family.layout;
        if self.layout.embeddings != layout.embeddings {
            self.weights = Box::new(Converted::new(self.weights, &self.config, &self.layout, layout)?);
        }
        self.layout = *layout;
        Ok(self)
    }
}

impl Generator {
    /// Loads a model folder, to compute on `device`: one GGUF file, or config.json, safetensors and tokenizer.json.
    ///
    /// # Errors
    /// If files are missing or damaged, or the model is of a kind that is not known; the message names file and tensor.
    pub fn load(folder: &Path, device: &Device, precision: Precision) -> Result<Self, StageError> {
        Self::of(open(folder)?, |config, layout, weights| {
            Model::load(config, layout, weights, device, precision)
        })
    }

    /// The same with a LoRA adapter merged into the weights: a folder as peft keeps it, or a trainer's, which has it in
    /// `adapter`.
    ///
    /// # Errors
    /// As [`Self::load`], and if the adapter does not belong to the model; the message names the tensor.
    pub fn load_adapted(
        folder: &Path,
        adapter: &Path,
        device: &Device,
        precision: Precision,
    ) -> Result<Self, StageError> {
        let mut opened = open(folder)?.into_published()?;
        let base = opened.weights;
        opened.weights = Box::new(Adapted::open(base, adapter, &opened.config, &opened.layout)?);
        Self::of(opened, |config, layout, weights| {
            Model::load(config, layout, weights, device, precision)
        })
    }

    /// The same with candle's tensors on the CPU too: to compare with.
    pub fn load_tensors(folder: &Path, device: &Device, precision: Precision) -> Result<Self, StageError> {
        Self::of(open(folder)?, |config, layout, weights| {
            Model::load_tensors(config, layout, weights, device, precision)
        })
    }

    fn of(
        mut opened: Opened,
        load: impl FnOnce(Config, &Layout, &mut dyn Weights) -> Result<Model, StageError>,
    ) -> Result<Self, StageError> {
        Ok(Self {
            model: load(opened.config, &opened.layout, &mut *opened.weights)?,
            reader: opened.reader,
        })
    }
}

/// Opens a model folder.
pub(crate) fn open(folder: &Path) -> Result<Opened, StageError> {
    let mut opened = found(folder)?;
    belong_together(&opened, folder)?;
    opened.reader.read_all()?;
    Ok(opened)
}

fn found(folder: &Path) -> Result<Opened, StageError> {
    let files = fs_err::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut found: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|e| e == "gguf"))
        .collect();
    found.sort();
    match found.as_slice() {
        [file] => gguf::open(file),
        [] if folder.join("config.json").is_file() => checkpoint::open(folder),
        [] => Err(StageError::with_help(
            format!("{} holds no .gguf file and no config.json", folder.display()),
            "a generator is a GGUF file, or config.json, safetensors and tokenizer.json",
        )),
        _ => Err(StageError::new(format!(
            "{} holds {} .gguf files: keep one",
            folder.display(),
            found.len()
        ))),
    }
}

/// Refuses a tokenizer that is another model's: one that writes tokens the model has no embedding of, lacks those that begin and end its
/// texts, or knows so few that more than padding is left of the embeddings. Tokens that stand beside its vocabulary are never written
/// unless a text spells them: Gemma 3 has one for images that its text models lack.
fn belong_together(opened: &Opened, folder: &Path) -> Result<(), StageError> {
    let (known, reader) = (opened.config.vocab_size, &opened.reader);
    let count = reader.tokenizer.get_vocab(false).into_values().max();
    let count = count.map_or(0, |last| last as usize + 1);
    let refuse = |what: String| {
        let message = format!("{}: {what}", folder.display());
        let help = "use a tokenizer and weights that belong together";
        Err(StageError::with_help(message, help))
    };
    if count > known || 4 * count < 3 * known {
        return refuse(format!(
            "the tokenizer has {count} tokens, the model {known} embeddings"
        ));
    }
    let mut around = reader.begin.iter().chain(&reader.ends);
    match around.find(|id| reader.tokenizer.id_to_token(**id).is_none()) {
        Some(id) => refuse(format!(
            "the token {id} begins or ends texts, and the tokenizer lacks it"
        )),
        None => Ok(()),
    }
}
