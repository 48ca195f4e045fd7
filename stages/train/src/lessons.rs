//! The pairs that a generator can learn from.

use std::collections::BTreeMap;

use ablate_core::{Io, StageError, rows::Pair};
use ablate_generate::PairPrompts;

/// A pair, and what is to be answered to the prompt with its document.
pub(crate) struct Lesson {
    pub(crate) pair: Pair,
    pub(crate) answer: String,
}

/// The pairs of a port that are examples of an answer to the prompt; how many others there were, and why, is told.
///
/// # Errors
/// If there were pairs and none is left: what the port is there for would not be done, without a word.
pub(crate) fn lessons(
    port: &str,
    pairs: Vec<Pair>,
    prompts: &PairPrompts,
    io: &Io<'_>,
) -> Result<Vec<Lesson>, StageError> {
    let (all, mut lessons, mut failures) = (pairs.len(), Vec::new(), BTreeMap::new());
    for pair in pairs {
        match prompts.answer(&pair) {
            Ok(answer) => lessons.push(Lesson { pair, answer }),
            Err(failure) => *failures.entry(failure).or_insert(0) += 1,
        }
    }
    let told = failures
        .iter()
        .map(|(failure, count)| format!("{count} {failure}"));
    let told = told.collect::<Vec<_>>().join(", ");
    match (lessons.len(), failures.is_empty()) {
        (_, true) => {}
        (0, false) => {
            return Err(StageError::with_help(
                format!("of {all} queries at `{port}` none can be learnt from: {told}"),
                format!(
                    "connect queries that were written with this prompt to `{port}`, with enough `decoding.max_new_tokens`, or take a \
                     prompt that they are answers to"
                ),
            ));
        }
        _ => io.note(format!("of {all} queries at `{port}` some were left out: {told}")),
    }
    Ok(lessons)
}
