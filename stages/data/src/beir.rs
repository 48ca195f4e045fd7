//! A collection as it is read, with every problem of its files told by file and line.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use ablate_core::{
    StageError,
    rows::{Document, Judgement, Query},
};
use arrow::array::RecordBatch;

use crate::{
    files::Content,
    format::{Text, each_text, judgements},
    layout::{Part, Role},
    sorted::Sorter,
};

/// How many problems of a collection are told at once.
const TOLD: usize = 20;
/// Bytes of documents that are sorted in memory; more of them wait in files.
const IN_MEMORY: usize = 256 << 20;

/// A collection, its documents on their way into order.
#[derive(Debug)]
pub(crate) struct Beir {
    corpus: Sorter<Document>,
    pub(crate) queries: Vec<Query>,
    /// Whether there was a file of queries: a file of documents alone is a collection, too.
    pub(crate) queried: bool,
    pub(crate) qrels: BTreeMap<&'static str, Vec<Judgement>>,
    /// What whoever reads a table of it must know.
    pub(crate) warnings: Vec<String>,
}

/// A collection whose files are being read.
struct Reading {
    beir: Beir,
    documents: Ids,
    queries: Ids,
    problems: Vec<String>,
}

/// Parses the files of a collection, which lie in `folder`.
pub(crate) fn parse(files: Vec<(Part, Content)>, folder: &Path) -> Result<Beir, StageError> {
    let mut reading = Reading {
        beir: Beir {
            corpus: Sorter::new(IN_MEMORY),
            queries: Vec::new(),
            queried: false,
            qrels: BTreeMap::new(),
            warnings: Vec::new(),
        },
        documents: Ids::default(),
        queries: Ids::default(),
        problems: Vec::new(),
    };
    for (part, content) in &files {
        reading.read(part, content)?;
    }
    reading.finish(folder)
}

impl Reading {
    fn read(&mut self, part: &Part, content: &Content) -> Result<(), StageError> {
        match part.role {
            Role::Corpus => each_text(part, content, |line, text| {
                let row = text.and_then(document);
                match self.sound(
                    part,
                    line,
                    row,
                    |row| &row.doc_id,
                    |reading| &mut reading.documents,
                ) {
                    Some(row) => self.beir.push(row),
                    None => Ok(()),
                }
            }),
            Role::Queries => {
                self.beir.queried = true;
                each_text(part, content, |line, text| {
                    let row = text.and_then(query);
                    let row = self.sound(
                        part,
                        line,
                        row,
                        |row| &row.query_id,
                        |reading| &mut reading.queries,
                    );
                    self.beir.queries.extend(row);
                    Ok(())
                })
            }
            Role::Qrels(split) => {
                let rows = judgements(part, content.read()?).unwrap_or_else(|what| vec![(0, Err(what))]);
                for (line, row) in rows {
                    let row = row.map_err(|what| self.tell(part, line, &what));
                    self.beir.qrels.entry(split).or_default().extend(row.ok());
                }
                Ok(())
            }
        }
    }

    /// A row whose id is new; of any other it is told what is wrong.
    fn sound<T>(
        &mut self,
        part: &Part,
        line: usize,
        row: Result<T, String>,
        id: impl Fn(&T) -> &String,
        ids: impl Fn(&mut Self) -> &mut Ids,
    ) -> Option<T> {
        match row {
            Ok(row) if ids(self).insert(id(&row)) => return Some(row),
            Ok(row) => self.tell(part, line, &format!("`{}` stands twice", id(&row))),
            Err(what) => self.tell(part, line, &what),
        }
        None
    }

    fn tell(&mut self, part: &Part, line: usize, what: &str) {
        let name = part.name();
        self.problems.push(match line {
            0 => format!("{name}: {what}"),
            line => format!("{name}:{line}: {what}"),
        });
    }

