//! What there is to know of a stage kind, read off its declaration: `stages` shows it as text, JSON or Markdown.

use ablate_core::{ArtifactKind, Slot, StageKind, properties, range};
use serde::Serialize;
use serde_json::Value;

/// A stage kind.
#[derive(Serialize)]
pub(crate) struct Reference {
    pub(crate) kind: &'static str,
    pub(crate) version: u32,
    pub(crate) about: &'static str,
    /// What a node occupies, and the numeric mode in its key.
    pub(crate) slot: Slot,
    pub(crate) numeric: &'static str,
    pub(crate) inputs: Vec<Input>,
    pub(crate) outputs: Vec<Output>,
    pub(crate) parameters: Vec<Parameter>,
    /// A line of an experiment file.
    pub(crate) example: &'static str,
}

/// An input port.
#[derive(Serialize)]
pub(crate) struct Input {
    pub(crate) name: &'static str,
    pub(crate) kind: ArtifactKind,
    pub(crate) required: bool,
    /// The port that may stand instead of it.
    pub(crate) instead: Option<&'static str>,
    pub(crate) source: Option<Source>,
    pub(crate) about: &'static str,
}

impl Input {
    /// Whether it must be given, as a reader is told.
    pub(crate) fn need(&self) -> String {
        match (self.required, self.instead) {
            (true, _) => String::new(),
            (false, None) => ", optional".into(),
            (false, Some(other)) => format!(", or `{other}`"),
        }
    }
}

/// What may stand at a port instead of a stage.
#[derive(Serialize)]
pub(crate) struct Source {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) examples: Vec<&'static str>,
}

/// An output port.
#[derive(Serialize)]
pub(crate) struct Output {
    pub(crate) name: &'static str,
    pub(crate) kind: ArtifactKind,
    pub(crate) about: &'static str,
}

/// A parameter.
#[derive(Serialize)]
pub(crate) struct Parameter {
    /// Its dotted name.
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) type_name: String,
    pub(crate) required: bool,
    pub(crate) default: Option<Value>,
    pub(crate) range: Option<String>,
    pub(crate) values: Vec<Choice>,
    pub(crate) role: Role,
    pub(crate) about: String,
}

/// A value of a parameter that takes few.
#[derive(Serialize)]
pub(crate) struct Choice {
    pub(crate) value: String,
    pub(crate) about: String,
}

/// Whether a parameter is part of the key.
#[derive(Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// It says what is computed: a change runs the stage again.
    Meaning,
    /// It says how: a change runs nothing again.
    Execution,
}

/// Reads a kind.
pub(crate) fn reference(kind: &dyn StageKind) -> Reference {
    let mut parameters = Vec::new();
    walk(kind, "", kind.schema().as_value(), &mut parameters);
    // Stable: by name among equals.
    parameters.sort_by_key(|parameter| !parameter.required);
    Reference {
        kind: kind.name(),
        version: kind.version(),
        about: kind.about(),
        slot: kind.slot(),
        numeric: kind.numeric(),
        inputs: kind.inputs().iter().map(input).collect(),
        outputs: kind.outputs().iter().map(output).collect(),
        parameters,
        example: kind.example(),
    }
}

fn input(port: &ablate_core::Input) -> Input {
    let source = port.source.map(|source| Source {
        name: source.name(),
        about: source.about(),
        examples: source.examples(),
    });
    Input {
        name: port.name,
        kind: port.kind,
        required: port.required,
        instead: port.instead,
        source,
        about: port.about,
    }
}

fn output(port: &ablate_core::Output) -> Output {
    Output {
        name: port.name,
        kind: port.kind,
        about: port.about,
    }
}

/// The leaves below `schema`, by dotted name.
fn walk(kind: &dyn StageKind, prefix: &str, schema: &Value, into: &mut Vec<Parameter>) {
    let names = |key: &str| schema[key].as_array().into_iter().flatten();
    for (name, field) in properties(schema).into_iter().flatten() {
        let path = format!("{prefix}{name}");
        // A group that has names, too, is a parameter beside its fields.
        if !plain(field).is_empty() {
            let required = names("required").any(|required| required == name);
            into.push(parameter(kind, path.clone(), required, field));
        }
        if properties(field).is_some() {
            walk(kind, &format!("{path}."), field, into);
        }
    }
}

fn parameter(kind: &dyn StageKind, name: String, required: bool, field: &Value) -> Parameter {
    let execution = kind.execution().contains(&name.as_str());
    Parameter {
        type_name: type_name(field),
        required,
        default: field.get("default").filter(|value| !value.is_null()).cloned(),
        range: range(field),
        values: choices(field),
        role: if execution { Role::Execution } else { Role::Meaning },
        about: one_line(&field["description"]),
        name,
    }
}

/// What a field may be that has no fields of its own, but for nothing.
fn plain(field: &Value) -> Vec<&Value> {
    match field["anyOf"].as_array() {
        Some(options) => options.iter().flat_map(plain).collect(),
        None if field["type"] == "null" || properties(field).is_some() => vec![],
        None => vec![field],
    }
}

/// The type in words.
fn type_name(field: &Value) -> String {
    let names: Vec<String> = plain(field).into_iter().map(plain_name).collect();
    match (names.is_empty(), properties(field)) {
        (true, _) => "mapping".into(),
        (false, None) => names.join(" or "),
        (false, Some(_)) => format!("{} or the fields below", names.join(" or ")),
    }
}

fn plain_name(field: &Value) -> String {
    let named = |name: &Value| match name.as_str()? {
        "integer" => Some("whole number"),
        "number" => Some("number"),
        "string" => Some("text"),
        "boolean" => Some("true or false"),
        "array" => Some("list"),
        _ => None,
    };
    let found = match &field["type"] {
        Value::Array(names) => names.iter().find_map(named),
        name => named(name),
    };
    match found {
        Some("list") => format!("list of {}", type_name(&field["items"])),
        Some("text") if field.get("enum").is_some() => {
            let values: Vec<_> = choices(field).into_iter().map(|choice| choice.value).collect();
            values.join(" | ")
        }
        found => found.unwrap_or("value").to_owned(),
    }
}

fn choices(field: &Value) -> Vec<Choice> {
    plain(field).into_iter().flat_map(named).collect()
}

fn named(field: &Value) -> Vec<Choice> {
    let texts = field["enumDescriptions"].as_array();
    let choice = |(at, value): (usize, &Value)| Choice {
        value: value.as_str().unwrap_or_default().to_owned(),
        about: texts.map_or_else(String::new, |texts| one_line(&texts[at])),
    };
    let values = field["enum"].as_array().into_iter().flatten();
    values.enumerate().map(choice).collect()
}

/// A text that stands on several lines of the source, on one.
fn one_line(text: &Value) -> String {
    text.as_str().unwrap_or_default().replace('\n', " ")
}
