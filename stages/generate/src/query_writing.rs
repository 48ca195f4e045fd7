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
    decode::Finish,
    filling::Row,
    reading::Format,
    spelling::{mean_logprob, within},
    strategies::Manner,
    writer::Writer,
    writing::{DecodingParams, Share, Writing, Written},
};

/// How a prompt is put to a model, and a query taken from its answer.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct QueryWriting {
    /// How texts are decoded.
    #[serde(default)]
    pub(crate) decoding: DecodingParams,
    /// Longer documents are cut to this many tokens (words, for a model behind a server); the rest of the prompt is never
    /// cut.
    #[serde(default = "max_document_tokens")]
    #[schemars(range(min = 1))]
    pub(crate) max_document_tokens: u32,
    /// How the prompt reaches the model; if not given, as the prompt asks for it (`ablate/chat`: `chat`), else `raw`.
    #[serde(default)]
    format: Option<Format>,
    /// The query is what follows the last of these, and what stands before it is kept as reasoning; a text without it is left
    /// out. If not given, what the prompt asks for (`ablate/cot`: `Query:`).
    #[serde(default)]
    #[schemars(length(min = 1), example = "Query:")]
    answer_after: Option<String>,
    /// A regular expression: the query ends with the first place it matches, as `[?]` ends it with the first question mark. If not
    /// given, what the prompt asks for (`ablate/cot`: the end of a line).
    #[serde(default)]
    #[schemars(length(min = 1), example = "[?]")]
    until: Option<String>,
    /// Seed of whatever is left to chance.
    #[serde(default = "seed")]
    pub(crate) seed: u64,
}

pub(crate) fn max_document_tokens() -> u32 {
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

    /// The same with what a prompt asks for where nothing is said.
    pub(crate) fn settled(&self, manner: &Manner) -> Self {
        let mut settled = self.clone();
        settled.format = settled.format.or(manner.format);
        settled.answer_after = settled.answer_after.or_else(|| manner.answer_after.clone());
        settled.until = settled.until.or_else(|| manner.until.clone());
        let decoding = &mut settled.decoding;
        decoding.stop = decoding.stop.take().or_else(|| manner.stop.clone());
        decoding.max_new_tokens = decoding.max_new_tokens.or(manner.max_new_tokens);
        settled
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

    /// The queries that a prompt asks `writer` for, `samples` for each document.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub(crate) fn writing<'a>(
        &'a self,
        asking: &Asking,
        writer: &'a Writer,
        documents: &'a [Document],
        samples: u32,
    ) -> Result<Writing<'a>, StageError> {
        let cut = writer.cut(self.max_document_tokens);
        Ok(Writing {
            prompts: asking.prompts(documents.iter().map(Row::of_document).collect(), cut)?,
            samples,
            format: self.format(),
            decoding: &self.decoding,
            seed: self.seed,
            unit: "queries",
            share: Share::default(),
        })
    }
}

/// The query in what was written for a document, called `DOCUMENT#SAMPLE`; log-probability and number of tokens are those of the query
/// alone.
///
/// # Errors
/// Why there is none.
pub(crate) fn pair(
    document: &Document,
    sample: usize,
    written: Written,
    rule: &Rule,
) -> Result<Pair, Failure> {
    let taken = rule.apply(&written.text)?;
    let kept = within(written.text.as_bytes(), &written.tokens, &taken.place);
    let new_tokens = match written.tokens.is_empty() {
        true => written.new_tokens,
        false => kept.len() as u32,
    };
    Ok(Pair {
        query_id: format!("{}#{sample}", document.doc_id),
        query: taken.query,
        doc_id: document.doc_id.clone(),
        text: document.full_text(),
        mean_logprob: mean_logprob(&kept),
        score: None,
        reasoning: written.reasoning.or(taken.reasoning),
        prompt_tokens: written.prompt_tokens,
        new_tokens,
        finish: match taken.is_cut {
            true => Finish::Stop.word().into(),
            false => written.finish,
        },
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::spelling::Token;

    /// A text of these tokens, the first of log-probability -1, the next of -2 and so on.
    fn written(tokens: &[&str]) -> Written {
        let ends = (1..=tokens.len()).map(|count| tokens[..count].concat().len());
        let token = |(end, number): (usize, u8)| Token {
            end,
            logprob: -f32::from(number),
        };
        Written {
            text: tokens.concat(),
            reasoning: None,
            tokens: ends.zip(1..).map(token).collect(),
            prompt_tokens: 9,
            new_tokens: tokens.len() as u32,
            finish: "length".into(),
        }
    }

    fn query(tokens: &[&str], after: Option<&str>, until: Option<&str>) -> Pair {
        let document = Document {
            doc_id: "d".into(),
            title: None,
            text: "A lake.".into(),
        };
        pair(&document, 0, written(tokens), &Rule::new(after, until).unwrap()).unwrap()
    }

    /// What is not in the query has no say in its log-probability: a cut by `until` is one by a stop text.
    #[test]
    fn figures_are_those_of_the_query() {
        let tokens = [" how", " deep", "\n", "Query", ":"];
        let (stopped, cut) = (query(&tokens[..2], None, None), query(&tokens, None, Some("\\n")));
        assert_eq!(cut.query, stopped.query);
        assert_eq!((cut.mean_logprob, cut.new_tokens), (Some(-1.5), 2));
        assert_eq!((stopped.mean_logprob, stopped.new_tokens), (Some(-1.5), 2));
        assert_eq!((cut.finish.as_str(), stopped.finish.as_str()), ("stop", "length"));
        let whole = query(&tokens, None, None);
        assert_eq!((whole.mean_logprob, whole.new_tokens), (Some(-3.0), 5));
        let reasoned = query(&["A", " lake", ". Query:", " how", " deep"], Some("Query:"), None);
        assert_eq!((reasoned.mean_logprob, reasoned.new_tokens), (Some(-4.5), 2));
    }
}
