//! TREC run and qrels files, plain or gzipped.

use std::{collections::BTreeSet, fmt, io::Read, path::Path};

use ablate_core::rows::{Hit, Judgement};

/// Why a TREC file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TrecError {
    /// The operating system refused; the message names the file.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Lines have another form.
    #[error("{0}")]
    Lines(BadLines),
}

/// The lines of a file that cannot be used: the first [`BadLines::SHOWN`] in words, the others counted.
#[derive(Debug)]
pub struct BadLines {
    file: String,
    first: Vec<(usize, String)>,
    more: usize,
}

impl BadLines {
    /// How many lines are told in words.
    pub const SHOWN: usize = 20;

    fn new(path: &Path) -> Self {
        Self {
            file: path.display().to_string(),
            first: Vec::new(),
            more: 0,
        }
    }

    fn note(&mut self, line: usize, what: String) {
        if self.first.len() < Self::SHOWN {
            self.first.push((line, what));
        } else {
            self.more += 1;
        }
    }
}

impl fmt::Display for BadLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |(line, what): &(usize, String)| format!("{}:{line}: {what}", self.file);
        f.write_str(&self.first.iter().map(line).collect::<Vec<_>>().join("\n"))?;
        match self.more {
            0 => Ok(()),
            more => write!(f, "\nand {more} more lines of {}", self.file),
        }
    }
}

/// A run file: its hits and the name its first line gives it.
pub struct TrecRun {
    /// The hits, in the order of the file.
    pub hits: Vec<Hit>,
    /// The last column of the first line.
    pub tag: String,
}

/// Reads `query Q0 doc rank score tag`; what follows on a line is not looked at. A document may stand once for a query.
pub fn read_run(path: &Path) -> Result<TrecRun, TrecError> {
    let mut tag = None;
    let hits = read(
        path,
        |fields| {
            let [query, _, doc, rank, score, rest @ ..] = fields else {
                return Err(match fields.len() {
                4 => "a run line is `query Q0 document rank score tag`; this one looks like judgements, which come second".into(),
                _ => "a run line is `query Q0 document rank score tag`".into(),
            });
            };
            let number: Option<f32> = score.parse().ok();
            let score = number
                .filter(|score| !score.is_nan())
                .ok_or_else(|| format!("the score `{score}` is no number"))?;
            tag.get_or_insert_with(|| rest.first().map_or_else(String::new, |tag| (*tag).to_owned()));
            // trec_eval orders by score, so a rank that is no number does no harm.
            let rank = rank.parse().unwrap_or(0);
            Ok(Hit {
                query_id: (*query).into(),
                doc_id: (*doc).into(),
                rank,
                score,
            })
        },
        |hit| (&hit.query_id, &hit.doc_id),
    )?;
    Ok(TrecRun {
        hits,
        tag: tag.unwrap_or_default(),
    })
}

/// Reads `query 0 doc grade`. A document may stand once for a query.
pub fn read_qrels(path: &Path) -> Result<Vec<Judgement>, TrecError> {
    read(
        path,
        |fields| {
            let [query, _, doc, grade] = fields else {
                return Err("a qrels line is `query 0 document grade`".into());
            };
            let grade = grade
                .parse()
                .map_err(|_| format!("the grade `{grade}` is no whole number"))?;
            Ok(Judgement {
                query_id: (*query).into(),
                doc_id: (*doc).into(),
                grade,
            })
        },
        |judgement| (&judgement.query_id, &judgement.doc_id),
    )
}

fn read<T>(
    path: &Path,
    mut parse: impl FnMut(&[&str]) -> Result<T, String>,
    key: impl Fn(&T) -> (&String, &String),
) -> Result<Vec<T>, TrecError> {
    let bytes = bytes(path)?;
    let mut bad = BadLines::new(path);
    let (mut rows, mut numbers) = (Vec::new(), Vec::new());
    for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let row = match std::str::from_utf8(line) {
            Err(_) => Err("the line is not UTF-8".to_owned()),
            Ok(line) => {
                let fields: Vec<&str> = line.split_ascii_whitespace().collect();
                if fields.is_empty() {
                    continue;
                }
                parse(&fields)
            }
        };
        match row {
            Ok(row) => {
                rows.push(row);
                numbers.push(at + 1);
            }
            Err(what) => bad.note(at + 1, what),
        }
    }
    let mut seen = BTreeSet::new();
    for (row, number) in rows.iter().zip(numbers) {
        let (query, doc) = key(row);
        if !seen.insert((query, doc)) {
            bad.note(
                number,
                format!("the document `{doc}` stands twice for the query `{query}`"),
            );
        }
    }
    if bad.first.is_empty() {
        Ok(rows)
    } else {
        Err(TrecError::Lines(bad))
    }
}

/// The content of a file, unpacked where it begins as gzip does, whatever its name.
fn bytes(path: &Path) -> Result<Vec<u8>, std::io::Error> {
    let bytes = fs_err::read(path)?;
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut unpacked = Vec::new();
    let told = |error| std::io::Error::other(format!("{}: {error}", path.display()));
    flate2::read::MultiGzDecoder::new(bytes.as_slice())
        .read_to_end(&mut unpacked)
        .map_err(told)?;
    Ok(unpacked)
}
