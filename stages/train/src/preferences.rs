//! The `preferences` stage: of the queries that several generators wrote for a document, the best and the worst.

use std::collections::BTreeMap;

use ablate_core::{
    ArtifactKind, Input, Io, Output, Stage, StageError,
    rows::{Pair, Preferred},
};
use ablate_generate::{PROMPT_SOURCE, PairPrompts, Prompting, copied_share};
use ablate_models::{generator::Reader, source::MODEL_SOURCE};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tuning::finished;

/// The ports of the queries, and what rows call them.
const PORTS: [&str; 3] = ["teacher", "student", "reference"];

/// Preferences between the queries of a document (InPars+, Krastev et al., 2025): the best against the worst.
pub struct Preferences;

/// Parameters of `preferences`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Params {
    /// Documents are left out where the best score is above the worst by less than this; equal scores always are.
    #[serde(default)]
    #[schemars(range(min = 0))]
    margin: f32,
    /// What copying takes off a score before scores are compared and written out: this times the share of a query's runs of three words that stand in its document. A
    /// scorer that counts shared words likes copies, and a generator that is tuned to please it learns to copy.
    #[serde(default)]
    #[schemars(range(min = 0))]
    copying: f32,
    /// How prompts are written.
    #[serde(flatten)]
    prompting: Prompting,
}

impl Stage for Preferences {
    const NAME: &'static str = "preferences";
    const VERSION: u32 = 2;
    const ABOUT: &'static str =
        "of the queries that several generators wrote for a document, the best and the worst by score";
    const EXAMPLE: &'static str = "preferred: {use: preferences, teacher: scored, student: scored, prompt: ablate/vanilla, margin: 0.1}";
    const INPUTS: &'static [Input] = &[
        Input::of("teacher", ArtifactKind::Pairs).about("scored queries of a better generator"),
        Input::of("student", ArtifactKind::Pairs).about("scored queries of the one to be trained"),
        Input::of("reference", ArtifactKind::Pairs)
            .optional()
            .about("scored queries that people wrote"),
        Input::of("prompt", ArtifactKind::Prompt)
            .or_source(&PROMPT_SOURCE)
            .about("what the generator is asked, around each document"),
        Input::of("model", ArtifactKind::Model)
            .or_source(&MODEL_SOURCE)
            .optional()
            .about("the generator to be trained: documents are cut by its tokens"),
    ];
    const OUTPUTS: &'static [Output] = &[Output::of("preferences", ArtifactKind::Preferences).about(
        "a prompt, the query to prefer and the one to avoid, for each document that all have written for",
    )];
    type Params = Params;

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let reader = io.optional_tree("model")?.map(|folder| Reader::load(&folder));
        let reader = reader.transpose()?;
        let prompts = PairPrompts::at_port(io, &params.prompting, reader.as_ref())?;
        let mut sources: Vec<(&str, Vec<Pair>)> = Vec::new();
        for port in PORTS {
            sources.extend(io.optional_rows(port)?.map(|rows| (port, finished(rows, io))));
        }
        let documents = by_document(&sources, params.copying)?;
        let (all, shared) = (documents.len(), shared(documents, sources.len()));
        let preferred = shared
            .iter()
            .filter_map(|queries| prefer(&prompts, queries, params.margin));
        let rows: Vec<Preferred> = preferred.collect::<Result<_, _>>()?;
        prompts.tell(io);
        if shared.len() < all {
            let missing = all - shared.len();
            io.note(format!(
                "{missing} of {all} documents have no query of some source and were dropped"
            ));
        }
        if rows.len() < shared.len() {
            let (close, all) = (shared.len() - rows.len(), shared.len());
            io.note(format!(
                "{close} of {all} documents had queries that score alike and were dropped"
            ));
        }
        io.put("preferences", rows)
    }
}

/// A query of a source, with its score.
struct Scored<'a> {
    from: &'a str,
    pair: &'a Pair,
    score: f32,
}

/// The queries of each document, in the order of the ports, their scores less what copying takes off.
fn by_document<'a>(
    sources: &'a [(&str, Vec<Pair>)],
    copying: f32,
) -> Result<BTreeMap<&'a str, Vec<Scored<'a>>>, StageError> {
    let mut documents: BTreeMap<&str, Vec<Scored<'_>>> = BTreeMap::new();
    for (from, pairs) in sources {
        for pair in pairs {
            let score = pair.score.ok_or_else(|| unscored(from, pair))?;
            let score = score - copying * copied_share(pair) as f32;
            let scored = Scored { from, pair, score };
            documents.entry(&pair.doc_id).or_default().push(scored);
        }
    }
    Ok(documents)
}

fn unscored(port: &str, pair: &Pair) -> StageError {
    StageError::with_help(
        format!("the query `{}` at `{port}` has no score", pair.query_id),
        "put a `score` stage before this port",
    )
}

