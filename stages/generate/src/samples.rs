//! Rows that tests are made of.

use ablate_core::rows::Pair;

/// What a generator wrote for a document.
pub(crate) fn pair(query: &str, text: &str) -> Pair {
    Pair {
        query_id: query.into(),
        query: query.into(),
        doc_id: "d".into(),
        text: text.into(),
        mean_logprob: None,
        score: None,
        reasoning: None,
        prompt_tokens: 0,
        new_tokens: 0,
        finish: "stop".into(),
    }
}
