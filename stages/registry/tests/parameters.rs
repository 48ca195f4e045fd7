//! Walks the registry: every parameter that matters moves the key, none that only tells how to work does, and every
//! kind is described.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};

use ablate_core::StageKind;
use ablate_registry::STAGES;
use serde_json::{Map, Value, json};

/// For each kind, one value for every parameter, and another one that is valid too: `[first, second]`.
fn values() -> BTreeMap<&'static str, Value> {
    let all: Value = serde_json::from_str(include_str!("parameters.json")).unwrap();
    let find = |kind: &&dyn StageKind| {
        let value = all
            .get(kind.name())
            .unwrap_or_else(|| panic!("{} is missing in parameters.json", kind.name()));
        (kind.name(), value.clone())
    };
    STAGES.iter().map(find).collect()
}

/// The leaves of `value` as dotted paths to `[first, second]`.
fn leaves(prefix: &str, value: &Map<String, Value>, into: &mut Vec<(String, Value, Value)>) {
    for (name, value) in value {
        let path = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        match value {
            Value::Object(inner) => leaves(&path, inner, into),
            Value::Array(pair) => into.push((path, pair[0].clone(), pair[1].clone())),
            other => panic!("{path}: write [first, second], not {other}"),
        }
    }
}

fn put(fields: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => drop(fields.insert(path.into(), value)),
        Some((head, rest)) => {
            let inner = fields.entry(head).or_insert_with(|| json!({}));
            put(inner.as_object_mut().unwrap(), rest, value);
        }
    }
}

fn meaning(kind: &dyn StageKind, fields: &Map<String, Value>) -> Vec<u8> {
    let bound = kind
        .bind(fields)
        .unwrap_or_else(|problems| panic!("{} {fields:?}: {problems:?}", kind.name()));
    bound.meaning().encode()
}

/// Dotted paths of every parameter in the schema.
fn schema_paths(prefix: &str, schema: &Value, root: &Value, into: &mut BTreeSet<String>) {
    for (name, field) in properties(schema, root).into_iter().flatten() {
        let path = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        if properties(field, root).is_some() {
            schema_paths(&path, field, root, into);
        } else {
            into.insert(path);
        }
    }
}

fn properties<'a>(schema: &'a Value, root: &'a Value) -> Option<&'a Map<String, Value>> {
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        return properties(root.pointer(target.trim_start_matches('#'))?, root);
    }
    schema.get("properties").and_then(Value::as_object)
}

#[test]
fn every_parameter_is_mutated() {
    for kind in STAGES {
        let mut known = BTreeSet::new();
        let schema = kind.schema();
        schema_paths("", schema.as_value(), schema.as_value(), &mut known);
        let mut tried = Vec::new();
        leaves("", values()[kind.name()].as_object().unwrap(), &mut tried);
        let tried: BTreeSet<String> = tried.into_iter().map(|(path, ..)| path).collect();
        assert_eq!(
            tried,
            known,
            "{}: parameters.json (left) against the schema (right)",
            kind.name()
        );
    }
}

#[test]
fn meaning_moves_the_key_and_execution_does_not() {
    for kind in STAGES {
        let mut all = Vec::new();
        leaves("", values()[kind.name()].as_object().unwrap(), &mut all);
        let mut base = Map::new();
        all.iter()
            .for_each(|(path, first, _)| put(&mut base, path, first.clone()));
        for (path, _, second) in &all {
            let mut changed = base.clone();
            put(&mut changed, path, second.clone());
            let moved = meaning(*kind, &changed) != meaning(*kind, &base);
            let execution = kind.execution().contains(&path.as_str());
            assert_eq!(moved, !execution, "{}.{path}", kind.name());
        }
    }
}

#[test]
fn execution_parameters_exist() {
    for kind in STAGES {
        let mut known = BTreeSet::new();
        let schema = kind.schema();
        schema_paths("", schema.as_value(), schema.as_value(), &mut known);
        for path in kind.execution() {
            assert!(
                known.contains(*path),
                "{} declares {path}, which is no parameter",
                kind.name()
            );
        }
    }
}

#[test]
fn defaults_mean_the_same_spelled_out() {
    for kind in STAGES {
        let Ok(bound) = kind.bind(&Map::new()) else {
            continue;
        };
        let params = bound.params();
        let spelled: Map<String, Value> = params
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, v)| !v.is_null())
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        assert_eq!(
            meaning(*kind, &spelled),
            meaning(*kind, &Map::new()),
            "{}",
            kind.name()
        );
    }
}

#[test]
fn kinds_are_unique_sorted_and_described() {
    let names: Vec<_> = STAGES.iter().map(|kind| kind.name()).collect();
    let sorted: BTreeSet<_> = names.iter().copied().collect();
    assert_eq!(names, sorted.into_iter().collect::<Vec<_>>());
    for kind in STAGES {
        assert!(!kind.about().is_empty(), "{} says nothing of itself", kind.name());
        assert!(!kind.outputs().is_empty(), "{} makes nothing", kind.name());
        let schema = kind.schema();
        for (name, field) in properties(schema.as_value(), schema.as_value())
            .into_iter()
            .flatten()
        {
            let described = field.get("description").is_some() || field.get("$ref").is_some();
            assert!(described, "{}.{name} has no description", kind.name());
            assert!(
                kind.inputs().iter().all(|input| input.name != name),
                "{}.{name} is also a port",
                kind.name()
            );
        }
    }
}
