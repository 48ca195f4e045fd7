//! `train/cpo`: a generator from preferences.

use ablate_core::{
    ArtifactKind, Input, Io, Needs, Numeric, Output, Ports, Problems, Slot, Stage, StageError,
    rows::Preferred,
};
use ablate_generate::Format;
use ablate_models::source::{GENERATOR, MODEL_SOURCE, require_role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    completions::Preference,
    loss::PreferenceLoss,
    training::{CURVE, Defaults, EXECUTION, dev},
    tuning::{Tuning, Written},
};

/// Parameters of `train/cpo`. Those of the loss are TRL's.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Params {
    /// How the margin of log-probabilities between the two queries becomes a loss.
    #[serde(default)]
    loss: PreferenceLoss,
    /// What the margin is multiplied by; with `loss: ipo`, half its inverse is the margin aimed at.
    #[serde(default = "beta")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    beta: f64,
    /// The share of preferences taken to be wrong, with `loss: sigmoid`.
    #[serde(default)]
    #[schemars(range(min = 0, max = 0.5))]
    label_smoothing: f64,
    /// Weight of the chosen queries' negative log-likelihood, a mean over their tokens.
    #[serde(default = "cpo_alpha")]
    #[schemars(range(min = 0))]
    cpo_alpha: f64,
    /// Those of the trainers of generators.
    #[serde(flatten)]
    tuning: Tuning<TrainCpo>,
}

fn beta() -> f64 {
    0.1
}
fn cpo_alpha() -> f64 {
    1.0
}

impl Params {
    fn preference(&self) -> Preference {
        Preference {
            loss: self.loss,
            beta: self.beta,
            smoothing: self.label_smoothing,
            alpha: self.cpo_alpha,
        }
    }
}

/// The stage.
pub struct TrainCpo;

impl Defaults for TrainCpo {
    fn batch() -> usize {
        8
    }
    fn lr() -> f64 {
        5e-5
    }
    fn warmup() -> f64 {
        0.0
    }
    fn weight_decay() -> f64 {
        0.0
    }
    fn evaluate_every() -> usize {
        50
    }
}

impl Stage for TrainCpo {
    const NAME: &'static str = "train/cpo";
    const VERSION: u32 = 5;
    const ABOUT: &'static str = "a language model that prefers one query to another: contrastive preference optimisation (Xu et al., 2024)";
    const EXAMPLE: &'static str = "preferring: {use: train/cpo, data: preferred, base: smollm2-135m-instruct, loss: sigmoid, beta: 0.1, \
         lora: {rank: 16, alpha: 16}, seed: 1}";
    const INPUTS: &'static [Input] = &[
        Input::of("data", ArtifactKind::Preferences).about("the preferences it learns"),
        Input::of("base", ArtifactKind::Model)
            .or_source(&MODEL_SOURCE)
            .about("the language model that training starts from"),
        dev(ArtifactKind::Preferences),
    ];
    const OUTPUTS: &'static [Output] = &[
        Output::of("model", ArtifactKind::Model).about(
            "the trained generator in the layout of transformers, adapters merged; they alone, as peft keeps them, in `adapter`",
        ),
        CURVE,
    ];
    const EXECUTION: &'static [&'static str] = EXECUTION;
    const SLOT: Slot = Slot::Device;
    const NUMERIC: Numeric = "f32";
    type Params = Params;

    fn needs(params: &Params) -> Needs {
        Needs {
            slot: Self::SLOT,
            memory: params.tuning.memory(),
        }
    }

    fn check(params: &Params, problems: &mut Problems) {
        let smoothed = params.label_smoothing == 0.0 || params.loss == PreferenceLoss::Sigmoid;
        problems.require(
            smoothed,
            "label_smoothing",
            "only `loss: sigmoid` is smoothed: leave it out",
        );
    }

    fn check_ports(params: &Params, ports: &Ports<'_>, problems: &mut Problems) {
        params.tuning.training.check_ports(ports, problems);
        require_role(GENERATOR, "base", ports, problems);
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let dev = io.optional_rows("dev")?.unwrap_or_default();
        let rows = [written("data", io.rows("data")?)?, written("dev", dev)?];
        params.tuning.run(|_| Ok(rows), Some(params.preference()), io)
    }
}

fn written(port: &str, rows: Vec<Preferred>) -> Result<Vec<Written>, StageError> {
    let written = |row: Preferred| {
        Ok(Written {
            format: format(port, &row)?,
            id: row.doc_id,
            prompt: row.prompt,
            chosen: row.chosen,
            rejected: Some(row.rejected),
        })
    };
    rows.into_iter().map(written).collect()
}

/// How the prompt of a row asks to reach the model.
fn format(port: &str, row: &Preferred) -> Result<Format, StageError> {
    let Some(word) = &row.format else {
        return Ok(Format::default());
    };
    Format::of(word).ok_or_else(|| {
        StageError::with_help(
            format!(
                "the preference of `{}` at `{port}` has the format `{word}`",
                row.doc_id
            ),
            "`raw` and `chat` are formats; write none where the prompt asks for none",
        )
    })
}
