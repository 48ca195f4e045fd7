//! `train/crossencoder`: a reranker from triples.

use ablate_core::{
    ArtifactKind, Input, Io, Memory, Numeric, Output, Ports, Problems, Slot, Stage, StageError, rows::Triple,
};
use ablate_models::{
    device,
    reranker::{CrossEncoder, Truncation},
    source::MODEL_SOURCE,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    relevance::{Relevance, RelevanceLoss},
    training::{CURVE, Defaults, EXECUTION, Training, dev},
};

/// Parameters of `train/crossencoder`. A row is a pair of a query and a document, or with `loss: listwise` a query with all
/// its documents.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Params {
    /// Those of all trainers.
    #[serde(flatten)]
    training: Training<TrainCrossencoder>,
    /// How the logits of a query's documents become a loss.
    #[serde(default)]
    loss: RelevanceLoss,
    /// Rows computed at once: the gradients of a larger batch are added up, in less memory.
    #[serde(default)]
    #[schemars(range(min = 1))]
    rows_at_once: Option<usize>,
    /// Tokens a pair is cut at, a token at a time from whichever text is longer. The trained model keeps its base's own limit.
    #[serde(default = "max_length")]
    #[schemars(range(min = 5))]
    max_length: usize,
    /// Dropout probability; that of the base's configuration if not given.
    #[serde(default)]
    #[schemars(range(min = 0), extend("exclusiveMaximum" = 1))]
    dropout: Option<f32>,
}

fn max_length() -> usize {
    256
}

/// The stage.
pub struct TrainCrossencoder;

impl Defaults for TrainCrossencoder {}

impl Stage for TrainCrossencoder {
    const NAME: &'static str = "train/crossencoder";
    const VERSION: u32 = 3;
    const ABOUT: &'static str =
        "a reranker that reads query and document together, trained on positives and negatives";
    const EXAMPLE: &'static str = "reranker: {use: train/crossencoder, data: triples, base: all-minilm-l6-v2, loss: bce, epochs: 1, batch: 32, seed: 1}";
    const INPUTS: &'static [Input] = &[
        Input::of("data", ArtifactKind::Triples).about("what it is trained on"),
        Input::of("base", ArtifactKind::Model)
            .or_source(&MODEL_SOURCE)
            .about("the cross-encoder, or the encoder below a new head, that training starts from"),
        dev(ArtifactKind::Triples),
    ];
    const OUTPUTS: &'static [Output] = &[
        Output::of("model", ArtifactKind::Model)
            .about("the trained cross-encoder, in the layout of transformers"),
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
        let device = device::open(io.device())?;
        let mut model = CrossEncoder::over(&base, &device, &training.root().child("head"))?;
        model.set_truncation(Some(params.max_length), Truncation::LongestFirst)?;
        let relevance = |rows| Relevance::new(&model, rows, params.loss, params.rows_at_once);
        let (objective, judge) = (relevance(&rows)?, relevance(&dev)?);
        let batches = training.shuffled(objective.rows())?;
        let judged = training.judged(&judge, judge.rows());
        let curve = training.run(&objective, &batches, judged, params.dropout, io)?;
        model.save(&base, &io.out_dir("model")?)?;
        io.put("curve", curve)
    }
}
