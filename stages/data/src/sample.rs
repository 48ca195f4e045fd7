//! The `sample` stage.

use std::collections::BTreeSet;

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
    const INPUTS: &'static [Input] = &[
        Input::of("documents", ArtifactKind::Corpus).about("the documents drawn from"),
        Input::of("without", ArtifactKind::Corpus)
            .optional()
            .about("documents that are not drawn: those a model was tuned on, say"),
    ];
    const OUTPUTS: &'static [Output] =
        &[Output::of("documents", ArtifactKind::Corpus).about("the documents drawn")];
    type Params = Params;

    fn check(params: &Params, problems: &mut Problems) {
        let ordered = params.min_chars.unwrap_or(0) <= params.max_chars.unwrap_or(u32::MAX);
        problems.require(ordered, "min_chars", "is larger than max_chars");
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let documents: Vec<Document> = io.rows("documents")?;
        let without: Vec<Document> = io.optional_rows("without")?.unwrap_or_default();
        let (found, count) = (documents.len(), params.count as usize);
        let mut drawn = in_order(params, documents, &without);
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
                "loosen min_chars or max_chars, or leave fewer out",
            ));
        }
        io.put("documents", drawn)
    }
}

impl Params {
    fn fits(&self, document: &Document) -> bool {
        let bounds = self.min_chars.unwrap_or(0) as usize..=self.max_chars.unwrap_or(u32::MAX) as usize;
        let unbounded = self.min_chars.is_none() && self.max_chars.is_none();
        unbounded || bounds.contains(&document.full_text().chars().count())
    }
}

/// The documents that fit, in the order in which the seed draws them, whichever others there are.
fn in_order(params: &Params, documents: Vec<Document>, without: &[Document]) -> Vec<Document> {
    let without: BTreeSet<&str> = without.iter().map(|document| document.doc_id.as_str()).collect();
    let seed = Seed::root(params.seed).child("sample");
    let mut drawn: Vec<_> = documents
        .into_iter()
        .filter(|document| !without.contains(document.doc_id.as_str()) && params.fits(document))
        .map(|document| (seed.child(&document.doc_id).number(), document))
        .collect();
    drawn.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.doc_id.cmp(&b.1.doc_id)));
    drawn.into_iter().map(|(_, document)| document).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn documents(numbers: impl Iterator<Item = usize>) -> Vec<Document> {
        let document = |at: usize| Document {
            doc_id: format!("d{at}"),
            title: None,
            text: "word ".repeat(at),
        };
        numbers.map(document).collect()
    }

    fn drawn(without: &[Document], fields: &str) -> Vec<String> {
        let params: Params = serde_json::from_str(fields).unwrap();
        let drawn = in_order(&params, documents(0..40), without);
        drawn.into_iter().map(|document| document.doc_id).collect()
    }

    #[test]
    fn documents_left_out_do_not_move_the_others() {
        let all = drawn(&[], r#"{"count": 9}"#);
        let rest = drawn(&documents((0..60).step_by(3)), r#"{"count": 9}"#);
        let kept = |id: &&String| id[1..].parse::<usize>().unwrap() % 3 != 0;
        assert_eq!(rest, all.iter().filter(kept).cloned().collect::<Vec<_>>());
        assert_ne!(drawn(&[], r#"{"count": 9, "seed": 2}"#), all);
    }

    /// `word ` has five characters.
    #[test]
    fn bounds_are_counted_in_characters() {
        let mut fitting = drawn(&[], r#"{"count": 9, "min_chars": 15, "max_chars": 24}"#);
        fitting.sort();
        assert_eq!(fitting, ["d3", "d4"]);
    }
}
