//! What the trainers of generators share: adapters, prompts and their completions as tokens, the run.

use ablate_core::{Io, Memory, StageError};
use ablate_generate::{Format, Reading};
use ablate_models::{TunedGenerator, decoder::Lora, device, generator::Reader};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    completions::{Completions, Example, Preference},
    training::{Defaults, Training},
};

/// Which parameters are trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Trained {
    /// Adapters beside linear layers; the base stays as it is.
    #[default]
    Lora,
    /// All parameters.
    All,
}

/// Low-rank adapters (Hu et al., 2022), with `trained: lora`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LoraParams {
    /// Numbers between the two matrices of an adapter.
    #[schemars(range(min = 1))]
    rank: usize,
    /// What an adapter adds is multiplied by this over the rank.
    #[schemars(extend("exclusiveMinimum" = 0))]
    alpha: f64,
    /// Dropout probability of what an adapter reads.
    #[schemars(range(min = 0), extend("exclusiveMaximum" = 1))]
    dropout: f32,
    /// Layers with an adapter by the ends of their names in transformers, as `q_proj`; `all-linear` for all but the head.
    #[schemars(length(min = 1))]
    targets: Vec<String>,
}

impl Default for LoraParams {
    /// As InPars+ has them.
    fn default() -> Self {
        Self {
            rank: 16,
            alpha: 16.0,
            dropout: 0.0,
            targets: vec!["all-linear".into()],
        }
    }
}

impl LoraParams {
    fn lora(&self, trained: Trained) -> Option<Lora> {
        (trained == Trained::Lora).then(|| Lora {
            rank: self.rank,
            alpha: self.alpha,
            dropout: self.dropout,
            targets: self.targets.clone(),
        })
    }
}

/// A prompt and what is written behind it, not yet tokens.
pub(crate) struct Written {
    pub(crate) id: String,
    pub(crate) prompt: String,
    /// How the prompt asks to reach the model.
    pub(crate) format: Format,
    pub(crate) chosen: String,
    pub(crate) rejected: Option<String>,
}

/// The parameters that the trainers of generators share, with the defaults of the trainer `D`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(bound = "D: Defaults")]
#[schemars(bound = "D: Defaults", rename = "Tuning")]
pub(crate) struct Tuning<D> {
    /// Those of all trainers.
    #[serde(flatten)]
    pub(crate) training: Training<D>,
    /// Rows computed at once: the gradients of a larger batch are added up, in less memory.
    #[serde(default = "rows_at_once")]
    #[schemars(range(min = 1))]
    rows_at_once: usize,
    /// Tokens of a prompt and its completion at most; longer rows are left out, since a prompt without its beginning asks for something else.
    #[serde(default = "max_length")]
    #[schemars(range(min = 16))]
    max_length: usize,
    /// How the prompt reaches the model: as the `format` of the `generate` that is to use it; if not given, as the prompt asks for it
    /// (`ablate/chat`: `chat`), else `raw`.
    #[serde(default)]
    format: Option<Format>,
    /// Which parameters are trained.
    #[serde(default)]
    trained: Trained,
    /// The adapters.
    #[serde(default)]
    lora: LoraParams,
}

fn rows_at_once() -> usize {
    4
}
fn max_length() -> usize {
    768
}

/// What a token's states take while gradients are computed, per byte of the model's files: 1.9 MB where SmolLM2-135M has 98 MB in
/// blocks of 4 bits. Larger models and wider numbers need less per byte.
const STATES_PER_TOKEN: f64 = 0.02;

impl<D> Tuning<D> {
    /// The memory of training: it grows with the tokens that are computed at once, unless layers are computed again.
    pub(crate) fn memory(&self) -> Memory {
        let tokens = match self.training.gradient_checkpointing {
            true => 0,
            false => self.rows_at_once * self.max_length,
        };
        Memory {
            models: Memory::TRAINING.models + STATES_PER_TOKEN * tokens as f64,
            ..Memory::TRAINING
        }
    }

