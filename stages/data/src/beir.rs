//! A collection in memory, with every problem of its files told by file and line.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use ablate_core::{
    StageError,
    rows::{Document, Judgement, Query},
};

use crate::{
    format::{self, Records, Text},
    layout::{Part, Role},
};

/// How many problems of a collection are told at once.
const TOLD: usize = 20;

/// A collection in memory.
#[derive(Debug, Default)]
pub(crate) struct Beir {
    pub(crate) corpus: Vec<Document>,
    pub(crate) queries: Vec<Query>,
    /// Whether there was a file of queries: a file of documents alone is a collection, too.
    pub(crate) queried: bool,
    pub(crate) qrels: BTreeMap<&'static str, Vec<Judgement>>,
    /// What whoever reads a table of it must know.
    pub(crate) warnings: Vec<String>,
}

/// Parses the files of a collection, which lie in `folder`.
pub(crate) fn parse(files: Vec<(Part, Vec<u8>)>, folder: &Path) -> Result<Beir, StageError> {
    let mut problems = Vec::new();
    let mut beir = Beir::default();
    for (part, bytes) in files {
        let name = part.name();
        match part.role {
            Role::Corpus => {
                let rows = format::texts(&part, bytes);
                beir.corpus.extend(sound(name, rows, document, &mut problems));
            }
            Role::Queries => {
                beir.queried = true;
                let rows = format::texts(&part, bytes);
                beir.queries.extend(sound(name, rows, query, &mut problems));
            }
            Role::Qrels(split) => {
                let rows = sound(name, format::judgements(&part, bytes), Ok, &mut problems);
                beir.qrels.entry(split).or_default().extend(rows);
            }
        }
    }
    beir.check_ids(&mut problems);
    if problems.is_empty() {
        beir.check_judgements()?;
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
        format!("mend the files in {}", folder.display()),
    ))
}

/// The rows of a file that are sound; of the others it is told what is wrong.
fn sound<R, T>(
    name: &str,
    records: Result<Records<R>, String>,
    row: impl Fn(R) -> Result<T, String>,
    problems: &mut Vec<String>,
) -> Vec<T> {
    let records = records.unwrap_or_else(|what| {
        problems.push(format!("{name}: {what}"));
        vec![]
    });
    let mut keep = |(at, record): (usize, Result<R, String>)| {
        let row = record.and_then(&row);
        row.map_err(|what| problems.push(format!("{name}:{at}: {what}")))
            .ok()
    };
    records.into_iter().filter_map(&mut keep).collect()
}

fn id(id: Option<String>) -> Result<String, String> {
    let id = id.ok_or("the line has no `_id`")?;
    if id.is_empty() {
        return Err("`_id` is empty".into());
    }
    Ok(id)
}

fn document(line: Text) -> Result<Document, String> {
    let text = line.text.ok_or("the line has no `text`")?;
    Ok(Document {
        doc_id: id(line.id)?,
        title: line.title.filter(|title| !title.is_empty()),
        text,
    })
}

fn query(line: Text) -> Result<Query, String> {
    Ok(Query {
        query_id: id(line.id)?,
        text: line.text.ok_or("the line has no `text`")?,
    })
}

fn unique<'a>(name: &str, ids: impl Iterator<Item = &'a String>, problems: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    problems.extend(
        ids.filter(|id| !seen.insert(*id))
            .map(|id| format!("{name}: `{id}` stands twice")),
    );
}

/// The ids that judgements name and that are not among those known.
fn dangling(rows: &[Judgement], known: &BTreeSet<&str>, id: impl Fn(&Judgement) -> &String) -> Vec<String> {
    let ids = rows.iter().map(id).filter(|id| !known.contains(id.as_str()));
    ids.cloned().collect()
}

impl Beir {
    fn check_ids(&self, problems: &mut Vec<String>) {
        unique(
            "corpus",
            self.corpus.iter().map(|document| &document.doc_id),
            problems,
        );
        unique(
            "queries",
            self.queries.iter().map(|query| &query.query_id),
            problems,
        );
        for (split, rows) in &self.qrels {
            let keys: Vec<String> = rows
                .iter()
                .map(|row| format!("{} {}", row.query_id, row.doc_id))
                .collect();
            unique(&format!("qrels/{split}"), keys.iter(), problems);
        }
    }

    /// The same with the queries and judgements of one split alone.
    pub(crate) fn only(mut self, split: &'static str) -> Self {
        self.qrels.retain(|name, _| *name == split);
        self.queries = self.judged(split);
        self
    }

