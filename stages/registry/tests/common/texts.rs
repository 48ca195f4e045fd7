//! Rows that tests give to stages.

use ablate_core::rows::{Document, Pair, Triple};

/// A query of a document's own words.
pub(crate) fn pair(number: usize, document: &Document) -> Pair {
    Pair {
        query_id: format!("{}#0", document.doc_id),
        query: document
            .text
            .split_whitespace()
            .skip(number % 5)
            .take(6)
            .collect::<Vec<_>>()
            .join(" "),
        doc_id: document.doc_id.clone(),
        text: document.full_text(),
        mean_logprob: Some(-(number as f32) / 7.0),
        score: None,
        reasoning: None,
        prompt_tokens: 10,
        new_tokens: 6,
        finish: "stop".into(),
    }
}

/// A text over the words of the tiny encoder.
pub(crate) fn words(number: usize) -> String {
    let word = |i: usize| format!("w{}", (number * 31 + i * 17) % 90);
    (0..3 + number % 5).map(word).collect::<Vec<_>>().join(" ")
}

/// Triples of such texts.
pub(crate) fn triples() -> Vec<Triple> {
    let row = |row: usize| Triple {
        query_id: format!("q{row}"),
        query: words(row),
        pos_id: format!("p{row}"),
        pos_text: words(row + 40),
        neg_id: format!("n{row}"),
        neg_text: words(row + 80),
        source: "test".into(),
    };
    (0..20).map(row).collect()
}
