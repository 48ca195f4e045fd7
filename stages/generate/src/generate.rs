//! The `generate` stage: synthetic queries from documents.

use std::sync::atomic::{AtomicUsize, Ordering};

use ablate_core::{
    ArtifactKind, Digest, Input, Io, Output, Problems, Seed, Slot, Stage, StageError,
    rows::{Document, Pair},
};
use ablate_models::{device, gguf::Generator, llama::Model, source::MODEL_SOURCE};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    decode::{Continuation, Decoding, Request, Sampling, decode},
    prompt::{PROMPT_SOURCE, Template, at_port},
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
    per_document: u32,
    /// Longer documents are cut to this many tokens; the rest of the prompt is never cut.
    #[serde(default = "max_document_tokens")]
    max_document_tokens: u32,
    /// Which draw, where decoding samples.
    #[serde(default = "seed")]
    seed: u64,
}

/// How texts are decoded.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DecodingParams {
    /// 0 is greedy.
    temperature: f64,
    /// Keep the k likeliest tokens.
    top_k: Option<u32>,
    /// Keep the likeliest tokens until their mass reaches p.
    top_p: Option<f64>,
    /// Drop tokens below this share of the likeliest's probability.
    min_p: Option<f64>,
    /// Tokens at most.
    max_new_tokens: u32,
    /// Texts that end a query.
    stop: Vec<String>,
    /// Rows decoded together; the result does not depend on it.
    batch: u32,
}

impl Default for DecodingParams {
    fn default() -> Self {
        let stop = vec!["\n".to_owned()];
        Self {
            temperature: 0.0,
            top_k: None,
            top_p: None,
            min_p: None,
            max_new_tokens: 64,
            stop,
            batch: 16,
        }
    }
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
    const VERSION: u32 = 1;
    const ABOUT: &'static str =
        "queries written by a language model, each from one document, with log-probabilities";
    const INPUTS: &'static [Input] = &[
        Input::of("documents", ArtifactKind::Corpus),
        Input::of("model", ArtifactKind::Model).or_source(&MODEL_SOURCE),
        Input::of("prompt", ArtifactKind::Prompt).or_source(&PROMPT_SOURCE),
    ];
    const OUTPUTS: &'static [Output] = &[Output::of("pairs", ArtifactKind::Pairs)];
    const EXECUTION: &'static [&'static str] = &["decoding.batch"];
    const SLOT: Slot = Slot::Device;
    const NUMERIC: &'static str = "f32";
    type Params = Params;

    fn check(params: &Params, problems: &mut Problems) {
        let decoding = &params.decoding;
        let inside = |p: Option<f64>| p.is_none_or(|p| (0.0..=1.0).contains(&p));
        problems.require(
            decoding.temperature >= 0.0,
            "decoding.temperature",
            "must be at least 0",
        );
        problems.require(inside(decoding.top_p), "decoding.top_p", "must lie in 0..=1");
        problems.require(inside(decoding.min_p), "decoding.min_p", "must lie in 0..=1");
        problems.require(decoding.top_k != Some(0), "decoding.top_k", "must be at least 1");
        problems.require(
            decoding.max_new_tokens > 0,
            "decoding.max_new_tokens",
            "must be at least 1",
        );
        problems.require(decoding.batch > 0, "decoding.batch", "must be at least 1");
        problems.require(
            decoding.stop.iter().all(|s| !s.is_empty()),
            "decoding.stop",
            "an empty text ends everything",
        );
        problems.require(params.per_document > 0, "per_document", "must be at least 1");
        problems.require(
            params.max_document_tokens > 0,
            "max_document_tokens",
            "must be at least 1",
        );
        let varied = params.per_document == 1 || decoding.temperature > 0.0;
        problems.require(
            varied,
            "per_document",
            "greedy decoding writes the same query each time: set a temperature",
        );
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let documents: Vec<Document> = io.rows("documents")?;
        let template = at_port(io)?;
        let generator = Generator::load(&io.tree("model")?, &device::open(io.device())?)?;
        if let Model::Device(model) = &generator.model {
            io.note(format!("computed on {}", model.place()));
        }
        let prompts = Prompts::new(&generator, &template, &documents, params)?;
        if prompts.cut > 0 {
            let most = params.max_document_tokens;
            io.note(format!(
                "{} of {} documents were cut to {most} tokens",
                prompts.cut,
                documents.len()
            ));
        }
        let requests = prompts.requests(params);
        let (total, done) = (requests.len(), AtomicUsize::new(0));
        let progress = |rows| io.progress(done.fetch_add(rows, Ordering::Relaxed) + rows, total, "queries");
        let written = decode(&generator, &prompts.head, requests, &params.decoding(), &progress)?;
        let pairs = prompts.pairs(&documents, params, &written);
        if pairs.len() < total {
            io.note(format!(
                "{} of {total} texts were empty and are left out",
                total - pairs.len()
            ));
        }
        io.put("pairs", pairs)
    }
}