    /// Judgements of documents that are not there stay: what a run cannot find counts against it, as it does for trec_eval.
    /// Those of queries that are not there are left out, since nothing is asked. Both are told; a collection where most
    /// dangle is the wrong one.
    fn check_judgements(&mut self) -> Result<(), StageError> {
        let documents: BTreeSet<&str> = self
            .corpus
            .iter()
            .map(|document| document.doc_id.as_str())
            .collect();
        let queries: BTreeSet<&str> = self.queries.iter().map(|query| query.query_id.as_str()).collect();
        for (split, rows) in &mut self.qrels {
            let all = rows.len();
            let lost = dangling(rows, &queries, |row| &row.query_id);
            rows.retain(|row| queries.contains(row.query_id.as_str()));
            let absent = dangling(rows, &documents, |row| &row.doc_id);
            let told = [
                ("query", &lost, "they are left out"),
                ("document", &absent, "no run can find it, and they count"),
            ];
            let told = told.into_iter().filter(|(_, ids, _)| !ids.is_empty());
            let told = told.map(|(kind, ids, so)| {
                let (count, example) = (ids.len(), &ids[0]);
                format!("qrels/{split}: {count} of {all} judgements name a {kind} that is not there, as `{example}`: {so}")
            });
            if (lost.len() + absent.len()) * 2 > all {
                let help = "check that corpus, queries and qrels belong together";
                return Err(StageError::with_help(told.collect::<Vec<_>>().join("\n"), help));
            }
            self.warnings.extend(told);
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

    fn files(corpus: &str, queries: &str, qrels: &str) -> Vec<(Part, Vec<u8>)> {
        [
            (Role::Corpus, "corpus.jsonl", corpus),
            (Role::Queries, "queries.jsonl", queries),
            (Role::Qrels("test"), "qrels/test.tsv", qrels),
        ]
        .map(|(role, name, text)| (Part::new(role, name).unwrap(), text.as_bytes().to_vec()))
        .to_vec()
    }

    fn parsed(files: Vec<(Part, Vec<u8>)>) -> Result<Beir, StageError> {
        parse(files, Path::new("x"))
    }

    const CORPUS: &str =
        "{\"_id\":\"a\",\"title\":\"\",\"text\":\"one\u{2028}two\"}\n{\"_id\":7,\"text\":\"x\"}\n";
    const QUERIES: &str = "{\"_id\":\"q1\",\"text\":\"which\"}\n{\"_id\":\"q2\",\"text\":\"what\"}\n";
    const HEADER: &str = "query-id\tcorpus-id\tscore\n";

    #[test]
    fn lines_split_on_line_feeds_alone_and_numbers_are_ids() {
        let beir = parsed(files(CORPUS, QUERIES, &format!("{HEADER}q1\ta\t2\n"))).unwrap();
        assert_eq!(beir.corpus[0].text, "one\u{2028}two");
        assert_eq!(beir.corpus[1].doc_id, "7");
        assert_eq!(beir.judged("test").len(), 1);
    }

    #[test]
    fn every_problem_is_told_with_its_line() {
        let corpus =
            "{\"_id\":\"a\",\"text\":\"x\"}\n{broken\n{\"_id\":\"a\",\"text\":\"y\"}\n{\"_id\":\"b\"}\n";
        let error = parsed(files(corpus, QUERIES, &format!("{HEADER}q1\ta\n")))
            .unwrap_err()
            .to_string();
        for part in [
            "corpus.jsonl:2: bad JSON",
            "corpus.jsonl:4: the line has no `text`",
            "corpus: `a` stands twice",
            "qrels/test.tsv:2: the row has 2 fields",
        ] {
            assert!(error.contains(part), "{part} is missing in {error}");
        }
    }

    #[test]
    fn judgements_of_absent_documents_count_and_those_of_absent_queries_do_not() {
        let judged = "q1\ta\t1\nq2\t7\t1\nq2\tgone\t1\nq9\ta\t1\n";
        let beir = parsed(files(CORPUS, QUERIES, &format!("{HEADER}{judged}"))).unwrap();
        let kept: Vec<_> = beir.qrels["test"].iter().map(|row| row.doc_id.as_str()).collect();
        assert_eq!(kept, ["a", "7", "gone"]);
        assert_eq!(
            beir.warnings,
            [
                "qrels/test: 1 of 4 judgements name a query that is not there, as `q9`: they are left out",
                "qrels/test: 1 of 4 judgements name a document that is not there, as `gone`: no run can find it, and \
                 they count"
            ]
        );
        // A query whose only document is gone is asked, too.
        let beir = parsed(files(
            CORPUS,
            QUERIES,
            &format!("{HEADER}q1\ta\t1\nq2\tgone\t1\n"),
        ))
        .unwrap();
        assert_eq!(beir.judged("test").len(), 2);
        assert!(parsed(files(CORPUS, QUERIES, &format!("{HEADER}q9\ta\t1\n"))).is_err());
    }

    #[test]
    fn a_split_alone_has_its_queries_alone() {
        let mut all = files(CORPUS, QUERIES, &format!("{HEADER}q1\ta\t2\n"));
        let train = Part::new(Role::Qrels("train"), "qrels/train.tsv").unwrap();
        all.push((train, format!("{HEADER}q2\ta\t1\n").into_bytes()));
        let beir = parsed(all).unwrap().only("train");
        assert_eq!(beir.queries.len(), 1);
        assert_eq!(beir.queries[0].query_id, "q2");
        assert!(beir.qrels.contains_key("train") && beir.qrels.len() == 1);
    }
}
