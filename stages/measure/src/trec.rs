//! TREC run and qrels files, plain, gzipped or zstd-compressed.

use std::{
    collections::BTreeMap,
    fmt,
    io::Read,
    ops::Range,
    path::{Path, PathBuf},
};

use ablate_core::rows::Judgement;
use hashbrown::HashSet;
use rayon::prelude::*;

use crate::Scored;

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

/// The bytes of a TREC file, unpacked.
pub struct TrecFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

/// A run: its hits and the name its first line gives it.
pub struct TrecRun<'a> {
    /// The hits, in the order of the file.
    pub hits: Vec<Scored<'a>>,
    /// The last column of the first line.
    pub tag: String,
}

impl TrecFile {
    /// Takes the file into memory.
    pub fn read(path: &Path) -> Result<Self, TrecError> {
        let bytes = bytes(path)?;
        let path = path.to_owned();
        Ok(Self { path, bytes })
    }

    /// Its lines as `query Q0 doc rank score tag`; what follows on a line is not looked at. A document may stand once
    /// for a query.
    pub fn run(&self) -> Result<TrecRun<'_>, TrecError> {
        let hits = rows(self, hit, |hit| (hit.query, hit.document))?;
        let tag = tag(&self.bytes);
        Ok(TrecRun { hits, tag })
    }

    /// Its lines as `query 0 doc grade`. A document may stand once for a query.
    pub fn qrels(&self) -> Result<Vec<Judgement>, TrecError> {
        rows(self, judgement, |judgement| {
            (&judgement.query_id, &judgement.doc_id)
        })
    }
}

fn hit<'a>(fields: &[&'a str]) -> Result<Scored<'a>, String> {
    // trec_eval orders by score: the rank is not looked at.
    let [query, _, document, _, score, ..] = fields else {
        return Err(match fields.len() {
            4 => "a run line is `query Q0 document rank score tag`; this one looks like judgements, which come second".into(),
            _ => "a run line is `query Q0 document rank score tag`".into(),
        });
    };
    let number: Option<f32> = score.parse().ok();
    let score = number
        .filter(|score| !score.is_nan())
        .ok_or_else(|| format!("the score `{score}` is no number"))?;
    Ok(Scored {
        query,
        document,
        score,
    })
}

/// The last column of the first line that is not empty.
fn tag(bytes: &[u8]) -> String {
    let mut lines = bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.trim_ascii().is_empty());
    let first = lines.next().and_then(|line| std::str::from_utf8(line).ok());
    let tag = first.and_then(|line| line.split_ascii_whitespace().nth(5));
    tag.unwrap_or_default().to_owned()
}

fn judgement(fields: &[&str]) -> Result<Judgement, String> {
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
}

/// The rows of all lines, read on all cores; no key may stand twice.
fn rows<'a, T: Send + Sync>(
    file: &'a TrecFile,
    parse: impl Fn(&[&'a str]) -> Result<T, String> + Sync,
    key: impl Fn(&T) -> (&str, &str) + Sync,
) -> Result<Vec<T>, TrecError> {
    let read: Vec<Piece<T>> = pieces(&file.bytes)
        .into_par_iter()
        .map(|piece| Piece::read(piece, &parse))
        .collect();
    let mut bad = BadLines::new(&file.path);
    let count = read.iter().map(|piece| piece.rows.len()).sum();
    let (mut rows, mut rowless, mut first) = (Vec::with_capacity(count), Vec::new(), 1);
    for piece in read {
        let told = piece.bad.into_iter();
        told.for_each(|(line, what)| bad.note(first + line, what));
        rowless.extend(piece.rowless.iter().map(|line| first + line));
        rows.extend(piece.rows);
        first += piece.lines;
    }
    let mut twice = twice(&rows, &key);
    twice.sort_unstable();
    for at in twice {
        let (query, doc) = key(&rows[at]);
        let what = format!("the document `{doc}` stands twice for the query `{query}`");
        bad.note(line_of(at, &rowless), what);
    }
    if bad.first.is_empty() {
        Ok(rows)
    } else {
        Err(TrecError::Lines(bad))
    }
}

/// The number, from 1, of the line of a row, `rowless` being those of the lines without one.
fn line_of(row: usize, rowless: &[usize]) -> usize {
    let step = |line: usize, without: &usize| line + usize::from(*without <= line);
    rowless.iter().fold(row + 1, step)
}

/// About a mebibyte each, cut behind line ends.
fn pieces(mut bytes: &[u8]) -> Vec<&[u8]> {
    const SIZE: usize = 1 << 20;
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let more = bytes[SIZE.min(bytes.len())..]
            .iter()
            .position(|byte| *byte == b'\n');
        let end = more.map_or(bytes.len(), |more| SIZE + more + 1);
        let piece;
        (piece, bytes) = bytes.split_at(end);
        pieces.push(piece);
    }
    pieces
}

/// The rows of some lines and what is wrong with the others; lines count from 0.
struct Piece<T> {
    rows: Vec<T>,
    bad: Vec<(usize, String)>,
    /// The lines that give no row: bad ones and empty ones.
    rowless: Vec<usize>,
    lines: usize,
}

