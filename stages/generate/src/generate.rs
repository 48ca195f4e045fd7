//! The `generate` stage: synthetic queries from documents.

use std::collections::BTreeMap;

use ablate_core::{
    ArtifactKind, Input, Io, Memory, Output, Problems, Slot as Place, Stage, StageError,
    rows::{Document, Pair},
};
use ablate_models::source::MODEL_SOURCE;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    answers::Rule,
    asking::Row,
    copying,
    endpoint::GENERATOR_SOURCE,
    prompt::{PROMPT_SOURCE, at_port},
    template::Slot,
    writing::{DecodingParams, Format, WRITING, Writing, Written},
};

/// Queries written by a language model, each from one document.
pub struct Generate;

/// Parameters of `generate`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How texts are decoded.
    #[serde(default)]
    decoding: DecodingParams,
    /// Queries per document; more than one needs a temperature above 0.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    per_document: u32,
    /// Longer documents are cut to this many tokens (words, for a model behind a server); the rest of the prompt is never
    /// cut.
    #[serde(default = "max_document_tokens")]
    #[schemars(range(min = 1))]
    max_document_tokens: u32,
    /// How the prompt reaches the model; `raw` if not given.
    #[serde(default)]
    format: Option<Format>,
    /// The query is what follows the last of these, and what stands before it is kept as reasoning; a text without it is left
    /// out.
    #[serde(default)]
    #[schemars(length(min = 1), example = "Query:")]
    answer_after: Option<String>,
    /// A regular expression: the query ends with the first place it matches, as `[?]` ends it with the first question mark.
    #[serde(default)]
    #[schemars(length(min = 1), example = "[?]")]
    until: Option<String>,
    /// Seed of the draw, where decoding samples.
    #[serde(default = "seed")]
    seed: u64,
}

fn one() -> u32 {
    1
}
fn max_document_tokens() -> u32 {
    256
}
fn seed() -> u64 {
    1
}

impl Stage for Generate {
    const NAME: &'static str = "generate";
    const VERSION: u32 = 3;
    const ABOUT: &'static str =
        "queries written by a language model, each from one document, with log-probabilities";
    const EXAMPLE: &'static str = "queries: {use: generate, documents: docs, prompt: ablate/vanilla, model: smollm2-135m-instruct, \
         decoding: {temperature: 0.0, max_new_tokens: 32}}";
    const INPUTS: &'static [Input] = &[
        Input::of("documents", ArtifactKind::Corpus).about("the documents to write queries for"),
        Input::of("model", ArtifactKind::Model)
            .or_source(&GENERATOR_SOURCE)
            .about("the language model that writes"),
        Input::of("prompt", ArtifactKind::Prompt)
            .or_source(&PROMPT_SOURCE)
            .about("what the model is asked, around each document"),
        Input::of("adapter", ArtifactKind::Model)
            .optional()
            .or_source(&MODEL_SOURCE)
            .about("a LoRA adapter for the model, as peft or a trainer of ours keeps it"),
    ];
    const OUTPUTS: &'static [Output] = &[Output::of("pairs", ArtifactKind::Pairs)
        .about("the queries, each with its document and log-probability")];
    const EXECUTION: &'static [&'static str] = &["decoding.batch"];
    const SLOT: Place = Place::Device;
    const MEMORY: Memory = WRITING;
    const NUMERIC: &'static str = "f32";
    type Params = Params;

    fn check(params: &Params, problems: &mut Problems) {
        let varied = params.per_document == 1 || params.decoding.temperature > 0.0;
        problems.require(
            varied,
            "per_document",
            "greedy decoding writes the same query each time: set a temperature",
        );
        if let Err(why) = params.rule() {
            problems.require(false, "until", why.to_string());
        }
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let documents: Vec<Document> = io.rows("documents")?;
        let asking = at_port(io)?.ok_or_else(|| StageError::new("no input at port `prompt`"))?;
        asking.require(Self::NAME, &[], &[(Slot::Query, "{query}")])?;
        let writing = Writing {
            prompts: asking.prompts(documents.iter().map(Row::of_document).collect()),
            samples: params.per_document,
            max_document_tokens: params.max_document_tokens,
            format: params.format.unwrap_or_default(),
            decoding: &params.decoding,
            seed: params.seed,
            unit: "queries",
        };
        let written = writing.written(io)?;
        io.put("pairs", pairs(params, &documents, written, io)?)
    }
}

/// The queries that were written; texts without one are counted and left out.
fn pairs(
    params: &Params,
    documents: &[Document],
    written: Vec<Written>,
    io: &Io<'_>,
) -> Result<Vec<Pair>, StageError> {
    let (rule, per_document) = (params.rule()?, params.per_document as usize);
    let (total, mut pairs, mut failures) = (written.len(), Vec::new(), BTreeMap::new());
    for (at, written) in written.into_iter().enumerate() {
        let (document, sample) = (&documents[at / per_document], at % per_document);
        match rule.apply(&written.text) {
            Ok((query, reasoning)) => pairs.push(Pair {
                query_id: format!("{}#{sample}", document.doc_id),
                query,
                doc_id: document.doc_id.clone(),
                text: document.full_text(),
                mean_logprob: written.mean_logprob,
                score: None,
                reasoning: written.reasoning.or(reasoning),
                prompt_tokens: written.prompt_tokens,
                new_tokens: written.new_tokens,
                finish: written.finish,
            }),
            Err(failure) => *failures.entry(failure).or_insert(0) += 1,
        }
    }
    for (failure, count) in failures {
        io.note(format!("{count} of {total} texts {failure} and are left out"));
    }
    copying::told(&pairs).into_iter().for_each(|line| io.note(line));
    Ok(pairs)
}

impl Params {
    fn rule(&self) -> Result<Rule, StageError> {
        Rule::new(self.answer_after.as_deref(), self.until.as_deref()).map_err(StageError::new)
    }
}
