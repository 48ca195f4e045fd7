//! How queries are written from documents: what `generate` and the search for a prompt have in common.

use ablate_core::{
    Problems, StageError,
    rows::{Document, Pair},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    answers::{Failure, Rule},
    asking::Asking,
    filling::Row,
    template::Slot,
    writing::{DecodingParams, Format, Share, Writing, Written},
};

/// How a prompt is put to a model, and a query taken from its answer.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct QueryWriting {
    /// How texts are decoded.
    #[serde(default)]
    pub(crate) decoding: DecodingParams,
    /// Longer documents are cut to this many tokens (words, for a model behind a server); the rest of the prompt is never
    /// cut.
    #[serde(default = "max_document_tokens")]
    #[schemars(range(min = 1))]
    pub(crate) max_document_tokens: u32,
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
    /// Seed of whatever is left to chance.
    #[serde(default = "seed")]
    pub(crate) seed: u64,
}

fn max_document_tokens() -> u32 {
    256
}
fn seed() -> u64 {
    1
}

impl QueryWriting {
    /// Finds what is wrong beyond the ranges of single values.
    pub(crate) fn check(&self, problems: &mut Problems) {
        if let Err(why) = self.rule() {
            problems.require(false, "until", why.to_string());
        }
    }

    /// What takes a query out of an answer.
    ///
    /// # Errors
    /// If `until` is no regular expression.
    pub(crate) fn rule(&self) -> Result<Rule, StageError> {
        Rule::new(self.answer_after.as_deref(), self.until.as_deref()).map_err(StageError::new)
    }

    /// How a prompt reaches the model.
    pub(crate) fn format(&self) -> Format {
        self.format.unwrap_or_default()
    }

    /// The queries that a prompt asks for, `samples` for each document.
    ///
    /// # Errors
    /// If the prompt has a place for a query, for which `stage` has none.
    pub(crate) fn writing<'a>(
        &'a self,
        stage: &str,
        asking: &Asking,
        documents: &'a [Document],
        samples: u32,
    ) -> Result<Writing<'a>, StageError> {
        asking.require(stage, &[], &[(Slot::Query, "{query}")])?;
        Ok(Writing {
            prompts: asking.prompts(documents.iter().map(Row::of_document).collect()),
            samples,
            max_document_tokens: self.max_document_tokens,
            format: self.format(),
            decoding: &self.decoding,
            seed: self.seed,
            unit: "queries",
            share: Share::default(),
        })
    }
}

/// The query in what was written for a document, called `DOCUMENT#SAMPLE`.
///
/// # Errors
/// Why there is none.
pub(crate) fn pair(
    document: &Document,
    sample: usize,
    written: Written,
    rule: &Rule,
) -> Result<Pair, Failure> {
    let (query, reasoning) = rule.apply(&written.text)?;
    Ok(Pair {
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
    })
}
