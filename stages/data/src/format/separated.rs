//! TSV and CSV: with a line of names, or without where there can be no doubt.

use ablate_core::rows::Judgement;
use csv::{ReaderBuilder, StringRecord, Terminator};

use super::{DOCUMENT, GRADE, IDS, QUERY, Records, Text, trec};

/// With names, or `id SEPARATOR text`.
pub(super) fn texts(text: &str, separator: u8) -> Records<Text> {
    let rows = rows(text, separator);
    let names = rows.first().and_then(|(_, row)| row.as_ref().ok());
    let find = |wanted: &[&str]| names.and_then(|names| column(names, wanted));
    let (id, title, body) = match (find(&IDS), find(&["text"])) {
        (Some(id), Some(body)) => (id, find(&["title"]), body),
        _ => return map(rows, 0, |row| plain(row, separator)),
    };
    let get = |row: &StringRecord, at: usize| row.get(at).map(|cell| cell.trim_end_matches('\r').to_owned());
    let width = names.map_or(0, StringRecord::len);
    map(rows, 1, |row| {
        of_width(row, width, separator)?;
        Ok(Text {
            id: get(row, id),
            title: title.and_then(|title| get(row, title)),
            text: get(row, body),
        })
    })
}

/// Refuses a row that has not as many fields as the line of names: its text was cut, or what follows was swallowed.
fn of_width(row: &StringRecord, width: usize, separator: u8) -> Result<(), String> {
    if row.len() == width {
        return Ok(());
    }
    let how = match separator {
        b'\t' => "tabs separate fields, and none may stand within one",
        _ => "a field that holds a comma or a line end stands in quotes",
    };
    Err(format!(
        "the row has {} fields and the first line {width}: {how}",
        row.len()
    ))
}

fn plain(row: &StringRecord, separator: u8) -> Result<Text, String> {
    let [id, text] = row.iter().collect::<Vec<_>>()[..] else {
        let between = word(separator);
        return Err(format!(
            "a line is `id {between} text`, or the first line names the columns `_id`, `title`, `text`"
        ));
    };
    Ok(Text {
        id: Some(id.into()),
        title: None,
        text: Some(text.trim_end_matches('\r').into()),
    })
}

/// With names, or `query-id SEPARATOR corpus-id SEPARATOR score`, or TREC's four columns.
pub(super) fn judgements(text: &str, separator: u8) -> Records<Judgement> {
    let rows = rows(text, separator);
    let names = rows.first().and_then(|(_, row)| row.as_ref().ok());
    let named = names.is_some_and(|names| {
        names
            .get(0)
            .is_some_and(|name| name.to_ascii_lowercase().starts_with("query"))
    });
    let find = |wanted: &[&str]| names.and_then(|names| column(names, wanted));
    let found = match (find(&QUERY), find(&DOCUMENT), find(&GRADE)) {
        (Some(query), Some(document), Some(grade)) => Some([query, document, grade]),
        _ => None,
    };
    let skip = usize::from(named || found.is_some());
    let width = names.map_or(0, StringRecord::len);
    let columns = found.unwrap_or([0, 1, 2]);
    map(rows, skip, |row| {
        if found.is_some() {
            of_width(row, width, separator)?;
        }
        judgement(row, columns, separator)
    })
}

fn judgement(row: &StringRecord, columns: [usize; 3], separator: u8) -> Result<Judgement, String> {
    let unnamed = columns == [0, 1, 2];
    match row.len() {
        // Columns that spaces separate are one field here.
        1 if unnamed => return trec::judgement(&row[0]).map_err(|_| form(separator)),
        4 if unnamed => return judgement(row, [0, 2, 3], separator),
        5.. if unnamed => return Err(form(separator)),
        _ => {}
    }
    let fields: Vec<&str> = columns.iter().filter_map(|at| row.get(*at)).collect();
    let [query, document, grade] = fields[..] else {
        return Err(form(separator));
    };
    Ok(Judgement {
        query_id: query.into(),
        doc_id: document.into(),
        grade: grade
            .trim()
            .parse()
            .map_err(|_| format!("`{grade}` is no grade"))?,
    })
}

fn form(separator: u8) -> String {
    let between = word(separator);
    format!("a line is `query-id {between} corpus-id {between} score`, or TREC's `query 0 document grade`")
}

fn word(separator: u8) -> &'static str {
    if separator == b'\t' { "TAB" } else { "," }
}

