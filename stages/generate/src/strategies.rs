//! The prompting strategies known by name, all in our own words.

use serde::{Deserialize, Serialize};

use crate::{
    cues::{CUES, Cue},
    reading::Format,
    shots::{SHOTS, Shot},
};

/// A template, the layout of its shots, its own shots, and what its answers are like.
pub(crate) struct Strategy {
    pub(crate) template: String,
    pub(crate) layout: String,
    pub(crate) shots: Vec<Shot>,
    pub(crate) manner: Manner,
}

/// How the answers to a prompt are had and read where the stage that asks says nothing: one that reasons first has its query at
/// another place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Manner {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) format: Option<Format>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) answer_after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stop: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_new_tokens: Option<u32>,
}

/// What the names of the prompts with the cues of one task begin with.
const CUED: &str = "ablate/promptagator-";

/// The names, sorted.
pub(crate) const NAMES: [&str; 16] = [
    "ablate/chat",
    "ablate/cot",
    "ablate/gbq",
    "ablate/negative",
    "ablate/promptagator-arguana",
    "ablate/promptagator-climate-fever",
    "ablate/promptagator-dbpedia-entity",
    "ablate/promptagator-fever",
    "ablate/promptagator-fiqa",
    "ablate/promptagator-hotpotqa",
    "ablate/promptagator-nfcorpus",
    "ablate/promptagator-scidocs",
    "ablate/promptagator-scifact",
    "ablate/promptagator-trec-covid",
    "ablate/promptagator-webis-touche2020",
    "ablate/vanilla",
];

/// The prompt of `negatives/llm` that is taken where none is given.
pub(crate) const NEGATIVE: &str = "ablate/negative";

/// The strategy of a name.
pub(crate) fn named(name: &str) -> Option<Strategy> {
    match name {
        "ablate/vanilla" => Some(vanilla()),
        "ablate/gbq" => Some(gbq()),
        "ablate/chat" => Some(chat()),
        "ablate/cot" => Some(reasoned()),
        NEGATIVE => Some(without_shots(HARD_NEGATIVE)),
        _ => cued(name.strip_prefix(CUED)?),
    }
}

/// The layout of InPars (Bonifacio et al. 2022): numbered examples, then the document with an open cue.
fn vanilla() -> Strategy {
    Strategy {
        template: "{examples}Example {number}:\nDocument: {document}\nRelevant Query:".into(),
        layout: "Example {number}:\nDocument: {document}\nRelevant Query: {query}\n\n".into(),
        shots: own_shots(),
        manner: Manner::default(),
    }
}

/// Guided by bad questions: a poor query beside each good one.
fn gbq() -> Strategy {
    Strategy {
        template: "{examples}Example {number}:\nDocument: {document}\nGood Question:".into(),
        layout: "Example {number}:\nDocument: {document}\nGood Question: {query}\nBad Question: {poor}\n\n"
            .into(),
        shots: own_shots(),
        manner: Manner::default(),
    }
}

fn own_shots() -> Vec<Shot> {
    SHOTS
        .iter()
        .map(|[document, query, poor]| Shot::new(document, query, Some(poor)))
        .collect()
}

/// A query in one answer, of a model that was tuned to answer.
const CHAT: &str = "You help to test a search engine. Read the document and write one search query that a person would type who \
     needs what it says and has not seen it. Ask about its main point, in words of your own, and do not mention the document. \
     Answer with the query alone, on one line.\n\nDocument: {document}";

/// Reasons, then the query behind `Query:`.
const COT: &str = "Write a search query for a document. First think aloud: what is its main point, who would need it, and what \
     would they not know yet? Then write the query on a line of its own, after `Query:`.\n\n\
     Document: Bread goes stale because its starch crystallises, not because it dries. A minute in a hot oven melts the crystals, \
     and the crumb is soft again until it cools.\n\
     Reasoning: The point is that staleness is undone by heat. Somebody with an old loaf needs it, who thinks that the loaf is dry. \
     They would ask how to make it soft again, and would not know the word starch.\n\
     Query: how to make stale bread soft again\n\n\
     Document: {document}\nReasoning:";

/// A passage that looks like an answer and is none.
const HARD_NEGATIVE: &str = "A search engine is trained with passages that look relevant to a query and are not. Write such a passage.\n\n\
     Query: {query}\n\nA passage that answers it: {document}\n\n\
     Your passage must be about the same subject, use the vocabulary of the query and be of about the same length and style as the \
     passage above. It must not answer the query, in whole or in part, and it must not repeat or rephrase the passage above. \
     Answer with your passage alone, without a heading or a comment.";

fn chat() -> Strategy {
    let manner = Manner {
        format: Some(Format::Chat),
        ..Manner::default()
    };
    Strategy {
        manner,
        ..without_shots(CHAT)
    }
}

/// The query is a line behind the reasoning, which ends before another document is begun.
fn reasoned() -> Strategy {
    let manner = Manner {
        format: None,
        answer_after: Some("Query:".into()),
        until: Some("\\n".into()),
        stop: Some(vec!["\n\nDocument:".into()]),
        max_new_tokens: Some(192),
    };
    Strategy {
        manner,
        ..without_shots(COT)
    }
}

fn without_shots(template: &str) -> Strategy {
    Strategy {
        template: template.to_owned(),
        layout: "Document: {document}\nQuery: {query}\n\n".into(),
        shots: vec![],
        manner: Manner::default(),
    }
}

/// Promptagator's idea (Dai et al. 2022): say what relevance is in this task, and name both sides by what they are.
fn cued(set: &str) -> Option<Strategy> {
    let Cue {
        task,
        document,
        query,
        shots,
        ..
    } = CUES.iter().find(|cue| cue.set == set)?;
    Some(Strategy {
        template: format!("{task}\n\n{{examples}}{document}: {{document}}\n{query}:"),
        layout: format!("{document}: {{document}}\n{query}: {{query}}\n\n"),
        shots: shots
            .iter()
            .map(|[document, query]| Shot::new(document, query, None))
            .collect(),
        manner: Manner::default(),
    })
}
