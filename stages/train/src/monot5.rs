//! `train/monot5`: a monoT5 reranker from triples.

use ablate_core::{
    ArtifactKind, Input, Io, Memory, Numeric, Output, Ports, Problems, Slot, Stage, StageError, rows::Triple,
};
use ablate_models::{device, reranker::MonoT5, source::MODEL_SOURCE};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    answers::Answers,
    optimizer::Decay,
    training::{CURVE, Defaults, EXECUTION, Training, dev},
};

/// Parameters of `train/monot5`. A row is a pair of a query and a document.
///
/// Defaults are those of InPars' PyTorch script: AdamW, batches of 128, learning rate 3e-4 without warm-up or decay, weight
/// decay 5e-5, one epoch. experiments/inpars-monot5.yaml has its other recipes.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Params {
    /// Those of all trainers.
    #[serde(flatten)]
    training: Training<TrainMonoT5>,
    /// Rows computed at once: the gradients of a larger batch are added up, in less memory.
    #[serde(default = "rows_at_once")]
    #[schemars(range(min = 1))]
    rows_at_once: usize,
    /// Whether a positive stands once for each of its negatives, so that both answers are as frequent.
    #[serde(default = "yes")]
    balanced: bool,
    /// Tokens a prompt is cut at; only the document is cut.
    #[serde(default = "max_length")]
    #[schemars(range(min = 16))]
    max_length: usize,
    /// Dropout probability; that of the base's configuration if not given.
    #[serde(default)]
    #[schemars(range(min = 0), extend("exclusiveMaximum" = 1))]
    dropout: Option<f32>,
}

fn rows_at_once() -> usize {
    8
}
fn yes() -> bool {
    true
}
fn max_length() -> usize {
    512
}

/// The stage.
pub struct TrainMonoT5;

impl Defaults for TrainMonoT5 {
    fn batch() -> usize {
        128
    }
    fn lr() -> f64 {
        3e-4
    }
    fn warmup() -> f64 {
        0.0
    }
    fn decay() -> Decay {
        Decay::Constant
    }
    fn weight_decay() -> f64 {
        5e-5
    }
    fn evaluate_every() -> usize {
        50
    }
}

impl Stage for TrainMonoT5 {
    const NAME: &'static str = "train/monot5";
    const VERSION: u32 = 5;
    const ABOUT: &'static str = "a T5 that answers whether a document is relevant, trained on positives and negatives (monoT5, InPars)";
    const EXAMPLE: &'static str =
        "monot5: {use: train/monot5, data: triples, base: path:models/t5-base, lr: 3e-4, seed: 1}";
    const INPUTS: &'static [Input] = &[
        Input::of("data", ArtifactKind::Triples).about("what it is trained on"),
        Input::of("base", ArtifactKind::Model)
            .or_source(&MODEL_SOURCE)
            .about("the T5 or monoT5 that training starts from"),
        dev(ArtifactKind::Triples),
    ];
    const OUTPUTS: &'static [Output] = &[
        Output::of("model", ArtifactKind::Model).about("the trained monoT5, in the layout of transformers"),
        CURVE,
    ];
    const EXECUTION: &'static [&'static str] = EXECUTION;
    const SLOT: Slot = Slot::Device;
    const MEMORY: Memory = Memory::TRAINING;
    const NUMERIC: Numeric = "f32";
    type Params = Params;

    fn check_ports(params: &Params, ports: &Ports<'_>, problems: &mut Problems) {
        params.training.check_ports(ports, problems);
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let (rows, dev): (Vec<Triple>, _) = (io.rows("data")?, io.optional_rows("dev")?.unwrap_or_default());
        let (base, training) = (io.tree("base")?, &params.training);
        let mut model = MonoT5::load(&base, &device::open(io.device())?)?;
        model.set_max_length(Some(params.max_length));
        let answers = |rows| Answers::new(&model, rows, params.balanced, Some(params.rows_at_once));
        let (objective, judge) = (answers(&rows)?, answers(&dev)?);
        let batches = training.shuffled(objective.rows())?;
        let judged = training.judged(&judge, judge.rows());
        let curve = training.run(&objective, &batches, judged, params.dropout, io)?;
        model.save(&base, &io.out_dir("model")?)?;
        io.put("curve", curve)
    }
}
