//! The BEIR layout: corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv; with every problem told by file and line.

use std::collections::{BTreeMap, BTreeSet};

use ablate_core::{
    StageError,
    rows::{Document, Judgement, Query},
};
use rayon::prelude::*;
use serde::Deserialize;

/// The splits a collection may have.
pub(crate) const SPLITS: [&str; 3] = ["train", "dev", "test"];

/// How many problems of a collection are told at once.
const TOLD: usize = 20;

/// A collection in memory.
#[derive(Debug, Default)]
pub(crate) struct Beir {
    pub(crate) corpus: Vec<Document>,
    pub(crate) queries: Vec<Query>,
    pub(crate) qrels: BTreeMap<&'static str, Vec<Judgement>>,
    /// What was passed over.
    pub(crate) notes: Vec<String>,
}

/// Parses the files of a collection, `(name, bytes)`.
pub(crate) fn parse(files: &[(String, Vec<u8>)]) -> Result<Beir, StageError> {
    let mut problems = Vec::new();
    let mut beir = Beir::default();
    for (name, bytes) in files {
        match name.split(['.', '/']).next() {
            Some("corpus") => beir.corpus = jsonl(name, bytes, document, &mut problems),
            Some("queries") => beir.queries = jsonl(name, bytes, query, &mut problems),
            _ => {
                let split = SPLITS
                    .into_iter()
                    .find(|split| name.starts_with(&format!("qrels/{split}.")));
                if let Some(split) = split {
                    beir.qrels.insert(split, qrels(name, bytes, &mut problems));
                }
            }
        }
    }
    unique(
        "corpus",
        beir.corpus.iter().map(|document| &document.doc_id),
        &mut problems,
    );
    unique(
        "queries",
        beir.queries.iter().map(|query| &query.query_id),
        &mut problems,
    );
    for (split, rows) in &beir.qrels {
        let keys: Vec<String> = rows
            .iter()
            .map(|row| format!("{} {}", row.query_id, row.doc_id))
            .collect();
        unique(&format!("qrels/{split}"), keys.iter(), &mut problems);
    }
    if problems.is_empty() {
        beir.drop_dangling()?;
        return Ok(beir);
    }
    let more = problems.len().saturating_sub(TOLD);
    problems.truncate(TOLD);
    let rest = if more > 0 {
        format!("\n… and {more} more")
    } else {
        String::new()
    };
    Err(StageError::with_help(
        format!("the collection has problems:\n{}{rest}", problems.join("\n")),
        "mend the files",
    ))
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "_id", alias = "id")]
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

fn jsonl<T: Send>(
    name: &str,
    bytes: &[u8],
    row: fn(Line) -> Result<T, &'static str>,
    problems: &mut Vec<String>,
) -> Vec<T> {
    // On `\n` alone: real corpora hold U+2028 and other line separators inside their texts.
    let lines: Vec<(usize, &[u8])> = bytes
        .split(|byte| *byte == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .collect();
    let parsed: Vec<Result<T, String>> = lines
        .par_iter()
        .map(|(at, line)| {
            let parsed: Line =
                serde_json::from_slice(line).map_err(|e| format!("{name}:{}: bad JSON: {e}", at + 1))?;
            row(parsed).map_err(|what| format!("{name}:{}: {what}", at + 1))
        })
        .collect();
    parsed
        .into_iter()
        .filter_map(|row| row.map_err(|problem| problems.push(problem)).ok())
        .collect()
}

fn id(id: Option<Id>) -> Result<String, &'static str> {
    match id.ok_or("the line has no `_id`")? {
        Id::Text(text) if text.is_empty() => Err("`_id` is empty"),
        Id::Text(text) => Ok(text),
        Id::Number(number) => Ok(number.to_string()),
    }
}

fn document(line: Line) -> Result<Document, &'static str> {
    let text = line.text.ok_or("the line has no `text`")?;
    Ok(Document {
        doc_id: id(line.id)?,
        title: line.title.filter(|title| !title.is_empty()),
        text,
    })
}

fn query(line: Line) -> Result<Query, &'static str> {
    Ok(Query {
        query_id: id(line.id)?,
        text: line.text.ok_or("the line has no `text`")?,
    })
}

fn qrels(name: &str, bytes: &[u8], problems: &mut Vec<String>) -> Vec<Judgement> {
    let text = String::from_utf8_lossy(bytes);
    let mut rows = Vec::new();
    for (at, line) in text.split('\n').enumerate() {
        let line = line.trim_end_matches('\r');
        if line.trim().is_empty() || (at == 0 && line.to_ascii_lowercase().starts_with("query")) {
            continue;
        }
        match judgement(line) {
            Ok(row) => rows.push(row),
            Err(what) => problems.push(format!("{name}:{}: {what}", at + 1)),
        }
    }
    rows
}

