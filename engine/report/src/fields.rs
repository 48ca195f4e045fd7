//! The differing leaves of two JSON trees.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

/// A field that has another value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldChange {
    /// Its dotted path, list places as numbers: `params.decoding.temperature`.
    pub path: String,
    /// The value before; `None` where there was none.
    pub old: Option<Value>,
    /// The value after; `None` where there is none.
    pub new: Option<Value>,
}

impl FieldChange {
    /// Whether it is the content of an input that a node computed, so that the cause lies upstream of this node.
    /// Digests of sources (models, collections) and everything else are the node's own.
    pub fn is_carried(&self) -> bool {
        self.path.starts_with("inputs.") && self.path.ends_with(".content")
    }
}

/// The leaves in which `old` and `new` differ, in order of their paths; a mapping on one side only is one leaf each.
pub(crate) fn changes(old: &Value, new: &Value) -> Vec<FieldChange> {
    let mut found = Vec::new();
    walk(String::new(), Some(old), Some(new), &mut found);
    found
}

fn walk(path: String, old: Option<&Value>, new: Option<&Value>, found: &mut Vec<FieldChange>) {
    if old == new {
        return;
    }
    let names: BTreeSet<String> = match (old, new) {
        (Some(old), Some(new)) if both_nested(old, new) => names(old).chain(names(new)).collect(),
        _ => {
            found.push(FieldChange {
                path,
                old: old.cloned(),
                new: new.cloned(),
            });
            return;
        }
    };
    for name in sorted(names) {
        let below = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        walk(
            below,
            old.and_then(|v| child(v, &name)),
            new.and_then(|v| child(v, &name)),
            found,
        );
    }
}

fn both_nested(old: &Value, new: &Value) -> bool {
    old.is_object() && new.is_object() || old.is_array() && new.is_array()
}

fn names(value: &Value) -> Box<dyn Iterator<Item = String> + '_> {
    match value {
        Value::Object(map) => Box::new(map.keys().cloned()),
        Value::Array(items) => Box::new((0..items.len()).map(|place| place.to_string())),
        _ => Box::new(std::iter::empty()),
    }
}

/// List places in their order (2 before 10).
fn sorted(names: BTreeSet<String>) -> Vec<String> {
    let mut names: Vec<_> = names.into_iter().collect();
    names.sort_by_key(|name| name.parse::<usize>().ok());
    names
}

fn child<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        _ => value.get(name),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn leaves_by_dotted_path() {
        let old =
            json!({"version": 1, "params": {"decoding": {"temperature": 0.0}, "stop": ["a", "b"], "top": 5}});
        let new =
            json!({"version": 2, "params": {"decoding": {"temperature": 0.7}, "stop": ["a"], "seed": null}});
        let found: Vec<_> = changes(&old, &new)
            .into_iter()
            .map(|c| (c.path, c.old, c.new))
            .collect();
        let expected = [
            ("params.decoding.temperature", Some(json!(0.0)), Some(json!(0.7))),
            ("params.seed", None, Some(Value::Null)),
            ("params.stop.1", Some(json!("b")), None),
            ("params.top", Some(json!(5)), None),
            ("version", Some(json!(1)), Some(json!(2))),
        ];
        assert_eq!(
            found,
            expected.map(|(path, old, new)| (path.to_owned(), old, new))
        );
    }

    #[test]
    fn equal_trees_have_no_changes() {
        let tree = json!({"a": [1, {"b": 2}]});
        assert_eq!(changes(&tree, &tree), []);
    }

    #[test]
    fn an_array_becoming_a_mapping_is_one_change() {
        assert_eq!(changes(&json!({"a": [1]}), &json!({"a": {"b": 1}})).len(), 1);
    }

    #[test]
    fn only_computed_inputs_are_carried() {
        let carried = |path: &str| {
            FieldChange {
                path: path.into(),
                old: None,
                new: None,
            }
            .is_carried()
        };
        assert!(carried("inputs.corpus.content"));
        assert!(!carried("inputs.model.digest") && !carried("params.content") && !carried("version"));
    }
}
