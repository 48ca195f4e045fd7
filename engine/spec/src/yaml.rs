//! YAML text to a tree whose every value knows its place. The only file that names the YAML crate.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};
use serde_yaml::{Location, Spanned};

use crate::{Problem, Source, Span};

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) data: Data,
    at: Location,
}

/// A YAML value.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Seq(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping and its place.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) name: String,
    at: Location,
}

/// Parses a file. Problems: what the YAML crate refuses (one), or every key that stands twice.
pub(crate) fn parse(source: &Source) -> Result<Node, Vec<Problem>> {
    if source.text.trim().is_empty() {
        let problem = Problem::error("ablate::spec::empty_file", "the file is empty");
        return Err(vec![problem.help("start with `experiment: NAME` and `stages:`")]);
    }
    let options = serde_yaml::options! {
        strict_booleans: true,
        with_snippet: false,
        duplicate_keys: serde_yaml::DuplicateKeyPolicy::LastWins,
        budget: serde_yaml::budget! { max_nodes: 100_000, max_total_scalar_bytes: 1 << 20, max_depth: 64 },
    };
    let node: Node =
        serde_yaml::from_str_with_options(&source.text, options).map_err(|e| vec![syntax(&e, source)])?;
    let mut twice = Vec::new();
    duplicates(&node, source, &mut twice);
    if twice.is_empty() { Ok(node) } else { Err(twice) }
}

fn syntax(error: &serde_yaml::Error, source: &Source) -> Problem {
    let message = error.without_snippet().to_string();
    let message = message
        .split(" at line ")
        .next()
        .unwrap_or(&message)
        .trim()
        .to_owned();
    let span = error.location().map(|at| span(at, source));
    let line = span.map(|span| source.line(span.line)).unwrap_or_default();
    let tab = line.starts_with('\t') || line.trim_start_matches(' ').starts_with('\t');
    let problem = if tab {
        Problem::error("ablate::spec::yaml", "a tab stands in the indentation").help("indent with spaces")
    } else if message.contains("budget") || message.contains("alias") || message.contains("limit") {
        Problem::error("ablate::spec::too_large", message)
            .help("write the values out instead of expanding aliases")
    } else {
        Problem::error("ablate::spec::yaml", message)
    };
    match span {
        Some(span) => problem.at(span),
        None => problem,
    }
}

fn duplicates(node: &Node, source: &Source, into: &mut Vec<Problem>) {
    match &node.data {
        Data::Seq(items) => items.iter().for_each(|item| duplicates(item, source, into)),
        Data::Map(entries) => {
            for (at, (key, value)) in entries.iter().enumerate() {
                if let Some((first, _)) = entries[..at].iter().find(|(earlier, _)| earlier.name == key.name) {
                    let message = format!("the key `{}` stands twice", key.name);
                    let problem = Problem::error("ablate::spec::duplicate_key", message).at(key.span(source));
                    into.push(
                        problem
                            .also(first.span(source), "first here")
                            .help("keep one of them"),
                    );
                }
                duplicates(value, source, into);
            }
        }
        _ => {}
    }
}

impl Key {
    pub(crate) fn span(&self, source: &Source) -> Span {
        span(self.at, source)
    }
}

impl Node {
    pub(crate) fn span(&self, source: &Source) -> Span {
        span(self.at, source)
    }

    /// The entries of a mapping.
    pub(crate) fn entries(&self) -> Option<&[(Key, Self)]> {
        match &self.data {
            Data::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The entry at `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&(Key, Self)> {
        self.entries()?.iter().find(|(key, _)| key.name == name)
    }

    /// The text of a scalar, as labels are written.
    pub(crate) fn label(&self) -> Option<String> {
        match &self.data {
            Data::Text(text) => Some(text.clone()),
            Data::Bool(value) => Some(value.to_string()),
            Data::Int(value) => Some(value.to_string()),
            Data::Float(value) => Some(value.to_string()),
            _ => None,
        }
    }

    /// What kind of value it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self.data {
            Data::Null => "nothing",
            Data::Bool(_) => "a boolean",
            Data::Int(_) | Data::Float(_) => "a number",
            Data::Text(_) => "text",
            Data::Seq(_) => "a list",
            Data::Map(_) => "a mapping",
        }
    }

    /// The value as JSON; nulls in mappings stay.
    pub(crate) fn json(&self) -> Value {
        match &self.data {
            Data::Null => Value::Null,
            Data::Bool(value) => (*value).into(),
            Data::Int(value) => (*value).into(),
            Data::Float(value) => (*value).into(),
            Data::Text(text) => text.clone().into(),
            Data::Seq(items) => items.iter().map(Self::json).collect(),
            Data::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, value)| (key.name.clone(), value.json()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }

    /// The place of the value at `path`, or of the deepest part of it that is there. For an unknown key, its key.
    pub(crate) fn locate(&self, path: &[String], key: bool, source: &Source) -> Span {
        let Some((first, rest)) = path.split_first() else {
            return self.span(source);
        };
        match &self.data {
            Data::Map(_) => match self.get(first) {
                Some((name, _)) if rest.is_empty() && key => name.span(source),
                Some((_, value)) => value.locate(rest, key, source),
                None => self.span(source),
            },
            Data::Seq(items) => {
                let index = first.trim_matches(|c| c == '[' || c == ']').parse::<usize>().ok();
                let item = index.and_then(|index| items.get(index));
                item.map_or_else(|| self.span(source), |item| item.locate(rest, key, source))
            }
            _ => self.span(source),
        }
    }
}

fn span(at: Location, source: &Source) -> Span {
    let (line, column) = (at.line().max(1) as usize, at.column().max(1) as usize);
    let start: usize = source
        .text
        .split_inclusive('\n')
        .take(line - 1)
        .map(str::len)
        .sum();
    let text = source.text[start..].lines().next().unwrap_or_default();
    let within: usize = text.chars().take(column - 1).map(char::len_utf8).sum();
    let rest = &text[within..];
    let length = rest
        .find([',', '}', ']', ':', ' ', '#'])
        .unwrap_or(rest.len())
        .max(1);
    Span {
        offset: start + within,
        length,
        line,
        column,
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Data>::deserialize(deserializer)?;
        Ok(Self {
            data: spanned.value,
            at: spanned.referenced,
        })
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<String>::deserialize(deserializer)?;
        Ok(Self {
            name: spanned.value,
            at: spanned.referenced,
        })
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DataVisitor)
    }
}

struct DataVisitor;

impl<'de> Visitor<'de> for DataVisitor {
    type Value = Data;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }
    fn visit_unit<E>(self) -> Result<Data, E> {
        Ok(Data::Null)
    }
    fn visit_none<E>(self) -> Result<Data, E> {
        Ok(Data::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Data, E> {
        Ok(Data::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Data, E> {
        Ok(Data::Int(value))
    }
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Data, E> {
        i64::try_from(value)
            .map(Data::Int)
            .map_err(|_| E::custom("the number does not fit 64 bits: quote it"))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Data, E> {
        Ok(Data::Float(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Data, E> {
        Ok(Data::Text(value.into()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Data, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Data::Seq(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Data, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Data::Map(entries))
    }
}
