//! The JSON Schema of a type, as editors, the reference and the check of ranges read it.

use std::{
    any::TypeId,
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use schemars::{JsonSchema, Schema, generate::SchemaSettings, transform::transform_subschemas};
use serde_json::{Map, Value, json};

use crate::ParamProblem;

/// The schema of `T` in draft 7, without references. Made once for each type.
pub fn schema_of<T: JsonSchema + 'static>() -> &'static Schema {
    static MADE: Mutex<BTreeMap<TypeId, &'static Schema>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.entry(TypeId::of::<T>())
        .or_insert_with(|| Box::leak(Box::new(generate::<T>())))
}

/// The same as a value of one's own, to build on.
pub fn json_schema<T: JsonSchema + 'static>() -> Value {
    schema_of::<T>().clone().to_value()
}

fn generate<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft07().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings
        .with_transform(plain)
        .into_generator()
        .into_root_schema_for::<T>();
    schema.remove("title");
    schema
}

/// Leaves out what only Rust knows, and writes described variants as one `enum`: editors offer it with its texts.
fn plain(schema: &mut Schema) {
    transform_subschemas(&mut plain, schema);
    schema.remove("format");
    let Some(variants) = schema.get("oneOf").and_then(Value::as_array) else {
        return;
    };
    let part = |name: &str| -> Option<Vec<Value>> {
        variants
            .iter()
            .map(|variant| variant.get(name).cloned())
            .collect()
    };
    if let (Some(names), Some(texts)) = (part("const"), part("description")) {
        schema.remove("oneOf");
        schema.insert("type".into(), json!("string"));
        schema.insert("enum".into(), names.into());
        schema.insert("enumDescriptions".into(), texts.into());
    }
}

/// The named fields of an object schema; `None` for free maps and leaves.
pub fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    if let Some(options) = schema.get("anyOf").and_then(Value::as_array) {
        return options.iter().find_map(properties);
    }
    schema.get("properties").and_then(Value::as_object)
}

/// The range a schema declares, in words that follow "must be"; `None` if it declares none.
pub fn range(schema: &Value) -> Option<String> {
    let bound = |name: &str| schema.get(name).filter(|bound| !bound.is_null());
    let low = bound("minimum").map(|low| format!("at least {low}"));
    let low = low.or_else(|| bound("exclusiveMinimum").map(|low| format!("above {low}")));
    let high = bound("maximum").map(|high| format!("at most {high}"));
    let high = high.or_else(|| bound("exclusiveMaximum").map(|high| format!("below {high}")));
    match (low, high) {
        (Some(low), Some(high)) => Some(format!("{low} and {high}")),
        (low, high) => low.or(high),
    }
}

/// A value that fits a field, if it must be given.
pub(crate) fn needed(schema: &Value, name: &str) -> Option<Value> {
    let required = schema["required"].as_array()?;
    required
        .contains(&name.into())
        .then(|| fitting(&schema["properties"][name]))
}

fn fitting(schema: &Value) -> Value {
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    if let Some(first) = schema["anyOf"].get(0) {
        return fitting(first);
    }
    let least = || schema.get("minimum").cloned().unwrap_or(json!(1));
    match schema["type"].as_str() {
        Some("string") => json!("a text"),
        Some("integer" | "number") => least(),
        Some("boolean") => json!(false),
        Some("array") => json!([]),
        Some("object") => {
            let names = schema["required"].as_array().into_iter().flatten();
            let of = |name: &Value| Some((name.as_str()?.to_owned(), needed(schema, name.as_str()?)?));
            Value::Object(names.filter_map(of).collect())
        }
        _ => Value::Null,
    }
}

/// Every value of `fields` that lies outside the range its schema declares.
pub(crate) fn out_of_range(fields: &Map<String, Value>, schema: &Value) -> Vec<ParamProblem> {
    let mut problems = Vec::new();
    object(fields, schema, &mut Vec::new(), &mut problems);
    problems
}

