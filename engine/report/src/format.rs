//! The formats a table can be written in.

use std::str::FromStr;

use crate::{Options, Table, UnknownName, csv, json, markdown, options::choose, text};

/// A format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For a terminal.
    #[default]
    Text,
    /// GitHub's Markdown.
    Markdown,
    /// Long form, full precision.
    Csv,
    /// Rows.
    Json,
}

const FORMATS: [(&str, Format); 4] = [
    ("text", Format::Text),
    ("markdown", Format::Markdown),
    ("csv", Format::Csv),
    ("json", Format::Json),
];

impl FromStr for Format {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        choose("format", name, &FORMATS)
    }
}

/// `table` in `format`; `color` matters to text only.
pub fn render(format: Format, table: &Table, options: &Options, color: bool) -> String {
    match format {
        Format::Text => text(table, options, color),
        Format::Markdown => markdown(table, options),
        Format::Csv => csv(table),
        Format::Json => json(table),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::text::tests::sample;

    #[test]
    fn every_name_leads_to_its_format() {
        let (table, options) = sample();
        let start = |name: &str| {
            let format = name.parse().unwrap();
            render(format, &table, &options, false).chars().next().unwrap()
        };
        assert_eq!(
            [start("text"), start("markdown"), start("csv"), start("json")],
            ['┌', '|', 's', '[']
        );
        let error = "markdwon".parse::<Format>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown format `markdwon`: did you mean `markdown`?"
        );
    }

    #[test]
    fn json_reads_back() {
        let (table, _) = sample();
        let rows: Vec<crate::Row> = serde_json::from_str(&json(&table)).unwrap();
        assert_eq!(rows, table.rows);
    }
}
