//! TREC's topics (`<top>`, `<topic number=…>`, or `id TAB text`) and judgements (four columns).

use ablate_core::rows::Judgement;

use super::{Records, Text, separated};

/// What a topic begins with: that of the ad-hoc tracks, and that of later ones, which are XML.
const TOP: &str = "<top>";
const TOPIC: &str = "<topic ";

/// The titles of topics: what systems are given as queries. Tags may be in capitals.
pub(super) fn topics(text: &str) -> Records<Text> {
    let lower = text.to_ascii_lowercase();
    let Some(tag) = [TOP, TOPIC].into_iter().find(|tag| lower.contains(tag)) else {
        return separated::texts(text, b'\t');
    };
    let starts: Vec<usize> = lower.match_indices(tag).map(|(at, _)| at).collect();
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let (mut line, mut counted) = (1, 0);
    let mut record = |(start, end): (&usize, usize)| {
        line += text[counted..*start].matches('\n').count();
        counted = *start;
        let piece = &text[start + tag.len()..end];
        (
            line,
            if tag == TOP {
                topic(piece)
            } else {
                xml_topic(piece)
            },
        )
    };
    starts.iter().zip(ends).map(&mut record).collect()
}

fn topic(text: &str) -> Result<Text, String> {
    let number = field(text, "<num>", "Number:").ok_or("the topic has no `<num>`")?;
    let title = field(text, "<title>", "Topic:").ok_or("the topic has no `<title>`")?;
    // TREC-1 to 3 write `Number: 051` where their judgements have 51.
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let id = number.trim_start_matches(|c| digits && c == '0');
    Ok(record(id, title))
}

/// `number="1" …><query>…` as the Web tracks and TREC-COVID write it, or with `<title>`, or with a bare text.
fn xml_topic(text: &str) -> Result<Text, String> {
    let (attributes, body) = text.split_once('>').ok_or("the topic does not begin")?;
    let number = attributes.split_once("number=").and_then(|(_, rest)| {
        let quote = rest.chars().next()?;
        rest[quote.len_utf8()..].split(quote).next()
    });
    let number = number.ok_or("the topic has no `number`")?;
    let mut named = ["<query>", "<title>"].into_iter();
    let title = named.find_map(|tag| field(body, tag, ""));
    let title = title.or_else(|| joined(body.split('<').next()?));
    Ok(record(number, title.ok_or("the topic has no `<query>`")?))
}

fn record(id: &str, text: String) -> Text {
    Text {
        id: Some(id.to_owned()),
        title: None,
        text: Some(text),
    }
}

/// The text of a field, which ends where the next tag begins.
fn field(topic: &str, tag: &str, label: &str) -> Option<String> {
    let start = topic.to_ascii_lowercase().find(tag)? + tag.len();
    let text = topic[start..].split('<').next()?.trim();
    joined(text.strip_prefix(label).unwrap_or(text))
}

/// A text on one line, XML's entities written out; `None` if it has no word.
fn joined(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&amp;", "&"),
    ];
    let plain = |text: String, (entity, letter): (&str, &str)| text.replace(entity, letter);
    (!words.is_empty()).then(|| entities.into_iter().fold(words.join(" "), plain))
}

/// `query iteration document grade`, separated by whitespace.
pub(super) fn judgements(text: &str) -> Records<Judgement> {
    let lines = text.split('\n').enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(at, line)| (at + 1, judgement(line))).collect()
}

pub(super) fn judgement(line: &str) -> Result<Judgement, String> {
    let [query, _, document, grade] = line.split_whitespace().collect::<Vec<_>>()[..] else {
        return Err("a line is `query iteration document grade`".into());
    };
    Ok(Judgement {
        query_id: query.into(),
        doc_id: document.into(),
        grade: grade.parse().map_err(|_| format!("`{grade}` is no grade"))?,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The layout of TREC-1's and of TREC-8's topics.
    const TOPICS: &str = "<top>\n<head> Tipster Topic\n<num> Number:  051\n<title> Topic:  ships\n\n<desc> Description:\nx\n</top>\n\
                          \n<top>\n\n<num> Number: 401 \n<title>\nforeign\nminorities\n\n<desc> Description: \ny\n</top>\n<top>\n<num> Number: 402\n</top>\n";

    #[test]
    fn topics_give_number_and_title() {
        let found = topics(TOPICS);
        let text = |at: usize| found[at].1.as_ref().unwrap();
        assert_eq!(
            (text(0).id.as_deref(), text(0).text.as_deref()),
            (Some("51"), Some("ships"))
        );
        assert_eq!(
            (text(1).id.as_deref(), text(1).text.as_deref()),
            (Some("401"), Some("foreign minorities"))
        );
        assert_eq!(found[2], (20, Err("the topic has no `<title>`".into())));
        assert_eq!(
            topics("7\twhat\n")[0].1.as_ref().unwrap().text.as_deref(),
            Some("what")
        );
    }

    /// As the Web track of 2012, TREC-COVID and the clinical trials of 2021 have them, and as some write the older ones.
    #[test]
    fn topics_in_xml_and_in_capitals_are_read() {
        let web = "<webtrack2012>\n<topic number=\"151\" type=\"ambiguous\">\n  <query>403b &amp; more</query>\n  \
                   <description>\n  What is it?\n</description>\n</topic>\n<topic number=\"152\">\n<title>x\n y</title></topic>\n";
        let trials = "<topics task=\"2021\">\n<topic number=\"1\">\nPatient is\na man\n</topic>\n<topic number='2'></topic>\n</topics>\n";
        let capitals = "<TOP>\n<NUM> Number: 007\n<TITLE> ships\n<DESC> x\n</TOP>\n";
        let found = |text: &str| -> Vec<(usize, String)> {
            let told = |text: Text| format!("{} {}", text.id.unwrap(), text.text.unwrap());
            let rows = topics(text).into_iter();
            rows.map(|(line, row)| (line, row.map_or_else(|error| error, told)))
                .collect()
        };
        assert_eq!(found(web), [(2, "151 403b & more".into()), (8, "152 x y".into())]);
        assert_eq!(
            found(trials),
            [
                (2, "1 Patient is a man".into()),
                (6, "the topic has no `<query>`".into())
            ]
        );
        assert_eq!(found(capitals), [(1, "7 ships".into())]);
    }

    #[test]
    fn judgements_have_four_columns() {
        let found = judgements("401 0 FT911-3 1\r\n\n401\t0\tFT911-4\t-1\n401 0 x\n");
        assert_eq!(found[0].1.as_ref().unwrap().doc_id, "FT911-3");
        assert_eq!((found[1].0, found[1].1.as_ref().unwrap().grade), (3, -1));
        assert_eq!(found[2].0, 4);
        assert!(found[2].1.is_err());
    }
}
