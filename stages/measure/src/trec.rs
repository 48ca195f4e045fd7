//! TREC run and qrels files.

use std::path::Path;

use ablate_core::rows::{Hit, Judgement};

/// Why a TREC file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TrecError {
    /// The operating system refused; the message names the file.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A line has another form.
    #[error("{file}:{line}: {what}")]
    Line {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
}

/// Reads `query Q0 doc rank score tag`.
pub fn read_run(path: &Path) -> Result<Vec<Hit>, TrecError> {
    read(path, |fields| {
        let [query, _, doc, rank, score, ..] = fields else {
            return Err("a run line is `query Q0 document rank score tag`".into());
        };
        let score: f32 = score
            .parse()
            .ok()
            .filter(|s: &f32| !s.is_nan())
            .ok_or(format!("`{score}` is no score"))?;
        let rank = rank.parse().unwrap_or(0);
        Ok(Hit {
            query_id: (*query).into(),
            doc_id: (*doc).into(),
            rank,
            score,
        })
    })
}

/// Reads `query 0 doc grade`.
pub fn read_qrels(path: &Path) -> Result<Vec<Judgement>, TrecError> {
    read(path, |fields| {
        let [query, _, doc, grade] = fields else {
            return Err("a qrels line is `query 0 document grade`".into());
        };
        let grade = grade.parse().map_err(|_| format!("`{grade}` is no grade"))?;
        Ok(Judgement {
            query_id: (*query).into(),
            doc_id: (*doc).into(),
            grade,
        })
    })
}

fn read<T>(path: &Path, parse: impl Fn(&[&str]) -> Result<T, String>) -> Result<Vec<T>, TrecError> {
    let text = String::from_utf8_lossy(&fs_err::read(path)?).into_owned();
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    let row = |(at, line): (usize, &str)| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        parse(&fields).map_err(|what| TrecError::Line {
            file: path.display().to_string(),
            line: at + 1,
            what,
        })
    };
    lines.map(row).collect()
}
