//! JSON lines.

use ablate_core::rows::Judgement;
use rayon::prelude::*;
use serde::{Deserialize, de::DeserializeOwned};

use super::{Records, Text, whole};

#[derive(Deserialize)]
struct TextLine {
    #[serde(
        rename = "_id",
        alias = "id",
        alias = "doc_id",
        alias = "docid",
        alias = "query_id",
        alias = "qid"
    )]
    id: Option<Id>,
    title: Option<String>,
    text: Option<String>,
}

/// Some collections write ids as numbers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(i64),
}

#[derive(Deserialize)]
struct JudgementLine {
    #[serde(rename = "query-id", alias = "query_id", alias = "qid", alias = "query")]
    query: Id,
    #[serde(
        rename = "corpus-id",
        alias = "corpus_id",
        alias = "doc_id",
        alias = "docid",
        alias = "doc-id"
    )]
    document: Id,
    #[serde(
        rename = "score",
        alias = "grade",
        alias = "relevance",
        alias = "rel",
        alias = "label"
    )]
    grade: f64,
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        match id {
            Id::Text(text) => text,
            Id::Number(number) => number.to_string(),
        }
    }
}

/// Of lines from `first` on.
pub(super) fn texts(bytes: &[u8], first: usize) -> Records<Text> {
    lines(bytes, first, |line: TextLine| {
        Ok(Text {
            id: line.id.map(String::from),
            title: line.title,
            text: line.text,
        })
    })
}

pub(super) fn judgements(bytes: &[u8]) -> Records<Judgement> {
    lines(bytes, 1, |line: JudgementLine| {
        Ok(Judgement {
            query_id: line.query.into(),
            doc_id: line.document.into(),
            grade: whole(line.grade)?,
        })
    })
}

fn lines<L: DeserializeOwned, T: Send>(
    bytes: &[u8],
    first: usize,
    record: impl Fn(L) -> Result<T, String> + Sync,
) -> Records<T> {
    // On `\n` alone: real corpora hold U+2028 and other line separators inside their texts.
    let lines: Vec<(usize, &[u8])> = bytes
        .split(|byte| *byte == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .collect();
    let parse = |line| serde_json::from_slice(line).map_err(|error| format!("bad JSON: {error}"));
    lines
        .par_iter()
        .map(|(at, line)| (first + at, parse(line).and_then(&record)))
        .collect()
}
