//! `train/sft`: a generator from queries and their documents.

use ablate_core::{
    ArtifactKind, Input, Io, Needs, Numeric, Output, Ports, Problems, Slot, Stage, StageError,
};
use ablate_generate::{Format, PROMPT_SOURCE, PairPrompts, Prompting};
use ablate_models::{
    generator::Reader,
    source::{GENERATOR, MODEL_SOURCE, require_role},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    lessons::{Lesson, lessons},
    training::{CURVE, Defaults, EXECUTION, dev},
    tuning::{Tuning, Written},
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
    const VERSION: u32 = 5;
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
        let prompts = PairPrompts::at_port(io, Self::NAME, &params.prompting)?;
        let mut all = lessons("data", io.rows("data")?, &prompts, io)?;
        let data = all.len();
        let dev = io.optional_rows("dev")?.unwrap_or_default();
        all.extend(lessons("dev", dev, &prompts, io)?);
        let format = prompts.format().unwrap_or_default();
        let written = |reader: &Reader| {
            let texts = prompts.texts(all.iter().map(|lesson| &lesson.pair), Some(reader), io)?;
            let rows = all.into_iter().zip(texts);
            let mut rows: Vec<Written> = rows
                .map(|(lesson, prompt)| written(lesson, prompt, format))
                .collect();
            let dev = rows.split_off(data);
            Ok([rows, dev])
        };
        params.tuning.run(written, None, io)
    }
}

fn written(lesson: Lesson, prompt: String, format: Format) -> Written {
    Written {
        id: lesson.pair.query_id,
        prompt,
        format,
        chosen: lesson.answer,
        rejected: None,
    }
}
