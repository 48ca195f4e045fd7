//! Points of a sweep: the fields they set, and the combinations that run.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{
    Problem, Setting, Sweep,
    yaml::{Key, Node},
};

/// How many combinations are tried to find one that runs.
const TRIES: usize = 10_000;

/// Sets the field at `path`, making the mappings on the way.
pub fn apply(fields: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => drop(fields.insert(last.clone(), value)),
        [first, rest @ ..] => {
            let inner = fields.entry(first).or_insert(Value::Null);
            if !inner.is_object() {
                *inner = Value::Object(Map::new());
            }
            if let Value::Object(inner) = inner {
                apply(inner, rest, value);
            }
        }
    }
}

/// `stage.field[.sub]` as a stage and a path.
pub(crate) fn target(text: &str) -> Option<(String, Vec<String>)> {
    let mut parts = text.split('.').map(str::to_owned);
    let stage = parts.next().filter(|stage| !stage.is_empty())?;
    let path: Vec<_> = parts.collect();
    let whole = !path.is_empty() && path.iter().all(|part| !part.is_empty());
    whole.then_some((stage, path))
}

/// One field set to one value, as a sweep writes it.
pub(crate) fn setting(key: &Key, value: &Node) -> Result<Setting, Problem> {
    let Some((stage, path)) = target(&key.name) else {
        let message = format!("`{}` names no field of a stage", key.name);
        let problem = Problem::error("ablate::spec::bad_axis", message).at(key.at);
        return Err(problem.help("write `stage.field: VALUE`"));
    };
    Ok(Setting {
        stage,
        path,
        value: value.json(),
        span: value.at,
        key: key.at,
    })
}

/// A combination of the axes that is not excluded: for each axis the index of its point. `fixed` is one of them.
/// The first in the order the planner lists them.
pub(crate) fn combination(sweep: &Sweep, fixed: Option<(usize, usize)>) -> Option<Vec<usize>> {
    let mut at = vec![0; sweep.axes.len()];
    if let Some((axis, point)) = fixed {
        at[axis] = point;
    }
    for _ in 0..TRIES {
        if !excluded(sweep, &at) {
            return Some(at);
        }
        let free = (0..at.len())
            .rev()
            .filter(|axis| fixed.is_none_or(|(fixed, _)| fixed != *axis));
        let mut carried = true;
        for axis in free {
            at[axis] = (at[axis] + 1) % sweep.axes[axis].points.len();
            carried = at[axis] == 0;
            if !carried {
                break;
            }
        }
        if carried {
            return None;
        }
    }
    None
}

fn excluded(sweep: &Sweep, at: &[usize]) -> bool {
    let label = |name: &str| {
        let axis = sweep.axes.iter().position(|axis| axis.name == name)?;
        Some(sweep.axes[axis].points[at[axis]].label.as_str())
    };
    let hit = |wanted: &BTreeMap<String, String>| wanted.iter().all(|(axis, l)| label(axis) == Some(l));
    sweep.exclude.iter().any(hit)
}

/// What is set at a combination of the axes, in the order it is applied.
pub(crate) fn settings<'a>(sweep: &'a Sweep, at: &[usize]) -> Vec<&'a Setting> {
    let points = sweep.axes.iter().zip(at).map(|(axis, at)| &axis.points[*at]);
    points.flat_map(|point| &point.sets).collect()
}
