//! `train/biencoder`: a dense retriever from triples.

use ablate_core::{
    ArtifactKind, Input, Io, Memory, Numeric, Output, Ports, Problems, Slot, Stage, StageError, rows::Triple,
};
use ablate_models::{
    device,
    encoder::SentenceEncoder,
    source::{ENCODER, MODEL_SOURCE, require_role},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    masking::FalseNegatives,
    no_duplicates,
    ranking::{Ranking, RankingSettings},
    tokens::Reading,
    training::{CURVE, Defaults, EXECUTION, Training, dev},
};

/// Parameters of `train/biencoder`. A row brings a query, its positive and a hard negative.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Params {
    /// Those of all trainers.
    #[serde(flatten)]
    training: Training<TrainBiencoder>,
    /// Those of the trainers of encoders.
    #[serde(flatten)]
    reading: Reading,
    /// What cosines are multiplied by before the softmax.
    #[serde(default = "scale")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    scale: f64,
    /// The losses of these heads of the vectors are added up, so that vectors may be cut to them (Matryoshka); of whole
    /// vectors only if not given.
    #[serde(default)]
    #[schemars(inner(range(min = 1)), example = vec![384, 128, 64])]
    matryoshka: Option<Vec<usize>>,
    /// Texts encoded at once: a larger batch is encoded in parts (GradCache), in less memory and twice the time.
    #[serde(default)]
    #[schemars(range(min = 1))]
    texts_at_once: Option<usize>,
    /// Whether a text that another row names as a positive of a query counts for nothing among its negatives.
    #[serde(default)]
    mask_known: bool,
    /// With `guide`: texts whose cosine by it is above that of the positive less this count for nothing, too.
    #[serde(default)]
    guide_margin: f64,
}

fn scale() -> f64 {
    20.0
}

impl Params {
    fn ranking(&self) -> RankingSettings {
        RankingSettings {
            scale: self.scale,
            dimensions: self.matryoshka.clone().unwrap_or_default(),
            texts_at_once: self.texts_at_once,
        }
    }
}

/// The stage.
pub struct TrainBiencoder;

impl Defaults for TrainBiencoder {}

impl Stage for TrainBiencoder {
    const NAME: &'static str = "train/biencoder";
    const VERSION: u32 = 4;
    const ABOUT: &'static str =
        "a dense retriever, trained with multiple negatives ranking over in-batch and hard negatives";
    const EXAMPLE: &'static str = "retriever: {use: train/biencoder, data: triples, base: all-minilm-l6-v2, epochs: 1, batch: 32, lr: 2e-5, seed: 1}";
    const INPUTS: &'static [Input] = &[
        Input::of("data", ArtifactKind::Triples).about("what it is trained on"),
        Input::of("base", ArtifactKind::Model)
            .or_source(&MODEL_SOURCE)
            .about("the encoder that training starts from"),
        Input::of("guide", ArtifactKind::Model)
            .or_source(&MODEL_SOURCE)
            .optional()
            .about("an encoder that tells false negatives (GISTEmbed)"),
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

    fn check_ports(params: &Params, ports: &Ports<'_>, problems: &mut Problems) {
        params.training.check_ports(ports, problems);
        require_role(ENCODER, "base", ports, problems);
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let (rows, dev): (Vec<Triple>, _) = (io.rows("data")?, io.optional_rows("dev")?.unwrap_or_default());
        let (base, training) = (io.tree("base")?, &params.training);
        let encoder = params.reading.encoder(&base, &device::open(io.device())?)?;
        let batches = training.batches(rows.len(), |seed| no_duplicates(&rows, training.batch, seed))?;
        note_small_batches(training.batch, &batches.epoch(0), io);
        let ranking = |rows| -> Result<Ranking<'_>, StageError> {
            let false_negatives = false_negatives(params, rows, io)?;
            Ok(Ranking::new(&encoder, rows, params.ranking())?.without(false_negatives))
        };
        let (objective, judge) = (ranking(&rows)?, ranking(&dev)?);
        let judged = no_duplicates(&dev, training.batch, &training.root().child("dev"));
        let curve = training.run(&objective, &batches, (&judge, judged), params.reading.dropout, io)?;
        encoder.save(&base, &io.out_dir("model")?)?;
        io.put("curve", curve)
    }
}

fn false_negatives<'a>(
    params: &Params,
    rows: &'a [Triple],
    io: &Io<'_>,
) -> Result<FalseNegatives<'a>, StageError> {
    let mut found = FalseNegatives::default();
    if params.mask_known {
        found = found.known(rows);
    }
    if let Some(guide) = io.optional_tree("guide")? {
        let guide = SentenceEncoder::load(&guide, &device::open(io.device())?)?;
        let progress = |done, all| io.progress(done, all, "texts by the guide");
        found = found.guided(&guide, rows, params.guide_margin, &progress)?;
    }
    Ok(found)
}

/// Says when repeated texts left many batches with few negatives.
fn note_small_batches(size: usize, batches: &[Vec<usize>], io: &Io<'_>) {
    let small = batches.iter().filter(|batch| 2 * batch.len() < size).count();
    if 10 * small > batches.len() && batches.len() > 1 {
        let all = batches.len();
        io.note(format!(
            "{small} of {all} batches of the first epoch are less than half full: few rows, or texts that repeat"
        ));
    }
}
