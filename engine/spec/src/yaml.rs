//! YAML text to a tree whose every value knows its place. Only this file and `events` name the YAML crate.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};
use serde_yaml::{DuplicateKeyPolicy, Location, NonFiniteFloatPolicy, Spanned};

use crate::{Problem, Source, Span, events};

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) data: Data,
    pub(crate) at: Span,
}

/// A YAML value.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    Null,
    Bool(bool),
    /// Whole numbers stay whole.
    Number(Number),
    Text(String),
    Seq(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping and its place.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) at: Span,
}

/// Parses a text. The tree is there whenever one could be made, even where there are problems; of keys that stand
/// twice it holds the first.
pub(crate) fn parse(source: &Source) -> (Option<Node>, Vec<Problem>) {
    let mut problems = match events::scan(source) {
        Ok(problems) => problems,
        Err(problem) => return (None, vec![problem]),
    };
    let options = serde_yaml::options! {
        strict_booleans: true,
        with_snippet: false,
        duplicate_keys: DuplicateKeyPolicy::FirstWins,
        // Told by `events`, with their places.
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        budget: serde_yaml::budget! { max_nodes: 1_000_000, max_total_scalar_bytes: 16 << 20, max_depth: 64 },
        alias_limits: serde_yaml::alias_limits! { max_total_replayed_events: 100_000 },
    };
    match serde_yaml::from_str_with_options(&source.text, options) {
        Ok(node) => (Some(node), problems),
        Err(error) => {
            if problems.is_empty() {
                problems.push(refused(&error));
            }
            (None, problems)
        }
    }
}

/// A value written on the command line.
pub(crate) fn parse_value(text: &str) -> Option<Value> {
    let source = Source {
        name: String::new(),
        text: text.to_owned(),
    };
    let (node, problems) = parse(&source);
    node.filter(|_| problems.is_empty()).map(|node| node.json())
}

/// What `events` let pass and the decoder refuses: above all, sizes.
fn refused(error: &serde_yaml::Error) -> Problem {
    use serde_yaml::Error as E;
    let inner = innermost(error);
    let problem = match inner {
        E::AliasReplayLimitExceeded { .. }
        | E::AliasExpansionLimitExceeded { .. }
        | E::AliasReplayStackDepthExceeded { .. }
        | E::AliasReplayCounterOverflow { .. } => Problem::error(
            "ablate::spec::too_large",
            "the aliases of this file expand to too much",
        )
        .help("write the values out instead of nesting aliases"),
        E::Budget { .. } => Problem::error(
            "ablate::spec::too_large",
            "the file holds more than an experiment can",
        )
        .help("at most 1,000,000 values, 16 MiB of text, 64 levels"),
        E::MergeValueNotMapOrSeqOfMaps { .. } => {
            Problem::error("ablate::spec::yaml", "`<<` takes a mapping").help("write `<<: *NAME`")
        }
        E::RecursiveReferencesRequireWeakTypes { .. } => {
            Problem::error("ablate::spec::yaml", "an anchor holds an alias to itself")
        }
        _ => {
            let message = inner.to_string();
            let message = message.split(" at line ").next().unwrap_or(&message);
            Problem::error("ablate::spec::yaml", message)
        }
    };
    match error.location() {
        Some(at) if at.line() > 0 => problem.at(place(at)),
        _ => problem,
    }
}

fn innermost(error: &serde_yaml::Error) -> &serde_yaml::Error {
    match error {
        serde_yaml::Error::AliasError { error, .. } | serde_yaml::Error::WithSnippet { error, .. } => {
            innermost(error)
        }
        other => other,
    }
}

impl Node {
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

    /// The text of a scalar, as labels are written: `2.0e-5` and `2e-5` are one label.
    pub(crate) fn label(&self) -> Option<String> {
        match &self.data {
            Data::Text(text) => Some(text.clone()),
            Data::Bool(value) => Some(value.to_string()),
            Data::Number(value) => Some(value.to_string()),
            _ => None,
        }
    }

    /// A value as a label: of a list or a mapping its JSON.
    pub(crate) fn written(&self) -> String {
        self.label().unwrap_or_else(|| self.json().to_string())
    }

    /// What kind of value it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self.data {
            Data::Null => "nothing",
            Data::Bool(_) => "true or false",
            Data::Number(_) => "a number",
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
            Data::Number(value) => Value::Number(value.clone()),
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

    /// The key and value at `path`; no key in lists.
    pub(crate) fn locate(&self, path: &[String]) -> Option<(Option<&Key>, &Self)> {
        let Some((first, rest)) = path.split_first() else {
            return Some((None, self));
        };
        let (key, value) = match &self.data {
            Data::Map(_) => self.get(first).map(|(key, value)| (Some(key), value))?,
            Data::Seq(items) => {
                let index = first.trim_matches(['[', ']']).parse::<usize>().ok()?;
                (None, items.get(index)?)
            }
            _ => return None,
        };
        if rest.is_empty() {
            Some((key, value))
        } else {
            value.locate(rest)
        }
    }
}

fn place(at: Location) -> Span {
    let span = at.span();
    Span {
        offset: span.byte_offset().unwrap_or_default() as usize,
        length: span.byte_len().unwrap_or_default().max(1) as usize,
        line: at.line().max(1) as usize,
        column: at.column().max(1) as usize,
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Data>::deserialize(deserializer)?;
        Ok(Self {
            data: spanned.value,
            at: place(spanned.referenced),
        })
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<String>::deserialize(deserializer)?;
        Ok(Self {
            name: spanned.value,
            at: place(spanned.referenced),
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
        Ok(Data::Number(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Data, E> {
        Ok(Data::Number(value.into()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Data, E> {
        Ok(Number::from_f64(value).map_or(Data::Null, Data::Number))
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
