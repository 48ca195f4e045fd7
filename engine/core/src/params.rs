//! From the fields a user wrote to a stage's parameters, collecting every problem.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    canon,
    schema::{needed, out_of_range, properties},
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
    /// What was found.
    pub(crate) fn into_found(self) -> Vec<ParamProblem> {
        self.0
    }

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
    drop_unknown(&mut fields, schema, &mut Vec::new(), &mut problems);
    // Most stages of a sweep are right: only what is not is looked at field by field.
    let decoded = read(&fields)
        .ok()
        .or_else(|| decode_each(&mut fields, schema, &mut problems));
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

/// Decodes, putting each field right that does not fit, so that the next one is seen too. `None` if a value had to be made up.
fn decode_each<P: DeserializeOwned>(
    fields: &mut Map<String, Value>,
    schema: &Value,
    problems: &mut Vec<ParamProblem>,
) -> Option<P> {
    let mut made_up = false;
    loop {
        let all = Value::Object(fields.clone());
        let error = match serde_path_to_error::deserialize::<_, P>(all) {
            Ok(params) => return (!made_up).then_some(params),
            Err(error) => error,
        };
        let message = error.inner().to_string();
        let missing = message
            .strip_prefix("missing field `")
            .and_then(|rest| rest.strip_suffix('`'));
        let mut path = segments(error.path());
        if missing.is_none() {
            path = culprit::<P>(fields, schema, path, &message);
        }
        let leaf: Vec<_> = path.iter().cloned().chain(missing.map(str::to_owned)).collect();
        let code = if missing.is_some() {
            "missing_field"
        } else {
            "wrong_type"
        };
        let problem = ParamProblem {
            code,
            path,
            message,
            help: None,
        };
        if problems.contains(&problem) {
            return None;
        }
        problems.push(problem);
        made_up |= put_right(fields, &leaf, schema)?;
    }
}

fn read<P: DeserializeOwned>(fields: &Map<String, Value>) -> Result<P, serde_json::Error> {
    serde_json::from_value(Value::Object(fields.clone()))
}

/// Gives the field at `path` another value that fits, or leaves it out if it has a default. Says whether a value had to
/// be made up; `None` if there is no such field.
fn put_right(fields: &mut Map<String, Value>, path: &[String], schema: &Value) -> Option<bool> {
    let (name, rest) = path.split_first()?;
    if let (Some(Value::Object(inner)), [next, ..]) = (fields.get_mut(name), rest) {
        let schema = &properties(schema)?[name];
        if properties(schema).is_some_and(|known| known.contains_key(next)) {
            return put_right(inner, rest, schema);
        }
    }
    fields.remove(name);
    let made_up = needed(schema, name);
    let any = made_up.is_some();
    fields.extend(made_up.map(|value| (name.clone(), value)));
    Some(any)
}

/// The innermost field at or below `path` without which `message` is not told: serde does not name those of a flattened
/// group, nor those below one.
fn culprit<P: DeserializeOwned>(
    fields: &Map<String, Value>,
    schema: &Value,
    mut path: Vec<String>,
    message: &str,
) -> Vec<String> {
    let is_guilty = |path: &[String]| {
        let mut others = fields.clone();
        put_right(&mut others, path, schema);
        read::<P>(&others)
            .err()
            .is_none_or(|error| error.to_string() != message)
    };
    while let Some(inner) = object_at(fields, &path) {
        let below = |name: &String| [path.as_slice(), std::slice::from_ref(name)].concat();
        let Some(guilty) = inner.keys().map(below).find(|path| is_guilty(path)) else {
            break;
        };
        path = guilty;
    }
    path
}

fn object_at<'a>(fields: &'a Map<String, Value>, path: &[String]) -> Option<&'a Map<String, Value>> {
    path.iter()
        .try_fold(fields, |fields, name| fields.get(name)?.as_object())
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
    let none = Map::new();
    let known = match properties(schema) {
        Some(known) => known,
        None if schema["additionalProperties"] == false => &none,
        None => return,
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
        None if names.is_empty() => "it takes none".into(),
        None => format!("it takes {}", names.join(", ")),
    };
    ParamProblem {
        code: "unknown_field",
        path,
        message: format!("unknown field `{name}`"),
        help: Some(help),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    use super::*;
    use crate::schema_of;

    #[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
    #[serde(default)]
    struct Shared {
        #[schemars(range(min = 1))]
        batch: usize,
        rate: f64,
        sort: Option<String>,
        decoding: Group,
    }

    #[derive(Debug, Serialize, Deserialize, JsonSchema)]
    struct Params {
        #[serde(flatten)]
        shared: Shared,
        name: String,
        depth: Option<usize>,
        #[serde(default)]
        group: Option<Group>,
    }

    #[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
    struct Group {
        #[serde(default)]
        heat: f64,
        #[serde(default)]
        stop: Vec<String>,
        size: usize,
    }

    fn decoded(fields: &Value) -> Result<Params, Vec<String>> {
        let schema = schema_of::<Params>().as_value();
        decode(fields.as_object().unwrap(), schema, |_, _| ()).map_err(|problems| {
            let line = |problem: ParamProblem| {
                format!("{} {}: {}", problem.code, problem.path.join("."), problem.message)
            };
            problems.into_iter().map(line).collect()
        })
    }

    #[test]
    fn a_flattened_group_is_read_beside_other_fields() {
        let params = decoded(&json!({"batch": 8, "rate": 1, "name": "a", "depth": 3})).unwrap();
        assert_eq!(
            (params.shared.batch, params.shared.rate, params.depth),
            (8, 1.0, Some(3))
        );
    }

    #[test]
    fn every_wrong_field_of_a_flattened_group_is_named() {
        let fields = json!({"batch": "many", "rate": "high", "sort": null, "depth": 1.5, "nme": "a"});
        assert_eq!(
            decoded(&fields).unwrap_err(),
            [
                "unknown_field nme: unknown field `nme`",
                "wrong_type depth: invalid type: floating point `1.5`, expected usize",
                "missing_field : missing field `name`",
                "wrong_type batch: invalid type: string \"many\", expected usize",
                "wrong_type rate: invalid type: string \"high\", expected f64",
            ]
        );
        assert_eq!(
            decoded(&json!({"batch": 0, "name": "a"})).unwrap_err(),
            ["out_of_range batch: must be at least 1"]
        );
    }

    #[test]
    fn every_wrong_field_of_a_nested_group_is_named() {
        let wrong = json!({"heat": "hot", "size": 1.5, "stop": "x"});
        let told = [
            "heat: invalid type: string \"hot\", expected f64",
            "size: invalid type: floating point `1.5`, expected usize",
            "stop: invalid type: string \"x\", expected a sequence",
        ];
        for group in ["group", "decoding"] {
            let expected = told.map(|line| format!("wrong_type {group}.{line}"));
            let mut found = decoded(&json!({"name": "a", group: wrong})).unwrap_err();
            found.sort();
            assert_eq!(found, expected, "{group}");
        }
        let missing = decoded(&json!({"name": "a", "depth": "x", "group": {"heat": "hot"}})).unwrap_err();
        assert_eq!(
            missing,
            [
                "wrong_type depth: invalid type: string \"x\", expected usize",
                "wrong_type group.heat: invalid type: string \"hot\", expected f64",
                "missing_field group: missing field `size`",
            ]
        );
    }
}