/// The documents for which every one of so many sources has a query.
fn shared<'a>(documents: BTreeMap<&'a str, Vec<Scored<'a>>>, sources: usize) -> Vec<Vec<Scored<'a>>> {
    let complete = |queries: &Vec<Scored<'_>>| {
        let mut from: Vec<&str> = queries.iter().map(|query| query.from).collect();
        from.dedup();
        from.len() == sources
    };
    documents.into_values().filter(complete).collect()
}

/// The best query against the worst, of equal ones the first; nothing where they are the same text or too close.
fn prefer(
    prompts: &PairPrompts<'_>,
    queries: &[Scored<'_>],
    margin: f32,
) -> Option<Result<Preferred, StageError>> {
    let first = queries.first()?;
    let better = |best, query| if ahead(query, best) { query } else { best };
    let worse = |worst, query| if ahead(worst, query) { query } else { worst };
    let (best, worst) = (
        queries.iter().fold(first, better),
        queries.iter().fold(first, worse),
    );
    let apart = best.score - worst.score;
    if apart <= 0.0 || apart < margin || best.pair.query == worst.pair.query {
        return None;
    }
    Some(prompts.text(best.pair).map(|prompt| Preferred {
        doc_id: best.pair.doc_id.clone(),
        prompt,
        chosen: best.pair.query.clone(),
        chosen_from: best.from.into(),
        chosen_score: best.score,
        rejected: worst.pair.query.clone(),
        rejected_from: worst.from.into(),
        rejected_score: worst.score,
    }))
}

fn ahead(one: &Scored<'_>, other: &Scored<'_>) -> bool {
    one.score > other.score
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn pairs(scores: &[(&str, Option<f32>)]) -> Vec<Pair> {
        let pair = |(at, (document, score)): (usize, &(&str, Option<f32>))| Pair {
            query_id: format!("{document}#{at}"),
            query: format!("query {score:?}"),
            doc_id: (*document).to_owned(),
            text: format!("text of {document}"),
            mean_logprob: None,
            score: *score,
            reasoning: None,
            prompt_tokens: 0,
            new_tokens: 0,
            finish: "end".into(),
        };
        scores.iter().enumerate().map(pair).collect()
    }

    fn preferred(margin: f32) -> Vec<Preferred> {
        let teacher = pairs(&[
            ("a", Some(0.5)),
            ("a", Some(0.75)),
            ("b", Some(0.5)),
            ("c", Some(0.5)),
            ("d", Some(0.5)),
        ]);
        let student = pairs(&[("a", Some(0.25)), ("b", Some(0.5)), ("c", Some(0.625))]);
        let sources = [("teacher", teacher), ("student", student)];
        let shared = shared(
            by_document(&sources, 0.0)
                .map_err(|error| error.to_string())
                .unwrap(),
            2,
        );
        let prompts = PairPrompts::parse("Of {document}:")
            .map_err(|error| error.to_string())
            .unwrap();
        shared
            .iter()
            .filter_map(|queries| prefer(&prompts, queries, margin))
            .map(|row| row.map_err(|error| error.to_string()).unwrap())
            .collect()
    }

    #[test]
    fn the_best_is_chosen_and_the_worst_rejected() {
        let rows = preferred(0.0);
        // `b` is a tie, and the student wrote nothing for `d`.
        let documents: Vec<&str> = rows.iter().map(|row| row.doc_id.as_str()).collect();
        assert_eq!(documents, ["a", "c"]);
        let [first, second] = rows.as_slice() else {
            panic!()
        };
        assert_eq!((first.chosen_score, first.rejected_score), (0.75, 0.25));
        assert_eq!(
            (first.chosen_from.as_str(), second.chosen_from.as_str()),
            ("teacher", "student")
        );
        assert_eq!(first.prompt, "Of text of a:");
    }

    /// By hand: of the one query, .75, a run of two stands in the document; of the other, .6, none does.
    #[test]
    fn copies_lose_what_they_share() {
        let written = |query: &str, score| Pair {
            query: query.into(),
            text: "honey keeps for years".into(),
            ..pairs(&[("a", Some(score))]).remove(0)
        };
        let sources = [
            ("teacher", vec![written("honey keeps for decades", 0.75)]),
            ("student", vec![written("why does it not spoil", 0.6)]),
        ];
        let prompts = PairPrompts::parse("Of {document}:").map_err(|error| error.to_string());
        let prompts = prompts.unwrap();
        let chosen = |copying| {
            let documents = by_document(&sources, copying).map_err(|error| error.to_string());
            let row = prefer(&prompts, &documents.unwrap()["a"], 0.0).unwrap();
            let row = row.map_err(|error| error.to_string()).unwrap();
            (row.chosen_from, row.chosen_score, row.rejected_score)
        };
        assert_eq!(chosen(0.0), ("teacher".to_owned(), 0.75, 0.6));
        assert_eq!(chosen(0.5), ("student".to_owned(), 0.6, 0.5));
    }

    #[test]
    fn scores_that_are_close_are_no_preference() {
        assert_eq!(preferred(0.25).len(), 1);
        let sources = [("student", pairs(&[("a", None)]))];
        let message = by_document(&sources, 0.0).err().unwrap().to_string();
        assert_eq!(message, "the query `a#0` at `student` has no score");
    }
}
