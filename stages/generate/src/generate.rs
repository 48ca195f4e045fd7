//! The `generate` stage: synthetic queries from documents.

use std::collections::BTreeMap;

use ablate_core::{
    ArtifactKind, Expense, Input, Io, Memory, Output, Ports, Preview, Problems, Record, Slot as Place, Stage,
    StageError,
    rows::{Document, Pair},
};
use ablate_models::source::{GENERATOR, require_role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    answers::{Rule, none_left},
    copying,
    cutting::Cut,
    filling::Row,
    prompt::{PROMPT_SOURCE, at_port, previewed},
    query_writing::{QueryWriting, pair},
    template::Slot,
    writer::{ADAPTED, WRITER, Writer, expense},
    writing::{WRITING, Written},
};

/// Queries written by a language model, each from one document.
pub struct Generate;

/// Parameters of `generate`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Params {
    /// How queries are written.
    #[serde(flatten)]
    queries: QueryWriting,
    /// Queries per document; more than one needs a temperature above 0.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    per_document: u32,
}

fn one() -> u32 {
    1
}

impl Stage for Generate {
    const NAME: &'static str = "generate";
    const VERSION: u32 = 5;
    const ABOUT: &'static str =
        "queries written by a language model, each from one document, with log-probabilities";
    const EXAMPLE: &'static str = "queries: {use: generate, documents: docs, prompt: ablate/vanilla, model: smollm2-135m-instruct, \
         decoding: {temperature: 0.0, max_new_tokens: 32}}";
    const INPUTS: &'static [Input] = &[
        Input::of("documents", ArtifactKind::Corpus).about("the documents to write queries for"),
        WRITER,
        Input::of("prompt", ArtifactKind::Prompt)
            .or_source(&PROMPT_SOURCE)
            .about("what the model is asked, around each document"),
        ADAPTED,
    ];
    const OUTPUTS: &'static [Output] = &[Output::of("pairs", ArtifactKind::Pairs)
        .about("the queries, each with its document and log-probability")];
    const EXECUTION: &'static [&'static str] = &["decoding.batch"];
    const SLOT: Place = Place::Device;
    const MEMORY: Memory = WRITING;
    const NUMERIC: &'static str = "f32";
    type Params = Params;

    fn check(params: &Params, problems: &mut Problems) {
        let varied = params.per_document == 1 || params.queries.decoding.temperature > 0.0;
        problems.require(
            varied,
            "per_document",
            "greedy decoding writes the same query each time: set a temperature",
        );
        params.queries.check(problems);
    }

    fn check_ports(_: &Params, ports: &Ports<'_>, problems: &mut Problems) {
        require_role(GENERATOR, "model", ports, problems);
    }

    fn expense(params: &Params, preview: &dyn Preview) -> Option<Expense> {
        let documents = Document::decode(&preview.sample("documents")?).ok()?;
        let asking = previewed(preview)?;
        let queries = params.queries.settled(asking.manner());
        let cut = Cut::Words(queries.max_document_tokens as usize);
        let prompts = asking.prompts(documents.iter().map(Row::of_document).collect(), cut);
        let texts = preview.rows("documents")? * u64::from(params.per_document);
        expense(preview, &prompts.ok()?, texts, &queries.decoding)
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let documents = with_text(io.rows("documents")?, io)?;
        let asking = at_port(io)?.ok_or_else(|| StageError::new("no input at port `prompt`"))?;
        let queries = params.queries.settled(asking.manner());
        asking.require(Self::NAME, &[], &[(Slot::Query, "{query}")])?;
        let writer = Writer::open(io, queries.decoding.precision)?;
        let writing = queries.writing(&asking, &writer, &documents, params.per_document)?;
        let written = writing.written(&writer, io)?;
        io.put("pairs", pairs(&queries.rule()?, &documents, written, io)?)
    }
}

/// The documents that have a text: of none, a model would make one up.
///
/// # Errors
/// If none has one.
fn with_text(documents: Vec<Document>, io: &Io<'_>) -> Result<Vec<Document>, StageError> {
    let all = documents.len();
    let has_text = |document: &Document| !document.full_text().trim().is_empty();
    let kept: Vec<Document> = documents.into_iter().filter(has_text).collect();
    if kept.len() < all {
        let empty = all - kept.len();
        if kept.is_empty() {
            return Err(StageError::with_help(
                format!("all {all} documents are empty"),
                "look at the titles and texts of what stands at `documents`",
            ));
        }
        io.note(format!("{empty} of {all} documents are empty and are left out"));
    }
    Ok(kept)
}

/// The queries that were written, as many texts for each document; texts without one are counted and left out.
fn pairs(
    rule: &Rule,
    documents: &[Document],
    written: Vec<Written>,
    io: &Io<'_>,
) -> Result<Vec<Pair>, StageError> {
    let (total, mut pairs, mut failures) = (written.len(), Vec::new(), BTreeMap::new());
    let per_document = (total / documents.len().max(1)).max(1);
    for (at, written) in written.into_iter().enumerate() {
        match pair(&documents[at / per_document], at % per_document, written, rule) {
            Ok(pair) => pairs.push(pair),
            Err(failure) => *failures.entry(failure).or_insert(0) += 1,
        }
    }
    if pairs.is_empty() {
        return Err(none_left(total, &failures));
    }
    for (failure, count) in failures {
        io.note(format!("{count} of {total} texts {failure} and are left out"));
    }
    copying::told(&pairs).into_iter().for_each(|line| io.note(line));
    Ok(pairs)
}
