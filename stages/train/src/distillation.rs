//! `train/distillation`: a dense retriever from the scores of a teacher.

use ablate_core::{
    ArtifactKind, Input, Io, Memory, Numeric, Output, Ports, Problems, Slot, Stage, StageError,
    rows::{Hit, Triple},
};
use ablate_models::{
    device,
    source::{ENCODER, MODEL_SOURCE, require_role},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    imitation::{Imitation, ImitationLoss, ImitationSettings},
    tokens::Reading,
    training::{CURVE, Defaults, EXECUTION, Training, dev},
};

/// Parameters of `train/distillation`. A row is a query with its positive and all its negatives.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Params {
    /// Those of all trainers.
    #[serde(flatten)]
    training: Training<TrainDistillation>,
    /// How the distance from the teacher's scores is measured.
    #[serde(default)]
    loss: ImitationLoss,
    /// What products of vectors are multiplied by. Those of encoders that scale their vectors to length 1 lie within ±1, and
    /// need 10 or 20 to come near a cross-encoder's logits.
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    scale: f64,
    /// What both scores are divided by before the softmax of `loss: kl`.
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    temperature: f64,
    /// Those of the trainers of encoders.
    #[serde(flatten)]
    reading: Reading,
    /// Rows computed at once: the gradients of a larger batch are added up, in less memory.
    #[serde(default)]
    #[schemars(range(min = 1))]
    rows_at_once: Option<usize>,
}

fn one() -> f64 {
    1.0
}

impl Params {
    fn imitation(&self) -> ImitationSettings {
        ImitationSettings {
            loss: self.loss,
            scale: self.scale,
            temperature: self.temperature,
            rows_at_once: self.rows_at_once,
        }
    }
}

/// The stage.
pub struct TrainDistillation;

impl Defaults for TrainDistillation {}

impl Stage for TrainDistillation {
    const NAME: &'static str = "train/distillation";
    const VERSION: u32 = 3;
    const ABOUT: &'static str =
        "a dense retriever that scores as its teacher does, by margins (MarginMSE) or distributions (KL)";
    const EXAMPLE: &'static str = "distilled: {use: train/distillation, data: triples, teacher: judge, base: all-minilm-l6-v2, loss: margin_mse, scale: 20, seed: 1}";
    const INPUTS: &'static [Input] = &[
        Input::of("data", ArtifactKind::Triples).about("what it is trained on"),
        Input::of("teacher", ArtifactKind::Run)
            .about("scores of every query and document of the triples, as from `teacher`"),
        Input::of("base", ArtifactKind::Model)
            .or_source(&MODEL_SOURCE)
            .about("the encoder that training starts from"),
        dev(ArtifactKind::Triples),
    ];
    const OUTPUTS: &'static [Output] = &[
        Output::of("model", ArtifactKind::Model)
            .about("the trained encoder, in the layout of sentence-transformers"),
        CURVE,
    ];
    const EXECUTION: &'static [&'static str] = EXECUTION;
    const SLOT: Slot = Slot::Device;
    const MEMORY: Memory = Memory::TRAINING;
    const NUMERIC: Numeric = "f32";
    type Params = Params;

    fn check(params: &Params, problems: &mut Problems) {
        problems.require(
            params.temperature.total_cmp(&1.0).is_eq() || params.loss == ImitationLoss::Kl,
            "temperature",
            "only `loss: kl` has one: leave it out",
        );
    }

    fn check_ports(params: &Params, ports: &Ports<'_>, problems: &mut Problems) {
        params.training.check_ports(ports, problems);
        require_role(ENCODER, "base", ports, problems);
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let (rows, dev): (Vec<Triple>, _) = (io.rows("data")?, io.optional_rows("dev")?.unwrap_or_default());
        let (base, training) = (io.tree("base")?, &params.training);
        let teacher: Vec<Hit> = io.rows("teacher")?;
        let encoder = params.reading.encoder(&base, &device::open(io.device())?)?;
        let imitation = |rows| Imitation::new(&encoder, rows, &teacher, params.imitation());
        let (objective, judge) = (imitation(&rows)?, imitation(&dev)?);
        let batches = training.shuffled(objective.rows())?;
        let judged = training.judged(&judge, judge.rows());
        let curve = training.run(&objective, &batches, judged, params.reading.dropout, io)?;
        encoder.save(&base, &io.out_dir("model")?)?;
        io.put("curve", curve)
    }
}
