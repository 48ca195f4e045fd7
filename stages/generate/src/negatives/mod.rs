//! The `negatives/llm` stage: hard negatives that a language model writes, without a corpus.

mod filter;

use std::collections::BTreeMap;

use ablate_core::{
    ArtifactKind, Expense, Input, Io, Memory, Output, Ports, Preview, Problems, Record, Slot as Place, Stage,
    StageError,
    rows::{Pair, Triple},
};
use ablate_models::{
    Precision,
    source::{GENERATOR, require_role},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    answers::none_left,
    asking::Asking,
    cutting::Cut,
    filling::Row,
    prompt::{PROMPT_SOURCE, at_port, previewed},
    reading::Format,
    strategies::{NEGATIVE, named},
    template::Slot,
    writer::{WRITER, Writer, expense},
    writing::{DecodingParams, Share, WRITING, Writing, Written},
};
use filter::Filter;

/// Negatives written by a language model for a query and its positive: "Don't Retrieve, Generate" (arXiv 2504.21015).
pub struct WriteNegatives;

/// Parameters of `negatives/llm`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How texts are decoded; as in the study that compared such negatives, if not given.
    #[serde(default)]
    decoding: NegativeDecoding,
    /// Texts written per query; more than one needs a temperature above 0. Those that are filtered are not written anew.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    per_query: u32,
    /// Longer positives are cut to this many tokens (words, for a model behind a server); the rest of the prompt is never
    /// cut.
    #[serde(default = "max_document_tokens")]
    #[schemars(range(min = 1))]
    max_document_tokens: u32,
    /// How the prompt reaches the model.
    #[serde(default = "chat")]
    format: Format,
    /// The negative is what follows the last of these; a text without it is left out.
    #[serde(default)]
    #[schemars(length(min = 1), example = "Passage:")]
    answer_after: Option<String>,
    /// A text is too close to the positive if more than this share of the runs of words of the shorter one stands in the other,
    /// as all of an excerpt do; 1 keeps all.
    #[serde(default = "max_likeness")]
    #[schemars(range(min = 0, max = 1))]
    max_likeness: f64,
    /// Words of those runs.
    #[serde(default = "run_words")]
    #[schemars(range(min = 1))]
    run_words: u32,
    /// A text with one of these in its first sentence, in any case, is a refusal; an empty list keeps all.
    #[serde(default = "refusals")]
    #[schemars(inner(length(min = 1)))]
    refusals: Vec<String>,
    /// What to do with a query for which fewer than `per_query` are left.
    #[serde(default)]
    on_shortfall: OnShortfall,
    /// Seed of the draw, where decoding samples.
    #[serde(default = "seed")]
    seed: u64,
}

/// How negatives are decoded.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct NegativeDecoding {
    /// How much chance has a say: 0 takes the likeliest token each time, 1 samples as the model predicts.
    #[schemars(range(min = 0))]
    temperature: f64,
    /// Sample from the k likeliest tokens only; all, if null.
    #[schemars(range(min = 1))]
    top_k: Option<u32>,
    /// Sample from the likeliest tokens whose probabilities together reach p; all, if null.
    #[schemars(range(min = 0, max = 1))]
    top_p: Option<f64>,
    /// Never sample a token below this share of the likeliest's probability.
    #[schemars(range(min = 0, max = 1))]
    min_p: Option<f64>,
    /// What the logit of a token of prompt or text is divided by before the next one is chosen, or multiplied with where it is
    /// negative: above 1, texts repeat themselves less.
    #[schemars(extend("exclusiveMinimum" = 0), example = 1.1)]
    repetition_penalty: Option<f64>,
    /// Tokens of a negative at most, thinking included.
    #[schemars(range(min = 1))]
    max_new_tokens: u32,
    /// Texts that end a negative, and are no part of it.
    #[schemars(inner(length(min = 1)))]
    stop: Vec<String>,
    /// Rows decoded together on each core, or on the device; as many as memory has room for if not given.
    #[schemars(range(min = 1))]
    batch: Option<u32>,
    /// In what numbers a model that runs here computes: `bf16` takes half the memory of `f32`, and is for GPUs.
    #[serde(skip_serializing_if = "Precision::is_default")]
    #[schemars(extend("default" = "f32"))]
    precision: Precision,
}