    /// Trains the generator at `base` on what `rows` makes of its reader, evaluated on the second, and writes the outputs `model` and `curve`.
    pub(crate) fn run(
        &self,
        rows: impl FnOnce(&Reader) -> Result<[Vec<Written>; 2], StageError>,
        preference: Option<Preference>,
        io: &Io<'_>,
    ) -> Result<(), StageError> {
        let (base, training) = (io.tree("base")?, &self.training);
        let (lora, seed) = (self.lora.lora(self.trained), training.root().child("lora"));
        let generator = TunedGenerator::load(&base, lora.as_ref(), &seed, &device::open(io.device())?)?;
        let [rows, dev] = rows(&generator.reader)?;
        let (examples, judged) = (
            self.examples(&generator, &rows, io)?,
            self.examples(&generator, &dev, io)?,
        );
        let over = |examples| Completions::new(&generator.decoder, examples, preference, self.rows_at_once);
        let (objective, judge) = (over(&examples), over(&judged));
        let batches = training.shuffled(examples.len())?;
        let judged = training.judged(&judge, judged.len());
        let curve = training.run(&objective, &batches, judged, None, io)?;
        generator.save(&base, &io.out_dir("model")?)?;
        io.put("curve", curve)
    }

    /// How prompts reach the model: as is said, or else as they ask for it themselves.
    fn format(&self, rows: &[Written]) -> Result<Format, StageError> {
        let asked = rows.first().map(|row| row.format).unwrap_or_default();
        match (self.format, rows.iter().find(|row| row.format != asked)) {
            (Some(format), _) => Ok(format),
            (None, None) => Ok(asked),
            (None, Some(other)) => Err(StageError::with_help(
                format!(
                    "the prompt of `{}` asks for `format: {}`, that of `{}` for `format: {}`",
                    rows[0].id,
                    asked.word(),
                    other.id,
                    other.format.word()
                ),
                "set `format`",
            )),
        }
    }

    /// Texts as tokens, those of rows that are too long left out.
    ///
    /// # Errors
    /// If all are.
    fn examples(
        &self,
        generator: &TunedGenerator,
        rows: &[Written],
        io: &Io<'_>,
    ) -> Result<Vec<Example>, StageError> {
        let reading = Reading::new(&generator.reader, self.format(rows)?)?;
        let most = self.max_length.min(generator.decoder.max_length());
        let mut examples = Vec::with_capacity(rows.len());
        for row in rows {
            let example = example(generator, &reading, row)?;
            examples.extend((example.tokens() <= most).then_some(example));
        }
        let (all, long) = (rows.len(), rows.len() - examples.len());
        let what = format!("{long} of {all} rows have more than {most} tokens");
        match (long, all) {
            (0, _) => {}
            (long, all) if long == all => {
                let help = "raise max_length, or lower the max_document_tokens of the prompts";
                return Err(StageError::with_help(what, help));
            }
            _ => io.warn(format!("{what} with their prompts and were left out")),
        }
        Ok(examples)
    }
}

fn example(generator: &TunedGenerator, reading: &Reading<'_>, row: &Written) -> Result<Example, StageError> {
    let (asked, end) = (reading.text(&row.prompt)?, reading.end()?);
    let completion = |text: &str| generator.completion(&asked, text, end);
    Ok(Example {
        id: row.id.clone(),
        prompt: reading.tokens(&row.prompt)?,
        chosen: completion(&row.chosen)?,
        rejected: row.rejected.as_deref().map(completion).transpose()?,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use ablate_core::{Memory, Stage};
    use serde_json::{Value, json};

    use crate::sft::TrainSft;

    #[test]
    fn tokens_at_once_take_memory_unless_layers_are_computed_again() {
        let bytes = |params: Value| {
            let params = serde_json::from_value(params).unwrap();
            TrainSft::needs(&params).memory.bytes(0, 100)
        };
        let least = Memory::TRAINING.bytes(0, 100);
        assert_eq!(bytes(json!({"gradient_checkpointing": true})), least);
        let whole = bytes(json!({"rows_at_once": 4, "max_length": 512}));
        assert_eq!(
            bytes(json!({"rows_at_once": 2, "max_length": 512})) - least,
            (whole - least) / 2
        );
        assert!(whole > 4 * least);
    }
}
