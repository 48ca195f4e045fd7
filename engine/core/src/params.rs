//! From the fields a user wrote to a stage's parameters, collecting every problem.

use schemars::Schema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{canon, similar};

/// What is wrong with one parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamProblem {
    /// A stable code: `unknown_field`, `wrong_type`, `out_of_range`, `missing_field`.
    pub code: &'static str,
    /// The field, outermost first; empty for the stage itself.
    pub path: Vec<String>,
    /// A lower-case fragment.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// Collects what a stage's own check finds.
#[derive(Debug, Default)]
pub struct Problems(Vec<ParamProblem>);

impl Problems {
    /// Notes that the value at the dotted `path` is out of range unless `holds`.
    pub fn require(&mut self, holds: bool, path: &str, message: impl Into<String>) {
        if !holds {
            let path = path.split('.').map(str::to_owned).collect();
            self.0.push(ParamProblem {
                code: "out_of_range",
                path,
                message: message.into(),
                help: None,
            });
        }
    }
}

/// Decodes `fields`, then lets `check` look at the ranges; every problem is returned.
pub(crate) fn decode<P: Serialize + DeserializeOwned>(
    fields: &Map<String, Value>,
    schema: impl FnOnce() -> Schema,
    check: impl FnOnce(&P, &mut Problems),
) -> Result<P, Vec<ParamProblem>> {
    let mut problems = Vec::new();
    // Most stages of a sweep are right: the schema is only made to explain what is not.
    let decoded = match serde_json::from_value::<P>(Value::Object(fields.clone())) {
        Ok(params) => Some(params),
        Err(_) => explain::<P>(fields.clone(), &schema(), &mut problems),
    };
    if let Some(params) = &decoded {
        let mut found = Problems::default();
        check(params, &mut found);
        problems.extend(found.0);
        if let Err(error) = canon::Value::of(params) {
            problems.push(ParamProblem {
                code: "wrong_type",
                path: vec![],
                message: error.to_string(),
                help: None,
            });
        }
    }
    match decoded {
        Some(params) if problems.is_empty() => Ok(params),
        _ => Err(problems),
    }
}

/// Decodes fields known to be wrong, noting why.
fn explain<P: DeserializeOwned>(
    mut fields: Map<String, Value>,
    schema: &Schema,
    problems: &mut Vec<ParamProblem>,
) -> Option<P> {
    drop_unknown(
        &mut fields,
        schema.as_value(),
        schema.as_value(),
        &mut Vec::new(),
        problems,
    );
    decode_each(&mut fields, problems)
}

/// Decodes, taking out each field that does not fit, so that the next one is seen too.
fn decode_each<P: DeserializeOwned>(
    fields: &mut Map<String, Value>,
    problems: &mut Vec<ParamProblem>,
) -> Option<P> {
    loop {
        let whole = Value::Object(fields.clone());
        let error = match serde_path_to_error::deserialize::<_, P>(whole) {
            Ok(params) => return Some(params),
            Err(error) => error,
        };
        let path = segments(error.path());
        let message = error.inner().to_string();
        let head = path.first().cloned();
        let code = if message.starts_with("missing field") {
            "missing_field"
        } else {
            "wrong_type"
        };
        problems.push(ParamProblem {
            code,
            path,
            message,
            help: None,
        });
        head.and_then(|head| fields.remove(&head))?;
    }
}

fn segments(path: &serde_path_to_error::Path) -> Vec<String> {
    path.iter()
        .map(ToString::to_string)
        .filter(|s| s != "?" && s != ".")
        .collect()
}

/// Takes unknown fields out of `fields`, at any depth, noting each.
fn drop_unknown(
    fields: &mut Map<String, Value>,
    schema: &Value,
    root: &Value,
    path: &mut Vec<String>,
    problems: &mut Vec<ParamProblem>,
) {
    let Some(known) = properties(schema, root) else {
        return;
    };
    fields.retain(|name, _| {
        let found = known.contains_key(name);
        if !found {
            let mut path = path.clone();
            path.push(name.clone());
            problems.push(unknown(name, path, known));
        }
        found
    });
    for (name, value) in fields.iter_mut() {
        if let (Value::Object(inner), Some(schema)) = (value, known.get(name)) {
            path.push(name.clone());
            drop_unknown(inner, schema, root, path, problems);
            path.pop();
        }
    }
}

fn unknown(name: &str, path: Vec<String>, known: &Map<String, Value>) -> ParamProblem {
    let names: Vec<_> = known.keys().map(String::as_str).collect();
    let help = match similar(name, names.iter().copied()).first() {
        Some(best) => format!("did you mean `{best}`?"),
        None => format!("it takes {}", names.join(", ")),
    };
    ParamProblem {
        code: "unknown_field",
        path,
        message: format!("unknown field `{name}`"),
        help: Some(help),
    }
}

/// The named fields of an object schema, through `$ref` and `anyOf` with null; `None` for free maps and leaves.
fn properties<'a>(schema: &'a Value, root: &'a Value) -> Option<&'a Map<String, Value>> {
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        return properties(root.pointer(target.trim_start_matches('#'))?, root);
    }
    if let Some(options) = schema.get("anyOf").and_then(Value::as_array) {
        return options.iter().find_map(|option| properties(option, root));
    }
    schema.get("properties").and_then(Value::as_object)
}
