//! Scores of pairs of a query and a document by a reranker: known ones from the memo, the others computed.

use ablate_core::{Digest, Io, RowFunction, StageError, canon};
use ablate_models::{
    device,
    reranker::{Reranker, Truncation},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A query and a document to a logit; version 2.
const SCORE: RowFunction = RowFunction {
    name: "score-pair",
    version: 2,
};

/// How pairs are put to a reranker, or texts to an encoder: parameters that several stages share.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Scoring {
    /// Tokens a pair is cut at, or a text alone; the model's own limit if not given.
    #[serde(default)]
    #[schemars(range(min = 5))]
    pub(crate) max_length: Option<usize>,
    /// How a pair that is too long is cut; a monoT5 always cuts the document.
    #[serde(default)]
    pub(crate) truncation: Truncation,
    /// Pairs or texts a model takes at once. Cannot change a result.
    #[serde(default = "default_batch")]
    #[schemars(range(min = 1))]
    pub(crate) batch: usize,
}

pub(crate) fn default_batch() -> usize {
    32
}

/// The logit of every pair (query, document) by the reranker at `port`, in the order given.
///
/// # Errors
/// If the model cannot be loaded or a pair not be scored; the message names it.
pub(crate) fn logits(
    io: &Io<'_>,
    port: &str,
    pairs: &[(&str, &str)],
    scoring: &Scoring,
) -> Result<Vec<f32>, StageError> {
    let device = device::open(io.device())?;
    let mut model = Reranker::clone(&*io.model(port, "f32", |folder| Reranker::load(folder, &device))?);
    model.set_truncation(scoring.max_length, scoring.truncation)?;
    let meaning = canon::Value::map([
        ("model", io.digest(port)?),
        ("max_length", canon::Value::Int(model.max_length() as i128)),
        ("truncation", canon::Value::of(&scoring.truncation)?),
        ("numeric", canon::Value::text("f32")),
    ]);
    let keys: Vec<Digest> = pairs.iter().map(key).collect();
    let sound = |logit: &Vec<f32>| logit.len() == 1;
    let logits = io.memo(SCORE, meaning)?.map(&keys, sound, |missing, sink| {
        let new: Vec<(&str, &str)> = missing.iter().map(|at| pairs[*at]).collect();
        let mut done = 0;
        io.progress(0, new.len(), "pairs")?;
        model.score_each(&new, scoring.batch, &mut |at, logit| {
            if !logit.is_finite() {
                return Err(unsound(new[at].0));
            }
            sink(at, vec![logit])?;
            done += 1;
            io.progress(done, new.len(), "pairs")
        })
    })?;
    Ok(logits.concat())
}

fn key((query, document): &(&str, &str)) -> Digest {
    canon::Value::map([
        ("query", canon::Value::text(query)),
        ("document", canon::Value::text(document)),
    ])
    .digest("ablate pair v1")
}

fn unsound(query: &str) -> StageError {
    StageError::with_help(
        format!("the score of a document for the query `{query}` is NaN or infinite"),
        "check the model: its training may have diverged",
    )
}
