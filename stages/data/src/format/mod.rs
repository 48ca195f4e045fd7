//! How the files of a collection are written: each format to records, with every problem told by file and line.

mod json;
mod parquet;
mod separated;
mod trec;

use ablate_core::{StageError, rows::Judgement};

use crate::{
    files::Content,
    layout::{Format, Part},
};

/// A document or a query as a file has it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) id: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) text: Option<String>,
}

/// A record, or what is wrong with it; with its line (of Parquet, its row), from 1.
pub(crate) type Records<T> = Vec<(usize, Result<T, String>)>;

/// What to call the id of a document or a query: BEIR, mteb, ir_datasets.
const IDS: [&str; 6] = ["_id", "id", "doc_id", "docid", "query_id", "qid"];
const QUERY: [&str; 4] = ["query-id", "query_id", "qid", "query"];
const DOCUMENT: [&str; 5] = ["corpus-id", "corpus_id", "doc_id", "docid", "doc-id"];
const GRADE: [&str; 5] = ["score", "grade", "relevance", "rel", "label"];

/// Bytes of JSON lines that are in memory at once.
const BLOCK: usize = 8 << 20;

/// The documents or queries of a file, one after the other; JSON lines go by in blocks.
///
/// # Errors
/// If it cannot be read, or `each` says so.
pub(crate) fn each_text(
    part: &Part,
    content: &Content,
    each: impl FnMut(usize, Result<Text, String>) -> Result<(), StageError>,
) -> Result<(), StageError> {
    let read: fn(Vec<u8>) -> Result<Records<Text>, String> = match part.format {
        Format::Jsonl => return each_line(BLOCK, content, each),
        Format::Tsv => |bytes| Ok(separated::texts(utf8(&bytes)?, b'\t')),
        Format::Csv => |bytes| Ok(separated::texts(utf8(&bytes)?, b',')),
        Format::Parquet => parquet::texts,
        Format::Trec => |bytes| Ok(trec::topics(utf8(&bytes)?)),
    };
    let records = read(content.read()?).unwrap_or_else(|what| vec![(0, Err(what))]);
    all(records, each)
}

/// The documents or queries of JSON lines, of which `block` bytes are in memory at once.
fn each_line(
    block: usize,
    content: &Content,
    mut each: impl FnMut(usize, Result<Text, String>) -> Result<(), StageError>,
) -> Result<(), StageError> {
    let mut first = 1;
    content.each_block(block, |block| {
        let lines = if first == 1 { unmarked(block) } else { &block[..] };
        let records = json::texts(lines, first);
        first += block.split(|byte| *byte == b'\n').count() - 1;
        all(records, &mut each)
    })
}

fn all(
    records: Records<Text>,
    mut each: impl FnMut(usize, Result<Text, String>) -> Result<(), StageError>,
) -> Result<(), StageError> {
    records.into_iter().try_for_each(|(line, text)| each(line, text))
}

/// The judgements of a file.
///
/// # Errors
/// If nothing of it can be read.
pub(crate) fn judgements(part: &Part, bytes: Vec<u8>) -> Result<Records<Judgement>, String> {
    Ok(match part.format {
        Format::Jsonl => json::judgements(unmarked(&bytes)),
        Format::Tsv => separated::judgements(utf8(&bytes)?, b'\t'),
        Format::Csv => separated::judgements(utf8(&bytes)?, b','),
        Format::Parquet => parquet::judgements(bytes)?,
        Format::Trec => trec::judgements(utf8(&bytes)?),
    })
}

/// Without the byte order mark that spreadsheets and Windows write.
fn unmarked(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

fn utf8(bytes: &[u8]) -> Result<&str, String> {
    let bytes = unmarked(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        format!("line {line} is not UTF-8: save the file as UTF-8")
    })
}

/// A grade: a whole number, also where a format only has fractions.
fn whole(grade: f64) -> Result<i32, String> {
    let whole = grade.fract() == 0.0 && grade.abs() < f64::from(i32::MAX);
    whole
        .then_some(grade as i32)
        .ok_or_else(|| format!("`{grade}` is no grade: a whole number"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::layout::Role;

    fn lines(name: &str, block: usize, text: String) -> Vec<(usize, Option<String>)> {
        let content = Content::Embedded(text.leak().as_bytes());
        let mut found = Vec::new();
        let mut each = |line, text: Result<Text, String>| {
            found.push((line, text.ok().and_then(|text| text.id)));
            Ok(())
        };
        let part = Part::new(Role::Corpus, name).unwrap();
        match part.format {
            Format::Jsonl => each_line(block, &content, &mut each),
            _ => each_text(&part, &content, &mut each),
        }
        .unwrap();
        found
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_record() {
        let files = [
            ("corpus.jsonl", "{\"_id\":\"a\",\"text\":\"x\"}\n"),
            ("corpus.tsv", "a\tx\n"),
            ("corpus.csv", "_id,text\na,x\n"),
        ];
        for (name, text) in files {
            let found = lines(name, BLOCK, format!("\u{feff}{text}"));
            assert_eq!(found[0].1.as_deref(), Some("a"), "{name}");
        }
        let part = Part::new(Role::Qrels("test"), "qrels/test.qrels").unwrap();
        let found = judgements(&part, "\u{feff}q 0 a 1\n".into()).unwrap();
        assert_eq!(found[0].1.as_ref().unwrap().query_id, "q");
    }

    #[test]
    fn lines_have_the_same_numbers_in_whatever_blocks_they_come() {
        let text = |id: &str| format!("{{\"_id\":\"{id}\",\"text\":\"x\"}}\n");
        let text = format!("\u{feff}{}\n{}broken\n{}", text("a"), text("b"), text("c"));
        let whole = lines("corpus.jsonl", BLOCK, text.clone());
        let ids: Vec<_> = whole.iter().map(|(line, id)| (*line, id.as_deref())).collect();
        assert_eq!(ids, [(1, Some("a")), (3, Some("b")), (4, None), (5, Some("c"))]);
        for block in [1, 7, 30, 60] {
            assert_eq!(lines("corpus.jsonl", block, text.clone()), whole, "{block}");
        }
    }
}