/// As in arXiv 2504.21015.
impl Default for NegativeDecoding {
    fn default() -> Self {
        Self {
            temperature: 0.6,
            top_k: Some(20),
            top_p: Some(0.95),
            min_p: Some(0.0),
            repetition_penalty: None,
            max_new_tokens: 1024,
            stop: vec![],
            batch: None,
            precision: Precision::F32,
        }
    }
}

impl NegativeDecoding {
    fn params(&self) -> DecodingParams {
        DecodingParams {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            max_new_tokens: Some(self.max_new_tokens),
            stop: Some(self.stop.clone()),
            batch: self.batch,
            precision: self.precision,
        }
    }
}

/// What to do with a query for which too few negatives are left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum OnShortfall {
    /// Leave the query out, so that every query has the same budget.
    #[default]
    DropQuery,
    /// Keep what there is.
    Keep,
    /// Fail.
    Error,
}

fn one() -> u32 {
    1
}
fn max_document_tokens() -> u32 {
    512
}
fn chat() -> Format {
    Format::Chat
}
fn max_likeness() -> f64 {
    0.5
}
fn run_words() -> u32 {
    3
}
fn seed() -> u64 {
    1
}
fn refusals() -> Vec<String> {
    let texts = [
        "I cannot",
        "I can't",
        "I am unable",
        "I'm unable",
        "I am not able",
        "I'm not able",
        "I apologize",
        "I apologise",
        "Unfortunately, I",
        "I am sorry",
        "I'm sorry",
        "Sorry,",
        "As an AI",
        "As a language model",
    ];
    texts.map(str::to_owned).to_vec()
}

impl Stage for WriteNegatives {
    const NAME: &'static str = "negatives/llm";
    const VERSION: u32 = 3;
    const ABOUT: &'static str = "hard negatives written by a language model for each query and its positive; copies and refusals left out";
    const EXAMPLE: &'static str = "imagined: {use: negatives/llm, pairs: kept, model: smollm2-135m-instruct, per_query: 1, \
         decoding: {max_new_tokens: 200}}";
    const INPUTS: &'static [Input] = &[
        Input::of("pairs", ArtifactKind::Pairs).about("queries, each with the document it is about"),
        WRITER,
        Input::of("prompt", ArtifactKind::Prompt)
            .or_source(&PROMPT_SOURCE)
            .optional()
            .about("what the model is asked, around {query} and {document}; `ablate/negative` if not given"),
    ];
    const OUTPUTS: &'static [Output] = &[Output::of("triples", ArtifactKind::Triples).about(
        "query, positive and negative; the source is `llm`, and the negative's id the query's with `#llm-` and the sample's number",
    )];
    const EXECUTION: &'static [&'static str] = &["decoding.batch"];
    const SLOT: Place = Place::Device;
    const MEMORY: Memory = WRITING;
    const NUMERIC: &'static str = "f32";
    type Params = Params;

    fn check(params: &Params, problems: &mut Problems) {
        problems.require(
            params.per_query == 1 || params.decoding.temperature > 0.0,
            "per_query",
            "greedy decoding writes the same negative each time: set a temperature",
        );
        let has_words = |text: &String| text.contains(char::is_alphanumeric);
        problems.require(
            params.refusals.iter().all(has_words),
            "refusals",
            "each needs a letter or a digit: punctuation alone stands in every text",
        );
    }

    fn check_ports(_: &Params, ports: &Ports<'_>, problems: &mut Problems) {
        require_role(GENERATOR, "model", ports, problems);
    }

    fn expense(params: &Params, preview: &dyn Preview) -> Option<Expense> {
        let pairs = Pair::decode(&preview.sample("pairs")?).ok()?;
        let asking = previewed(preview).or_else(|| Asking::of_strategy(named(NEGATIVE)?).ok())?;
        let cut = Cut::Words(params.max_document_tokens as usize);
        let prompts = asking.prompts(pairs.iter().map(Row::of_pair).collect(), cut);
        let texts = preview.rows("pairs")? * u64::from(params.per_query);
        expense(preview, &prompts.ok()?, texts, &params.decoding.params())
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let pairs: Vec<Pair> = io.rows("pairs")?;
        let decoding = params.decoding.params();
        let asking = asking(io)?;
        let writer = Writer::open(io, decoding.precision)?;
        let cut = writer.cut(params.max_document_tokens);
        let writing = Writing {
            prompts: asking.prompts(pairs.iter().map(Row::of_pair).collect(), cut)?,
            samples: params.per_query,
            format: params.format,
            decoding: &decoding,
            seed: params.seed,
            unit: "negatives",
            share: Share::default(),
        };
        let written = writing.written(&writer, io)?;
        io.put("triples", triples(params, &pairs, &written, io)?)
    }
}

