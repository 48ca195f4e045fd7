//! The `sample` stage.

use ablate_core::{ArtifactKind, Input, Io, Output, Problems, Seed, Stage, StageError, rows::Document};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Documents drawn by chance. Stable: a larger count contains the smaller one.
pub struct Sample;

/// Parameters of `sample`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How many documents; all that fit, if there are fewer.
    #[schemars(range(min = 1), example = 1000)]
    count: u32,
    /// Documents with fewer characters (title and text) are passed over.
    #[serde(default)]
    min_chars: Option<u32>,
    /// Documents with more characters are passed over.
    #[serde(default)]
    max_chars: Option<u32>,
    /// Seed of the draw.
    #[serde(default = "seed")]
    seed: u64,
}

fn seed() -> u64 {
    1
}

impl Stage for Sample {
    const NAME: &'static str = "sample";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "documents drawn by chance; a larger count contains the smaller one";
    const EXAMPLE: &'static str =
        "docs: {use: sample, documents: data.corpus, count: 1000, min_chars: 300, seed: 1}";
    const INPUTS: &'static [Input] =
        &[Input::of("documents", ArtifactKind::Corpus).about("the documents drawn from")];
    const OUTPUTS: &'static [Output] =
        &[Output::of("documents", ArtifactKind::Corpus).about("the documents drawn")];
    type Params = Params;

    fn check(params: &Params, problems: &mut Problems) {
        let ordered = params.min_chars.unwrap_or(0) <= params.max_chars.unwrap_or(u32::MAX);
        problems.require(ordered, "min_chars", "is larger than max_chars");
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let documents: Vec<Document> = io.rows("documents")?;
        let (found, count) = (documents.len(), params.count as usize);
        let seed = Seed::root(params.seed).child("sample");
        let fits = |document: &Document| {
            let bounds = (
                params.min_chars.unwrap_or(0) as usize,
                params.max_chars.unwrap_or(u32::MAX) as usize,
            );
            let unbounded = params.min_chars.is_none() && params.max_chars.is_none();
            unbounded || (bounds.0..=bounds.1).contains(&document.full_text().chars().count())
        };
        let mut drawn: Vec<(u64, Document)> = documents
            .into_iter()
            .filter(fits)
            .map(|d| (seed.child(&d.doc_id).number(), d))
            .collect();
        drawn.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.doc_id.cmp(&b.1.doc_id)));
        if drawn.len() < count {
            io.note(format!(
                "{count} documents were asked for; {} of {found} fit and all are taken",
                drawn.len()
            ));
        }
        drawn.truncate(count);
        if drawn.is_empty() {
            return Err(StageError::with_help(
                "no document fits",
                "loosen min_chars or max_chars",
            ));
        }
        io.put(
            "documents",
            drawn.into_iter().map(|(_, document)| document).collect(),
        )
    }
}