impl<T> Piece<T> {
    fn read<'a>(bytes: &'a [u8], parse: impl Fn(&[&'a str]) -> Result<T, String>) -> Self {
        let lines = memchr::memchr_iter(b'\n', bytes).count();
        let mut piece = Self {
            rows: Vec::with_capacity(lines + 1),
            bad: Vec::new(),
            rowless: Vec::new(),
            lines,
        };
        let mut start = 0;
        let unended = (!bytes.ends_with(b"\n")).then_some(bytes.len());
        let ends = memchr::memchr_iter(b'\n', bytes).chain(unended);
        for (at, end) in ends.enumerate() {
            piece.read_line(at, &bytes[start..end], &parse);
            start = end + 1;
        }
        piece
    }

    fn read_line<'a>(&mut self, at: usize, line: &'a [u8], parse: impl Fn(&[&'a str]) -> Result<T, String>) {
        let mut into = [""; FIELDS];
        let row = match fields(line, &mut into) {
            Some([]) => None,
            Some(fields) => Some(parse(fields)),
            None => Some(Err("the line is not UTF-8".to_owned())),
        };
        match row {
            Some(Ok(row)) => return self.rows.push(row),
            Some(Err(what)) => self.bad.push((at, what)),
            None => {}
        }
        self.rowless.push(at);
    }
}

/// Columns of a line that are looked at.
const FIELDS: usize = 6;

/// The first columns of a line; `None` where it is not UTF-8.
fn fields<'a, 'b>(line: &'a [u8], into: &'b mut [&'a str; FIELDS]) -> Option<&'b [&'a str]> {
    let line = std::str::from_utf8(line).ok()?;
    let mut count = 0;
    for (field, into) in line.split_ascii_whitespace().zip(&mut *into) {
        *into = field;
        count += 1;
    }
    Some(&into[..count])
}

/// The rows whose key stands at an earlier row.
fn twice<T: Sync>(rows: &[T], key: &(impl Fn(&T) -> (&str, &str) + Sync)) -> Vec<usize> {
    let mut queries: BTreeMap<&str, Vec<Range<usize>>> = BTreeMap::new();
    let mut at = 0;
    for same in rows.chunk_by(|a, b| key(a).0 == key(b).0) {
        let places = at..at + same.len();
        at = places.end;
        queries.entry(key(&same[0]).0).or_default().push(places);
    }
    let of_query = |places: &Vec<Range<usize>>| {
        let mut seen = HashSet::with_capacity(places.iter().map(Range::len).sum());
        let again = |at: &usize| !seen.insert(key(&rows[*at]).1);
        places.iter().cloned().flatten().filter(again).collect::<Vec<_>>()
    };
    queries
        .into_values()
        .collect::<Vec<_>>()
        .par_iter()
        .flat_map(of_query)
        .collect()
}

/// The content of a file, unpacked where it begins as gzip or zstd does, whatever its name; without a byte order mark.
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>, std::io::Error> {
    let bytes = fs_err::read(path)?;
    let mut unpacked = match bytes.as_slice() {
        [0x1f, 0x8b, ..] => {
            let mut unpacked = Vec::new();
            let read = flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut unpacked);
            read.map(|_| unpacked)
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => zstd::decode_all(bytes.as_slice()),
        _ => Ok(bytes),
    }
    .map_err(|error| std::io::Error::other(format!("{}: {error}", path.display())))?;
    if unpacked.starts_with(b"\xef\xbb\xbf") {
        unpacked.drain(..3);
    }
    Ok(unpacked)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn file(text: &[u8]) -> TrecFile {
        TrecFile {
            path: "file".into(),
            bytes: text.to_vec(),
        }
    }

    #[test]
    fn lines_that_cannot_be_used_are_told_by_their_numbers() {
        let text =
            b"\nq 0 a 1\r\n  \nq 0 b\nr 0 a 1\nq\t0\ta\t2\n\xff 0 b 1\n\nq 0 c x\nr 0 a 1 more\nr 0 a 0";
        let told = file(text).qrels().unwrap_err().to_string();
        let wanted = [
            "file:4: a qrels line is `query 0 document grade`",
            "file:7: the line is not UTF-8",
            "file:9: the grade `x` is no whole number",
            "file:10: a qrels line is `query 0 document grade`",
            "file:6: the document `a` stands twice for the query `q`",
            "file:11: the document `a` stands twice for the query `r`",
        ];
        assert_eq!(told, wanted.join("\n"));
    }

    /// A mark would be part of the first query's id.
    #[test]
    fn files_are_unpacked_by_their_first_bytes_and_lose_a_byte_order_mark() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("qrels");
        let text = b"\xef\xbb\xbfq 0 a 1\n";
        let mut gzipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut gzipped, text).unwrap();
        let packed = [
            text.to_vec(),
            gzipped.finish().unwrap(),
            zstd::encode_all(&text[..], 3).unwrap(),
        ];
        for bytes in packed {
            fs_err::write(&path, bytes).unwrap();
            let qrels = TrecFile::read(&path).unwrap().qrels().unwrap();
            assert_eq!((qrels[0].query_id.as_str(), qrels.len()), ("q", 1));
        }
    }

    /// Lines of three pieces, the last without an end; the repeated ones count over the borders of the pieces.
    #[test]
    fn large_files_are_read_in_pieces() {
        let line = |at: usize| {
            format!(
                "q{} Q0 d{at:07} {at} {} tag of a run\n",
                at / 1000,
                9_999_999 - at
            )
        };
        let mut text: String = (0..60_000).map(line).collect();
        let whole = file(text.trim_end().as_bytes());
        let run = whole.run().unwrap();
        assert_eq!((run.hits.len(), run.tag.as_str()), (60_000, "tag"));
        for (at, hit) in run.hits.iter().enumerate() {
            let fields = (hit.query, hit.document, hit.score);
            let (query, document) = (format!("q{}", at / 1000), format!("d{at:07}"));
            assert_eq!(
                fields,
                (query.as_str(), document.as_str(), (9_999_999 - at) as f32)
            );
        }
        text.insert_str(0, "\n\n");
        text.push_str(&line(59_999));
        let told = file(text.as_bytes()).run().err().unwrap().to_string();
        assert_eq!(
            told,
            "file:60003: the document `d0059999` stands twice for the query `q59`"
        );
    }
}