/// The prompt at the port, or the one of our own.
fn asking(io: &Io<'_>) -> Result<Asking, StageError> {
    let asking = match (at_port(io)?, named(NEGATIVE)) {
        (Some(asking), _) => asking,
        (None, Some(strategy)) => Asking::of_strategy(strategy)?,
        (None, None) => return Err(StageError::new("no input at port `prompt`")),
    };
    let (needs, lacks) = ((Slot::Query, "{query}"), (Slot::Title, "{title}"));
    asking.require(WriteNegatives::NAME, &[needs], &[lacks])?;
    Ok(asking)
}

/// The negatives that are left; what is left out is counted and told.
fn triples(
    params: &Params,
    pairs: &[Pair],
    written: &[Written],
    io: &Io<'_>,
) -> Result<Vec<Triple>, StageError> {
    let filter = Filter::new(params)?;
    let (mut triples, mut failures, mut dropped) = (Vec::new(), BTreeMap::new(), 0);
    for (pair, written) in pairs.iter().zip(written.chunks(params.per_query as usize)) {
        let kept = filter.kept(pair, written, &mut failures);
        if kept.len() < written.len() {
            match params.on_shortfall {
                OnShortfall::Keep => {}
                OnShortfall::Error => return Err(shortfall(pair, kept.len(), written.len())),
                OnShortfall::DropQuery => {
                    dropped += 1;
                    continue;
                }
            }
        }
        triples.extend(kept.into_iter().map(|(sample, text)| triple(pair, sample, text)));
    }
    if triples.is_empty() {
        return Err(none_left(written.len(), &failures));
    }
    for (failure, count) in failures {
        let total = written.len();
        io.note(format!("{count} of {total} texts {failure} and are left out"));
    }
    if dropped > 0 {
        let total = pairs.len();
        io.note(format!(
            "{dropped} of {total} queries had too few negatives and were dropped"
        ));
    }
    Ok(triples)
}

fn triple(pair: &Pair, sample: usize, text: String) -> Triple {
    Triple {
        query_id: pair.query_id.clone(),
        query: pair.query.clone(),
        pos_id: pair.doc_id.clone(),
        pos_text: pair.text.clone(),
        neg_id: format!("{}#llm-{sample}", pair.query_id),
        neg_text: text,
        source: "llm".into(),
    }
}

fn shortfall(pair: &Pair, left: usize, asked: usize) -> StageError {
    StageError::with_help(
        format!(
            "the query `{}` has {left} negatives left of {asked}",
            pair.query_id
        ),
        "raise max_likeness or decoding.max_new_tokens, or set on_shortfall to drop_query or keep",
    )
}