fn judgement(line: &str) -> Result<Judgement, String> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [query, doc, grade] = fields.as_slice() else {
        return Err("a line is `query-id TAB corpus-id TAB score`".into());
    };
    let grade = grade
        .trim()
        .parse()
        .map_err(|_| format!("`{grade}` is no grade"))?;
    Ok(Judgement {
        query_id: (*query).into(),
        doc_id: (*doc).into(),
        grade,
    })
}

fn unique<'a>(name: &str, ids: impl Iterator<Item = &'a String>, problems: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    problems.extend(
        ids.filter(|id| !seen.insert(*id))
            .map(|id| format!("{name}: `{id}` stands twice")),
    );
}

impl Beir {
    /// Judgements of documents or queries that are not there: real collections have a few, so they are told and
    /// dropped; a collection where most dangle is the wrong one.
    fn drop_dangling(&mut self) -> Result<(), StageError> {
        let documents: BTreeSet<&str> = self
            .corpus
            .iter()
            .map(|document| document.doc_id.as_str())
            .collect();
        let queries: BTreeSet<&str> = self.queries.iter().map(|query| query.query_id.as_str()).collect();
        for (split, rows) in &mut self.qrels {
            let known = |row: &Judgement| {
                documents.contains(row.doc_id.as_str()) && queries.contains(row.query_id.as_str())
            };
            let Some(example) = rows.iter().find(|row| !known(row)).cloned() else {
                continue;
            };
            let before = rows.len();
            rows.retain(known);
            let lost = before - rows.len();
            let what = format!(
                "qrels/{split}: {lost} of {before} judgements name a query or document that is not there, as `{}` of `{}`",
                example.doc_id, example.query_id
            );
            if lost * 2 > before {
                return Err(StageError::with_help(
                    what,
                    "check that corpus, queries and qrels belong together",
                ));
            }
            self.notes.push(format!("{what}: dropped"));
        }
        Ok(())
    }

    /// The queries judged in a split.
    pub(crate) fn judged(&self, split: &str) -> Vec<Query> {
        let rows = self.qrels.get(split).map_or(&[][..], Vec::as_slice);
        let judged: BTreeSet<&str> = rows.iter().map(|row| row.query_id.as_str()).collect();
        self.queries
            .iter()
            .filter(|query| judged.contains(query.query_id.as_str()))
            .cloned()
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn files(corpus: &str, queries: &str, qrels: &str) -> Vec<(String, Vec<u8>)> {
        [
            ("corpus.jsonl", corpus),
            ("queries.jsonl", queries),
            ("qrels/test.tsv", qrels),
        ]
        .map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()))
        .to_vec()
    }

    const CORPUS: &str =
        "{\"_id\":\"a\",\"title\":\"\",\"text\":\"one\u{2028}two\"}\n{\"_id\":7,\"text\":\"x\"}\n";
    const QUERIES: &str = "{\"_id\":\"q1\",\"text\":\"which\"}\n{\"_id\":\"q2\",\"text\":\"what\"}\n";
    const HEADER: &str = "query-id\tcorpus-id\tscore\n";

    #[test]
    fn lines_split_on_line_feeds_alone_and_numbers_are_ids() {
        let beir = parse(&files(CORPUS, QUERIES, &format!("{HEADER}q1\ta\t2\n"))).unwrap();
        assert_eq!(beir.corpus[0].text, "one\u{2028}two");
        assert_eq!(beir.corpus[1].doc_id, "7");
        assert_eq!(beir.judged("test").len(), 1);
    }

    #[test]
    fn every_problem_is_told_with_its_line() {
        let corpus =
            "{\"_id\":\"a\",\"text\":\"x\"}\n{broken\n{\"_id\":\"a\",\"text\":\"y\"}\n{\"_id\":\"b\"}\n";
        let error = parse(&files(corpus, QUERIES, &format!("{HEADER}q1\ta\n")))
            .unwrap_err()
            .to_string();
        for part in [
            "corpus.jsonl:2: bad JSON",
            "corpus.jsonl:4: the line has no `text`",
            "corpus: `a` stands twice",
            "qrels/test.tsv:2: a line is",
        ] {
            assert!(error.contains(part), "{part} is missing in {error}");
        }
    }

    #[test]
    fn dangling_judgements_are_dropped_and_told() {
        let beir = parse(&files(
            CORPUS,
            QUERIES,
            &format!("{HEADER}q1\ta\t1\nq2\t7\t1\nq2\tgone\t1\n"),
        ))
        .unwrap();
        assert_eq!(beir.qrels["test"].len(), 2);
        assert!(beir.notes[0].contains("1 of 3 judgements"), "{:?}", beir.notes);
        assert!(parse(&files(CORPUS, QUERIES, &format!("{HEADER}q9\ta\t1\n"))).is_err());
    }
}