/// Of TSV, tabs and line feeds separate whatever stands between them; in CSV both may stand in quotes.
fn rows(text: &str, separator: u8) -> Vec<(usize, Result<StringRecord, String>)> {
    let quotes = separator == b',';
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .quoting(quotes)
        .terminator(if quotes {
            Terminator::CRLF
        } else {
            Terminator::Any(b'\n')
        })
        .from_reader(text.as_bytes());
    let mut rows = Vec::new();
    let mut record = StringRecord::new();
    loop {
        match reader.read_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {
                let line = record.position().map_or(0, csv::Position::line) as usize;
                rows.push((line, Ok(record.clone())));
            }
            Err(error) => rows.push((reader.position().line() as usize, Err(error.to_string()))),
        }
    }
    if let Some(line) = bad_quote(text).filter(|_| quotes) {
        let what =
            "a quote opens here that is not closed at the end of a field: write quotes within it twice";
        rows.push((line, Err(what.into())));
    }
    rows
}

/// The line of the first quote of a CSV file that opens a field and is not closed at the end of one: what follows it would be
/// taken for text.
fn bad_quote(text: &str) -> Option<usize> {
    let (mut line, mut opened, mut at_start) = (1, None, true);
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' if opened.is_none() => opened = at_start.then_some(line),
            // Two quotes in quotes are one.
            b'"' if bytes.next_if_eq(&b'"').is_some() => {}
            b'"' if matches!(bytes.peek(), None | Some(b',' | b'\n' | b'\r')) => opened = None,
            b'"' => return opened,
            _ => {}
        }
        at_start = matches!(byte, b',' | b'\n' | b'\r');
        line += usize::from(byte == b'\n');
    }
    opened
}

fn column(names: &StringRecord, wanted: &[&str]) -> Option<usize> {
    names
        .iter()
        .position(|name| wanted.contains(&name.trim().to_ascii_lowercase().as_str()))
}

fn map<T>(
    rows: Vec<(usize, Result<StringRecord, String>)>,
    skip: usize,
    record: impl Fn(&StringRecord) -> Result<T, String>,
) -> Records<T> {
    let rows = rows.into_iter().skip(skip);
    rows.map(|(at, row)| (at, row.and_then(|row| record(&row))))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn text(id: &str, title: Option<&str>, text: &str) -> Text {
        Text {
            id: Some(id.into()),
            title: title.map(Into::into),
            text: Some(text.into()),
        }
    }

    #[test]
    fn names_may_stand_in_any_order_and_commas_in_quotes() {
        let found = texts("text,_id,title\n\"a, \"\"b\"\"\nc\",1,t\n", b',');
        assert_eq!(found, [(2, Ok(text("1", Some("t"), "a, \"b\"\nc")))]);
        let found = texts("7\tsay \"no\"\n8\tx\ty\n", b'\t');
        assert_eq!(found[0], (1, Ok(text("7", None, "say \"no\""))));
        assert!(
            found[1].1.as_ref().unwrap_err().contains("`id TAB text`"),
            "{found:?}"
        );
    }

    #[test]
    fn rows_that_lose_text_are_refused() {
        let told = |text: &str, separator| {
            let rows = texts(text, separator);
            let told = rows
                .into_iter()
                .filter_map(|(line, row)| Some((line, row.err()?)));
            told.collect::<Vec<_>>()
        };
        let comma = told("_id,text\nd1,cat, extra, more\nd2,dog\n", b',');
        assert_eq!(comma.len(), 1);
        assert!(
            comma[0].0 == 2 && comma[0].1.contains("has 4 fields and the first line 2"),
            "{comma:?}"
        );
        let tab = told("_id\ttext\nd1\tcat\textra\n", b'\t');
        assert!(tab[0].1.contains("tabs separate fields"), "{tab:?}");
        for open in ["d1,\"a cat\nd2,dog\n", "d1,\"a \"\"cat\"\"\nd2,dog\nd3,\"x\"\n"] {
            let open = told(&format!("_id,text\n{open}"), b',');
            let quotes = open
                .iter()
                .filter(|(line, what)| *line == 2 && what.starts_with("a quote"));
            assert_eq!(quotes.count(), 1, "{open:?}");
        }
        assert!(told("_id,text\nd1,\"a \"\"cat\"\"\n\"\nd2,5\" wide\n", b',').is_empty());
        assert!(
            judgements("query-id,corpus-id,score\nq,d,1,7\n", b',')[0]
                .1
                .is_err()
        );
    }

    #[test]
    fn judgements_have_names_or_three_columns() {
        let with_names = judgements("query_id,iteration,doc_id,relevance\nq,0,d,2\n", b',');
        let without = judgements("q\td\t2\n", b'\t');
        assert_eq!(with_names[0].1, without[0].1);
        assert_eq!((with_names[0].0, without[0].0), (2, 1));
        for four in ["q\t0\td\t2\n", "q 0 d 2\n"] {
            assert_eq!(judgements(four, b'\t')[0].1, without[0].1);
        }
        for wrong in ["q\td\n", "q\td\t1.5\n", "q\t0\td\t1\tx\n", "q d\n"] {
            assert!(judgements(wrong, b'\t')[0].1.is_err(), "{wrong}");
        }
    }
}
