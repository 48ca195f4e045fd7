//! The `preferences` stage: of the queries that several generators wrote for a document, the best and the worst.

use std::collections::BTreeMap;

use ablate_core::{
    ArtifactKind, Input, Io, Output, Ports, Problems, Stage, StageError,
    rows::{Pair, Preferred},
};
use ablate_generate::{PROMPT_SOURCE, PairPrompts, Prompting, copied_share};
use ablate_models::{
    generator::Reader,
    source::{GENERATOR, MODEL_SOURCE, require_role},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lessons::{Lesson, lessons};

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
    const VERSION: u32 = 3;
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

    fn check_ports(_: &Params, ports: &Ports<'_>, problems: &mut Problems) {
        require_role(GENERATOR, "model", ports, problems);
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let prompts = PairPrompts::at_port(io, Self::NAME, &params.prompting)?;
        let mut sources: Vec<(&str, Vec<Lesson>)> = Vec::new();
        for port in PORTS {
            if let Some(rows) = io.optional_rows(port)? {
                sources.push((port, lessons(port, rows, &prompts, io)?));
            }
        }
        let documents = by_document(&sources, params.copying)?;
        let (all, shared) = (documents.len(), shared(documents, sources.len()));
        let choices = shared.iter().filter_map(|queries| prefer(queries, params.margin));
        let rows = rows(choices.collect(), &prompts, io)?;
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

/// The rows of choices, with their prompts.
fn rows(choices: Vec<Choice<'_>>, prompts: &PairPrompts, io: &Io<'_>) -> Result<Vec<Preferred>, StageError> {
    let reader = io.optional_tree("model")?.map(|folder| Reader::load(&folder));
    let reader = reader.transpose()?;
    let pairs = choices.iter().map(|choice| &choice.best.lesson.pair);
    let texts = prompts.texts(pairs, reader.as_ref(), io)?;
    let row = |(choice, prompt): (&Choice<'_>, String)| Preferred {
        doc_id: choice.best.lesson.pair.doc_id.clone(),
        prompt,
        format: prompts.format().map(|format| format.word().to_owned()),
        chosen: choice.best.lesson.answer.clone(),
        chosen_from: choice.best.from.into(),
        chosen_score: choice.best.score,
        rejected: choice.worst.lesson.answer.clone(),
        rejected_from: choice.worst.from.into(),
        rejected_score: choice.worst.score,
    };
    Ok(choices.iter().zip(texts).map(row).collect())
}

/// A query of a source, with its score.
struct Scored<'a> {
    from: &'a str,
    lesson: &'a Lesson,
    score: f32,
}

/// The best query of a document, and the worst.
struct Choice<'a> {
    best: &'a Scored<'a>,
    worst: &'a Scored<'a>,
}

/// The queries of each document, in the order of the ports, their scores less what copying takes off.
fn by_document<'a>(
    sources: &'a [(&str, Vec<Lesson>)],
    copying: f32,
) -> Result<BTreeMap<&'a str, Vec<Scored<'a>>>, StageError> {
    let mut documents: BTreeMap<&str, Vec<Scored<'_>>> = BTreeMap::new();
    for (from, lessons) in sources {
        for lesson in lessons {
            let pair = &lesson.pair;
            let score = pair.score.ok_or_else(|| unscored(from, pair))?;
            let score = score - copying * copied_share(pair) as f32;
            let scored = Scored { from, lesson, score };
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
fn prefer<'a>(queries: &'a [Scored<'a>], margin: f32) -> Option<Choice<'a>> {
    let first = queries.first()?;
    let better = |best, query| if ahead(query, best) { query } else { best };
    let worse = |worst, query| if ahead(worst, query) { query } else { worst };
    let (best, worst) = (
        queries.iter().fold(first, better),
        queries.iter().fold(first, worse),
    );
    let apart = best.score - worst.score;
    let same = best.lesson.pair.query == worst.lesson.pair.query;
    (apart > 0.0 && apart >= margin && !same).then_some(Choice { best, worst })
}

fn ahead(one: &Scored<'_>, other: &Scored<'_>) -> bool {
    one.score > other.score
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn lessons(scores: &[(&str, Option<f32>)]) -> Vec<Lesson> {
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
        scores.iter().enumerate().map(|row| lesson(pair(row))).collect()
    }

    fn lesson(pair: Pair) -> Lesson {
        let answer = pair.query.clone();
        Lesson { pair, answer }
    }

    /// Of each document that has them, where the best and the worst query come from, with their scores.
    fn preferred(margin: f32) -> Vec<(String, [(String, f32); 2])> {
        let teacher = lessons(&[
            ("a", Some(0.5)),
            ("a", Some(0.75)),
            ("b", Some(0.5)),
            ("c", Some(0.5)),
            ("d", Some(0.5)),
        ]);
        let student = lessons(&[("a", Some(0.25)), ("b", Some(0.5)), ("c", Some(0.625))]);
        let sources = [("teacher", teacher), ("student", student)];
        let documents = by_document(&sources, 0.0).map_err(|error| error.to_string());
        let shared = shared(documents.unwrap(), 2);
        let of = |scored: &Scored<'_>| (scored.from.to_owned(), scored.score);
        let choices = shared.iter().filter_map(|queries| prefer(queries, margin));
        let told = |choice: Choice<'_>| {
            let document = choice.best.lesson.pair.doc_id.clone();
            (document, [of(choice.best), of(choice.worst)])
        };
        choices.map(told).collect()
    }

    #[test]
    fn the_best_is_chosen_and_the_worst_rejected() {
        let of = |from: &str, score| (from.to_owned(), score);
        // `b` is a tie, and the student wrote nothing for `d`.
        let expected = [
            ("a".to_owned(), [of("teacher", 0.75), of("student", 0.25)]),
            ("c".to_owned(), [of("student", 0.625), of("teacher", 0.5)]),
        ];
        assert_eq!(preferred(0.0), expected);
    }

    /// By hand: of the one query, .75, a run of two stands in the document; of the other, .6, none does.
    #[test]
    fn copies_lose_what_they_share() {
        let written = |query: &str, score| {
            let Lesson { pair, .. } = lessons(&[("a", Some(score))]).remove(0);
            vec![lesson(Pair {
                query: query.into(),
                text: "honey keeps for years".into(),
                ..pair
            })]
        };
        let sources = [
            ("teacher", written("honey keeps for decades", 0.75)),
            ("student", written("why does it not spoil", 0.6)),
        ];
        let chosen = |copying| {
            let documents = by_document(&sources, copying).map_err(|error| error.to_string());
            let documents = documents.unwrap();
            let Choice { best, worst } = prefer(&documents["a"], 0.0).unwrap();
            (best.from.to_owned(), best.score, worst.score)
        };
        assert_eq!(chosen(0.0), ("teacher".to_owned(), 0.75, 0.6));
        assert_eq!(chosen(0.5), ("student".to_owned(), 0.6, 0.5));
    }

    #[test]
    fn scores_that_are_close_are_no_preference() {
        assert_eq!(preferred(0.25).len(), 1);
        let sources = [("student", lessons(&[("a", None)]))];
        let message = by_document(&sources, 0.0).err().unwrap().to_string();
        assert_eq!(message, "the query `a#0` at `student` has no score");
    }
}
