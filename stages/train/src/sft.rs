//! `train/sft`: a generator from queries and their documents.

use ablate_core::{
    ArtifactKind, Input, Io, Needs, Numeric, Output, Ports, Problems, Slot, Stage, StageError, rows::Pair,
};
use ablate_generate::{PROMPT_SOURCE, PairPrompts, Prompting};
use ablate_models::{
    generator::Reader,
    source::{GENERATOR, MODEL_SOURCE, require_role},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    training::{CURVE, Defaults, EXECUTION, dev},
    tuning::{Tuning, Written, finished},
};

/// Parameters of `train/sft`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Params {
    /// Those of the trainers of generators.
    #[serde(flatten)]
    tuning: Tuning<TrainSft>,
    /// How prompts are written.
    #[serde(flatten)]
    prompting: Prompting,
}

/// The stage.
pub struct TrainSft;

impl Defaults for TrainSft {
    fn batch() -> usize {
        8
    }
    fn lr() -> f64 {
        2e-4
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

impl Stage for TrainSft {
    const NAME: &'static str = "train/sft";
    const VERSION: u32 = 4;
    const ABOUT: &'static str =
        "a language model that writes queries like these, each behind the prompt with its document";
    const EXAMPLE: &'static str = "taught: {use: train/sft, data: kept, prompt: ablate/vanilla, base: smollm2-135m-instruct, lora: {rank: 16}, \
         epochs: 1, seed: 1}";
    const INPUTS: &'static [Input] = &[
        Input::of("data", ArtifactKind::Pairs).about("the queries it learns to write"),
        Input::of("prompt", ArtifactKind::Prompt)
            .or_source(&PROMPT_SOURCE)
            .about("what the model is asked, around each document"),
        Input::of("base", ArtifactKind::Model)
            .or_source(&MODEL_SOURCE)
            .about("the language model that training starts from"),
        dev(ArtifactKind::Pairs),
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

    fn check_ports(params: &Params, ports: &Ports<'_>, problems: &mut Problems) {
        params.tuning.training.check_ports(ports, problems);
        require_role(GENERATOR, "base", ports, problems);
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let (rows, dev): (Vec<Pair>, Option<Vec<Pair>>) = (io.rows("data")?, io.optional_rows("dev")?);
        let rows = [finished(rows, io), finished(dev.unwrap_or_default(), io)];
        let written = |reader: &Reader| {
            let prompts = PairPrompts::at_port(io, &params.prompting, Some(reader))?;
            let written = |rows: Vec<Pair>| rows.into_iter().map(|pair| written(&prompts, pair)).collect();
            let [rows, dev]: [Result<Vec<Written>, StageError>; 2] = rows.map(written);
            prompts.tell(io);
            Ok([rows?, dev?])
        };
        params.tuning.run(written, None, io)
    }
}

fn written(prompts: &PairPrompts<'_>, pair: Pair) -> Result<Written, StageError> {
    Ok(Written {
        prompt: prompts.text(&pair)?,
        id: pair.query_id,
        chosen: pair.query,
        rejected: None,
    })
}
