//! From the fields a user wrote to a stage's parameters, collecting every problem.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    canon,
    schema::{out_of_range, properties},
    similar,
};

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

/// Decodes `fields`, then looks at the ranges `schema` declares and lets `check` look at the rest; every problem is
/// returned.
pub(crate) fn decode<P: Serialize + DeserializeOwned>(
    fields: &Map<String, Value>,
    schema: &Value,
    check: impl FnOnce(&P, &mut Problems),
) -> Result<P, Vec<ParamProblem>> {
    let mut problems = Vec::new();
    let mut fields = fields.clone();
    // Most stages of a sweep are right: only what is not is looked at field by field.
    let read = serde_json::from_value::<P>(Value::Object(fields.clone())).ok();
    let decoded = read.or_else(|| {
        drop_unknown(&mut fields, schema, &mut Vec::new(), &mut problems);
        decode_each(&mut fields, &mut problems)
    });
    problems.extend(out_of_range(&fields, schema));
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
    path: &mut Vec<String>,
    problems: &mut Vec<ParamProblem>,
) {
    let Some(known) = properties(schema) else {
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
            drop_unknown(inner, schema, path, problems);
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