    fn finish(mut self, folder: &Path) -> Result<Beir, StageError> {
        self.beir.check_pairs(&mut self.problems);
        let problems = &mut self.problems;
        if problems.is_empty() {
            self.beir.check_judgements(&self.documents, &self.queries)?;
            return Ok(self.beir);
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
}

/// Ids that were seen, as digests: those of millions of documents have room.
#[derive(Default)]
struct Ids(BTreeSet<[u8; 16]>);

impl Ids {
    fn digest(id: &str) -> [u8; 16] {
        let mut short = [0; 16];
        short.copy_from_slice(&blake3::hash(id.as_bytes()).as_bytes()[..16]);
        short
    }

    /// Whether it was not there.
    fn insert(&mut self, id: &str) -> bool {
        self.0.insert(Self::digest(id))
    }

    fn contains(&self, id: &str) -> bool {
        self.0.contains(&Self::digest(id))
    }
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

/// The ids that judgements name and that are not among those known.
fn dangling(rows: &[Judgement], known: &Ids, id: impl Fn(&Judgement) -> &String) -> Vec<String> {
    let ids = rows.iter().map(id).filter(|id| !known.contains(id));
    ids.cloned().collect()
}

impl Beir {
    /// The documents in memory, in the order of their ids.
    #[cfg(test)]
    #[allow(clippy::unwrap_used)]
    pub(crate) fn documents(self) -> Vec<Document> {
        let parts = self.corpus().map_err(|error| error.to_string()).unwrap();
        let rows = parts.map(|part| {
            <Document as ablate_core::Record>::decode(&part.map_err(|error| error.to_string()).unwrap())
        });
        rows.flat_map(Result::unwrap).collect()
    }

    fn push(&mut self, document: Document) -> Result<(), StageError> {
        let title = document.title.as_ref().map_or(0, String::len);
        let bytes = size_of::<Document>() + document.doc_id.len() + title + document.text.len();
        self.corpus.push(document, bytes)
    }

    /// The documents in the order of their ids.
    ///
    /// # Errors
    /// If what did not fit memory cannot be read again.
    pub(crate) fn corpus(
        self,
    ) -> Result<impl Iterator<Item = Result<RecordBatch, StageError>> + Send, StageError> {
        self.corpus.finish()
    }

    /// Judges each document for a query once.
    fn check_pairs(&self, problems: &mut Vec<String>) {
        for (split, rows) in &self.qrels {
            let mut seen = BTreeSet::new();
            let again = rows
                .iter()
                .filter(|row| !seen.insert((&row.query_id, &row.doc_id)));
            let told =
                again.map(|row| format!("qrels/{split}: `{} {}` stands twice", row.query_id, row.doc_id));
            problems.extend(told);
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
    fn check_judgements(&mut self, documents: &Ids, queries: &Ids) -> Result<(), StageError> {
        for (split, rows) in &mut self.qrels {
            let all = rows.len();
            let lost = dangling(rows, queries, |row| &row.query_id);
            rows.retain(|row| queries.contains(&row.query_id));
            let absent = dangling(rows, documents, |row| &row.doc_id);
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

    fn content(text: &str) -> Content {
        Content::Embedded(text.to_owned().leak().as_bytes())
    }

    fn files(corpus: &str, queries: &str, qrels: &str) -> Vec<(Part, Content)> {
        [
            (Role::Corpus, "corpus.jsonl", corpus),
            (Role::Queries, "queries.jsonl", queries),
            (Role::Qrels("test"), "qrels/test.tsv", qrels),
        ]
        .map(|(role, name, text)| (Part::new(role, name).unwrap(), content(text)))
        .into()
    }

    fn parsed(files: Vec<(Part, Content)>) -> Result<Beir, StageError> {
        parse(files, Path::new("x"))
    }

    const CORPUS: &str =
        "{\"_id\":\"a\",\"title\":\"\",\"text\":\"one\u{2028}two\"}\n{\"_id\":7,\"text\":\"x\"}\n";
    const QUERIES: &str = "{\"_id\":\"q1\",\"text\":\"which\"}\n{\"_id\":\"q2\",\"text\":\"what\"}\n";
    const HEADER: &str = "query-id\tcorpus-id\tscore\n";

    #[test]
    fn lines_split_on_line_feeds_alone_and_numbers_are_ids() {
        let beir = parsed(files(CORPUS, QUERIES, &format!("{HEADER}q1\ta\t2\n"))).unwrap();
        assert_eq!(beir.judged("test").len(), 1);
        let documents = beir.documents();
        assert_eq!(
            (documents[0].doc_id.as_str(), documents[0].text.as_str()),
            ("7", "x")
        );
        assert_eq!(documents[1].text, "one\u{2028}two");
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
            "corpus.jsonl:3: `a` stands twice",
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
        all.push((train, content(&format!("{HEADER}q2\ta\t1\n"))));
        let beir = parsed(all).unwrap().only("train");
        assert_eq!(beir.queries.len(), 1);
        assert_eq!(beir.queries[0].query_id, "q2");
        assert!(beir.qrels.contains_key("train") && beir.qrels.len() == 1);
    }
}