fn object(
    fields: &Map<String, Value>,
    schema: &Value,
    path: &mut Vec<String>,
    problems: &mut Vec<ParamProblem>,
) {
    for (name, value) in fields {
        if let Some(schema) = properties(schema).and_then(|known| known.get(name)) {
            path.push(name.clone());
            one(value, schema, path, problems);
            path.pop();
        }
    }
}

fn one(value: &Value, schema: &Value, path: &mut Vec<String>, problems: &mut Vec<ParamProblem>) {
    if let Some(message) = broken(value, schema) {
        problems.push(ParamProblem {
            code: "out_of_range",
            path: path.clone(),
            message,
            help: None,
        });
    }
    match value {
        Value::Object(fields) => object(fields, schema, path, problems),
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                path.push(format!("[{at}]"));
                one(item, &schema["items"], path, problems);
                path.pop();
            }
        }
        _ => {}
    }
}

/// What a value breaks of its own schema.
fn broken(value: &Value, schema: &Value) -> Option<String> {
    let limit = |name: &str| schema.get(name).and_then(Value::as_f64);
    let short = |length: usize, name: &str| limit(name).is_some_and(|least| (length as f64) < least);
    match value {
        Value::Number(number) => {
            let number = number.as_f64()?;
            let outside = limit("minimum").is_some_and(|low| number < low)
                || limit("maximum").is_some_and(|high| number > high)
                || limit("exclusiveMinimum").is_some_and(|low| number <= low)
                || limit("exclusiveMaximum").is_some_and(|high| number >= high);
            outside.then(|| format!("must be {}", range(schema).unwrap_or_default()))
        }
        Value::String(text) if short(text.chars().count(), "minLength") => Some("must not be empty".into()),
        Value::Array(items) if short(items.len(), "minItems") => Some("must not be empty".into()),
        Value::Array(items) if schema.get("uniqueItems") == Some(&Value::Bool(true)) => {
            let twice = (1..items.len()).find(|at| items[..*at].contains(&items[*at]))?;
            Some(format!("{} stands twice", items[twice]))
        }
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, dead_code)]
mod tests {
    use super::*;

    /// Sorts.
    #[derive(JsonSchema)]
    #[schemars(rename_all = "snake_case")]
    enum Sort {
        /// The first.
        One,
        /// The second.
        TwoWords,
    }

    #[derive(JsonSchema)]
    struct Inner {
        #[schemars(extend("exclusiveMinimum" = 0), range(max = 1))]
        share: Option<f64>,
    }

    #[derive(JsonSchema)]
    struct Params {
        /// Which.
        sort: Sort,
        #[schemars(range(min = 2))]
        count: u32,
        inner: Inner,
        #[schemars(length(min = 1), inner(length(min = 1)), extend("uniqueItems" = true))]
        names: Vec<String>,
    }

    fn told(fields: Value) -> Vec<String> {
        let found = out_of_range(fields.as_object().unwrap(), schema_of::<Params>().as_value());
        let line = |problem: ParamProblem| format!("{} {}", problem.path.join("."), problem.message);
        found.into_iter().map(line).collect()
    }

    #[test]
    fn variants_are_an_enum_with_texts_and_fields_keep_their_own() {
        let sort = &properties(schema_of::<Params>().as_value()).unwrap()["sort"];
        assert_eq!(
            *sort,
            json!({"description": "Which.", "type": "string", "enum": ["one", "two_words"],
                   "enumDescriptions": ["The first.", "The second."]})
        );
    }

    #[test]
    fn every_value_out_of_range_is_told_with_its_place() {
        let fine = json!({"count": 2, "inner": {"share": 1.0}, "names": ["a", "b"]});
        assert_eq!(told(fine), [""; 0]);
        let nothing = json!({"inner": {"share": null}});
        assert_eq!(told(nothing), [""; 0]);
        let wrong = json!({"count": 1, "inner": {"share": 0.0}, "names": []});
        assert_eq!(
            told(wrong),
            [
                "count must be at least 2",
                "inner.share must be above 0 and at most 1",
                "names must not be empty"
            ]
        );
        let names = json!({"names": ["a", "", "a"]});
        assert_eq!(
            told(names),
            ["names \"a\" stands twice", "names.[1] must not be empty"]
        );
    }
}
