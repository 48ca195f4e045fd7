//! How the rows of an artifact are written as lines.

use ablate_core::{
    ArtifactKind, Record,
    rows::{Hit, Judgement, Query},
};
use arrow::array::RecordBatch;
use serde_json::{Map, Value};

use crate::{commands::cells::Cells, error::CliError};

/// How rows become lines.
#[derive(Debug)]
pub(super) enum Layout {
    /// `query Q0 document rank score tag`.
    Run { tag: String },
    /// `query 0 document grade`.
    Qrels,
    /// BEIR's judgements: names, then `query TAB document TAB grade`.
    BeirQrels,
    /// `id TAB text`, the text on one line.
    Topics,
    /// An object a row; this column is `_id`, as BEIR has it of documents and queries.
    Json { id: &'static str },
}

impl Layout {
    /// How an artifact of `kind` is written to a file with this ending; the message says which endings there are.
    pub(super) fn of(kind: ArtifactKind, ending: &str, tag: &str) -> Result<Self, String> {
        match (kind, ending) {
            (kind, _) if kind.is_tree() => Err(format!(
                "this {kind} is a folder and stays one: `ablate show` prints where it is"
            )),
            (ArtifactKind::Run, "trec" | "txt" | "run") => Ok(Self::Run {
                tag: tag.split_whitespace().collect::<Vec<_>>().join("_"),
            }),
            (ArtifactKind::Qrels, "trec" | "txt" | "qrels") => Ok(Self::Qrels),
            (ArtifactKind::Qrels, "tsv") => Ok(Self::BeirQrels),
            (ArtifactKind::Queries, "tsv") => Ok(Self::Topics),
            (ArtifactKind::Corpus, "jsonl") => Ok(Self::Json { id: "doc_id" }),
            (ArtifactKind::Queries, "jsonl") => Ok(Self::Json { id: "query_id" }),
            (_, "jsonl") => Ok(Self::Json { id: "" }),
            (kind, ending) => Err(format!(
                "a table of the kind {kind} is not written as .{ending}: give --output a name that ends in {}",
                endings(kind)
            )),
        }
    }

    /// What stands before the rows.
    pub(super) fn head(&self) -> &'static str {
        match self {
            Self::BeirQrels => "query-id\tcorpus-id\tscore\n",
            _ => "",
        }
    }

    /// The lines of some rows, or why they cannot be written.
    pub(super) fn lines(&self, rows: &RecordBatch) -> Result<String, String> {
        match self {
            Self::Run { tag } => of(rows, |hit: Hit| {
                let (query, document) = (field(&hit.query_id)?, field(&hit.doc_id)?);
                Ok(format!(
                    "{query} Q0 {document} {} {} {tag}\n",
                    hit.rank, hit.score
                ))
            }),
            Self::Qrels => of(rows, |row: Judgement| {
                let (query, document) = (field(&row.query_id)?, field(&row.doc_id)?);
                Ok(format!("{query} 0 {document} {}\n", row.grade))
            }),
            Self::BeirQrels => of(rows, |row: Judgement| {
                let (query, document) = (field(&row.query_id)?, field(&row.doc_id)?);
                Ok(format!("{query}\t{document}\t{}\n", row.grade))
            }),
            Self::Topics => of(rows, |query: Query| {
                let words: Vec<&str> = query.text.split_whitespace().collect();
                Ok(format!("{}\t{}\n", field(&query.query_id)?, words.join(" ")))
            }),
            Self::Json { id } => objects(rows, id),
        }
    }
}

/// The endings an artifact may be written with.
fn endings(kind: ArtifactKind) -> &'static str {
    match kind {
        ArtifactKind::Run => ".trec, .jsonl or .parquet",
        ArtifactKind::Qrels => ".trec, .tsv, .jsonl or .parquet",
        ArtifactKind::Queries => ".tsv, .jsonl or .parquet",
        _ => ".jsonl or .parquet",
    }
}

fn of<R: Record>(rows: &RecordBatch, line: impl Fn(R) -> Result<String, String>) -> Result<String, String> {
    let rows = R::decode(rows).map_err(|error| format!("error: {error}"))?;
    rows.into_iter().map(line).collect()
}

/// An id in a file whose columns white space separates.
fn field(id: &str) -> Result<&str, String> {
    if id.contains(char::is_whitespace) {
        return Err(format!(
            "error: the id `{id}` holds white space, which separates columns here: write .jsonl or .parquet"
        ));
    }
    Ok(id)
}

/// Every row as an object, its id under the name that the layout has for it.
fn objects(rows: &RecordBatch, id: &str) -> Result<String, String> {
    let refused = |column: &str, number: String| {
        Err(CliError::Failed(format!(
            "error: a `{column}` is {number}, which JSON has no number for: write .parquet"
        )))
    };
    let objects = Cells::of(rows).and_then(|cells| cells.objects(refused));
    let line = |mut object: Map<String, Value>| {
        if let Some(value) = object.remove(id) {
            object.insert("_id".into(), value);
        }
        Value::Object(object).to_string() + "\n"
    };
    Ok(objects
        .map_err(|error| error.to_string())?
        .into_iter()
        .map(line)
        .collect())
}
