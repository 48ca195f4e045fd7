//! The formats a table can be written in.

use std::{path::Path, str::FromStr};

use ::parquet::errors::ParquetError;

use crate::{Options, Table, UnknownName, csv, json, latex, markdown, options::choose, parquet, text};

/// A format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For a terminal.
    #[default]
    Text,
    /// GitHub's Markdown.
    Markdown,
    /// LaTeX with booktabs.
    Latex,
    /// Long form, full precision.
    Csv,
    /// Long form, typed.
    Parquet,
    /// Rows.
    Json,
}

const FORMATS: [(&str, Format); 6] = [
    ("text", Format::Text),
    ("markdown", Format::Markdown),
    ("latex", Format::Latex),
    ("csv", Format::Csv),
    ("parquet", Format::Parquet),
    ("json", Format::Json),
];

impl FromStr for Format {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        choose("format", name, &FORMATS)
    }
}

impl Format {
    /// The format a file's ending stands for.
    pub fn of_file(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "txt" => Some(Self::Text),
            "md" => Some(Self::Markdown),
            "tex" => Some(Self::Latex),
            "csv" => Some(Self::Csv),
            "parquet" => Some(Self::Parquet),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// `table` in `format`; `color` matters to text only.
///
/// # Errors
/// If Parquet is asked for and nothing was evaluated.
pub fn render(
    format: Format,
    table: &Table,
    options: &Options,
    color: bool,
) -> Result<Vec<u8>, ParquetError> {
    Ok(match format {
        Format::Text => text(table, options, color).into(),
        Format::Markdown => markdown(table, options).into(),
        Format::Latex => latex(table, options).into(),
        Format::Csv => csv(table).into(),
        Format::Parquet => parquet(table)?,
        Format::Json => json(table).into(),
    })
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
            let bytes = render(format, &table, &options, false).unwrap();
            String::from_utf8_lossy(&bytes).chars().next().unwrap()
        };
        let names = FORMATS.map(|(name, _)| name);
        assert_eq!(names.map(start), ['┌', '|', '\\', 's', 'P', '[']);
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
