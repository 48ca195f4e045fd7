//! Walks the registry: every parameter that matters moves the key, none that only tells how to work does, and every
//! kind is described.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};

use ablate_core::{StageKind, properties};
use ablate_registry::STAGES;
use serde_json::{Map, Value, json};

/// For each kind, one value for every parameter, and another one that is valid too: `[first, second]`. A list of such
/// objects where not all parameters may stand together.
fn values() -> BTreeMap<&'static str, Vec<Value>> {
    let all: Value = serde_json::from_str(include_str!("parameters.json")).unwrap();
    let find = |kind: &&dyn StageKind| {
        let value = all
            .get(kind.name())
            .unwrap_or_else(|| panic!("{} is missing in parameters.json", kind.name()));
        let alternatives = value.as_array().cloned();
        (kind.name(), alternatives.unwrap_or_else(|| vec![value.clone()]))
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

/// Every parameter in the schema, by its dotted path.
fn parameters(kind: &dyn StageKind) -> BTreeMap<String, Value> {
    fn walk(prefix: &str, schema: &Value, into: &mut BTreeMap<String, Value>) {
        for (name, field) in properties(schema).into_iter().flatten() {
            let path = format!("{prefix}{name}");
            if properties(field).is_some() {
                walk(&format!("{path}."), field, into);
            } else {
                into.insert(path, field.clone());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk("", kind.schema().as_value(), &mut found);
    found
}

#[test]
fn every_parameter_is_mutated() {
    for kind in STAGES {
        let known: BTreeSet<String> = parameters(*kind).into_keys().collect();
        let mut tried = Vec::new();
        for values in &values()[kind.name()] {
            leaves("", values.as_object().unwrap(), &mut tried);
        }
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
        for values in &values()[kind.name()] {
            mutate(*kind, values.as_object().unwrap());
        }
    }
}

/// Sets one parameter after the other to its second value, the others at their first.
fn mutate(kind: &dyn StageKind, values: &Map<String, Value>) {
    let mut all = Vec::new();
    leaves("", values, &mut all);
    let mut base = Map::new();
    all.iter()
        .for_each(|(path, first, _)| put(&mut base, path, first.clone()));
    for (path, _, second) in &all {
        let mut changed = base.clone();
        put(&mut changed, path, second.clone());
        let moved = meaning(kind, &changed) != meaning(kind, &base);
        let execution = kind.execution().contains(&path.as_str());
        assert_eq!(moved, !execution, "{}.{path}", kind.name());
    }
}

#[test]
fn execution_parameters_exist() {
    for kind in STAGES {
        let known = parameters(*kind);
        for path in kind.execution() {
            assert!(
                known.contains_key(*path),
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
        for name in properties(kind.schema().as_value())
            .into_iter()
            .flatten()
            .map(|(name, _)| name)
        {
            assert!(
                kind.inputs().iter().all(|input| input.name != name),
                "{}.{name} is also a port",
                kind.name()
            );
        }
    }
}

#[test]
fn every_port_parameter_and_value_says_what_it_is() {
    for kind in STAGES {
        let name = kind.name();
        for port in kind.inputs() {
            assert!(
                !port.about.is_empty(),
                "{name}: the input {} has no `about`",
                port.name
            );
            let source = port.source.map(|source| (source.about(), source.examples()));
            let shown = source.is_none_or(|(about, examples)| !about.is_empty() && !examples.is_empty());
            assert!(
                shown,
                "{name}: the source of {} has no `about` or examples",
                port.name
            );
        }
        for port in kind.outputs() {
            assert!(
                !port.about.is_empty(),
                "{name}: the output {} has no `about`",
                port.name
            );
        }
        for (path, field) in parameters(*kind) {
            let about = field["description"].as_str().unwrap_or_default();
            assert!(!about.is_empty(), "{name}.{path} has no doc comment");
            assert!(
                field.get("oneOf").is_none(),
                "{name}.{path}: give every variant a doc comment"
            );
        }
        let start = format!("{{use: {name}");
        assert!(
            kind.example().contains(&start),
            "{name} has no example `NAME: {start}, ...}}`"
        );
    }
}

#[test]
fn the_reference_s_ranges_hold() {
    let fields = json!({"depth": 0, "b": 1.5});
    let kind = STAGES.iter().find(|kind| kind.name() == "retrieve/bm25").unwrap();
    let problems = kind.bind(fields.as_object().unwrap()).err().unwrap();
    let told: Vec<_> = problems
        .iter()
        .map(|problem| format!("{} {}", problem.path.join("."), problem.message))
        .collect();
    assert_eq!(
        told,
        ["b must be at least 0 and at most 1", "depth must be at least 1"]
    );
}