impl Params {
    fn decoding(&self) -> Decoding {
        let DecodingParams {
            temperature,
            top_k,
            top_p,
            min_p,
            max_new_tokens,
            stop,
            batch,
        } = &self.decoding;
        Decoding {
            sampling: Sampling {
                temperature: *temperature,
                top_k: top_k.map(|k| k as usize),
                top_p: *top_p,
                min_p: *min_p,
            },
            max_new_tokens: *max_new_tokens as usize,
            stop: stop.clone(),
            batch: *batch as usize,
        }
    }
}

/// The prompts of all documents as tokens.
struct Prompts {
    head: Vec<u32>,
    /// Per document, what follows the head.
    rest: Vec<Vec<u32>>,
    /// How many documents were cut.
    cut: usize,
}

impl Prompts {
    fn new(
        generator: &Generator,
        template: &Template,
        documents: &[Document],
        params: &Params,
    ) -> Result<Self, StageError> {
        let encode = |text: &str| -> Result<Vec<u32>, StageError> {
            let encoded = generator.tokenizer.encode(text, false);
            Ok(encoded
                .map_err(|error| StageError::new(format!("the tokenizer: {error}")))?
                .get_ids()
                .to_vec())
        };
        // The space before the document belongs to its first token, so it moves from the head to the document.
        let spaced = template.head.ends_with(' ');
        let head = encode(if spaced {
            &template.head[..template.head.len() - 1]
        } else {
            &template.head
        })?;
        let tail = encode(&template.tail)?;
        let most = params.max_document_tokens as usize;
        let (mut rest, mut cut) = (Vec::new(), 0);
        for document in documents {
            let text = document.full_text();
            let mut tokens = encode(&if spaced { format!(" {text}") } else { text })?;
            cut += usize::from(tokens.len() > most);
            tokens.truncate(most);
            tokens.extend(&tail);
            rest.push(tokens);
        }
        let longest = head.len()
            + rest.iter().map(Vec::len).max().unwrap_or(0)
            + params.decoding.max_new_tokens as usize;
        let limit = generator.model.config().max_position_embeddings;
        if longest > limit {
            let what = format!("prompt and query need {longest} tokens, the model takes {limit}");
            return Err(StageError::with_help(
                what,
                "lower max_document_tokens or decoding.max_new_tokens",
            ));
        }
        Ok(Self { head, rest, cut })
    }

    /// One request per document and sample, its stream made of what it reads: never of an id or a position.
    fn requests(&self, params: &Params) -> Vec<Request> {
        let seed = Seed::root(params.seed).child("generate");
        let mut requests = Vec::new();
        for tokens in &self.rest {
            let bytes: Vec<u8> = self
                .head
                .iter()
                .chain(tokens)
                .flat_map(|token| token.to_le_bytes())
                .collect();
            let row = seed.child(&Digest::of(&bytes).to_string());
            for sample in 0..params.per_document {
                let stream = row.child(&sample.to_string()).stream();
                requests.push(Request {
                    tokens: tokens.clone(),
                    stream,
                });
            }
        }
        requests
    }

    fn pairs(&self, documents: &[Document], params: &Params, written: &[Continuation]) -> Vec<Pair> {
        let per_document = params.per_document as usize;
        let row = |(at, text): (usize, &Continuation)| {
            let (document, sample) = (&documents[at / per_document], at % per_document);
            Pair {
                query_id: format!("{}#{sample}", document.doc_id),
                query: text.text.trim().to_owned(),
                doc_id: document.doc_id.clone(),
                text: document.full_text(),
                mean_logprob: text.mean_logprob(),
                score: None,
                reasoning: None,
                prompt_tokens: (self.head.len() + self.rest[at / per_document].len()) as u32,
                new_tokens: text.tokens.len() as u32,
                finish: text.finish.word().into(),
            }
        };
        written
            .iter()
            .enumerate()
            .map(row)
            .filter(|pair| !pair.query.is_empty())
            .collect()
    }
}
