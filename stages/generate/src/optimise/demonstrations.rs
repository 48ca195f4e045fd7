//! What may be a demonstration: the examples of the given prompt, the model's own queries that are worth enough, and people's.

use std::collections::BTreeSet;

use ablate_core::{
    Seed, StageError,
    rows::{Document, Pair},
};

use super::{
    Params,
    trying::{Tried, Trying},
};
use crate::{asking::Asking, shots::Shot};

/// A document with its query.
#[derive(Clone, Debug)]
pub(super) struct Demonstration {
    /// `prompt/NUMBER`, or what the query is called.
    pub(super) name: String,
    pub(super) shot: Shot,
}

/// All demonstrations there are, those of the given prompt first. None is about a document that prompts are compared on.
///
/// # Errors
/// If the examples cannot be read.
pub(super) fn pool(
    params: &Params,
    base: &Asking,
    bootstrapped: &[Tried],
    dev: &[Document],
    trying: &Trying<'_>,
) -> Result<Vec<Demonstration>, StageError> {
    let own = base.shots().iter().zip(1..).map(|(shot, number)| Demonstration {
        name: format!("prompt/{number}"),
        shot: shot.clone(),
    });
    let mut pool: Vec<Demonstration> = own.collect();
    if params.max_demonstrations == 0 {
        return Ok(pool);
    }
    let good = bootstrapped
        .iter()
        .filter(|tried| tried.worth >= params.threshold);
    let mut pairs: Vec<Pair> = good.filter_map(|tried| tried.pair.clone()).collect();
    let (io, seen) = (trying.io(), bootstrapped.len());
    io.note(format!(
        "{} of {seen} queries of the prompt given are worth {} or more and may be demonstrations",
        pairs.len(),
        params.threshold
    ));
    let examples: Option<Vec<Pair>> = io.optional_rows("examples")?;
    pairs.extend(drawn(params, examples.unwrap_or_default()));
    let held_out: BTreeSet<String> = dev.iter().map(Document::full_text).collect();
    pairs.retain(|pair| !held_out.contains(&pair.text));
    for pair in pairs {
        let shot = Shot::new(trying.beginning(&pair.text)?, &pair.query, None);
        pool.push(Demonstration {
            name: pair.query_id,
            shot,
        });
    }
    Ok(pool)
}

/// As many of people's examples as there are documents to learn from, by chance; more contain the fewer.
fn drawn(params: &Params, mut examples: Vec<Pair>) -> Vec<Pair> {
    let seed = Seed::root(params.queries.seed).child("examples");
    examples.sort_by_cached_key(|pair| (seed.child(&pair.query_id).number(), pair.query_id.clone()));
    examples.truncate(params.train as usize);
    examples
}
