//! Points of a sweep: the fields they set, and the combinations that run.

use serde_json::{Map, Value};

use crate::{
    Axis, Labels, Problem, Setting, Sweep,
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

impl Axis {
    /// Whether it varies anything where `labels` hold.
    pub fn is_active(&self, labels: &Labels) -> bool {
        holds(&self.within, labels)
    }
}

/// Whether all of `wanted` is among `labels`.
pub fn holds(wanted: &Labels, labels: &Labels) -> bool {
    wanted.iter().all(|(axis, label)| labels.get(axis) == Some(label))
}

impl Sweep {
    /// Everything that is set anywhere.
    pub fn all_settings(&self) -> impl Iterator<Item = &Setting> {
        let axes = self.axes.iter().flat_map(|axis| &axis.points);
        let included = self.include.iter().map(|included| &included.point);
        let points = axes.chain(&self.replicate).chain(included);
        let overrides = self.overrides.iter().flat_map(|one| &one.sets);
        points.flat_map(|point| &point.sets).chain(overrides)
    }

    /// What the overrides set where `labels` hold, in file order: later ones win.
    pub fn overridden<'a>(&'a self, labels: &'a Labels) -> impl Iterator<Item = &'a Setting> {
        let here = self.overrides.iter().filter(|one| holds(&one.at, labels));
        here.flat_map(|one| &one.sets)
    }

    /// What is set where `labels` hold, with `more` beside them, in the order it is applied.
    pub(crate) fn settings<'a>(&'a self, labels: &'a Labels, more: &'a [Setting]) -> Vec<&'a Setting> {
        let chosen = self.axes.iter().filter_map(|axis| {
            let label = labels.get(&axis.name)?;
            axis.points.iter().find(|point| point.label == *label)
        });
        let set = chosen.flat_map(|point| &point.sets).chain(more);
        set.chain(self.overridden(labels)).collect()
    }

    /// A combination of the axes that is not excluded and where `fixed` holds. The first in the order of the planner;
    /// `None` too where a great many were tried in vain.
    pub(crate) fn combination(&self, fixed: &Labels) -> Option<Labels> {
        let around = self.axes.iter().filter(|axis| fixed.contains_key(&axis.name));
        let around = around.flat_map(|axis| axis.within.clone());
        let mut search = Search {
            sweep: self,
            fixed: fixed.clone().into_iter().chain(around).collect(),
            tries: TRIES,
        };
        let mut labels = Labels::new();
        let found = search.complete(&self.axes, &mut labels);
        (found && holds(fixed, &labels)).then_some(labels)
    }
}

/// The search for a combination, depth first.
struct Search<'a> {
    sweep: &'a Sweep,
    fixed: Labels,
    tries: usize,
}

impl Search<'_> {
    /// Gives every axis of `axes` that is active a label, so that nothing excludes them.
    fn complete(&mut self, axes: &[Axis], labels: &mut Labels) -> bool {
        let Some((axis, rest)) = axes.split_first() else {
            self.tries = self.tries.saturating_sub(1);
            return !self.sweep.exclude.iter().any(|excluded| holds(excluded, labels));
        };
        if !axis.is_active(labels) {
            return self.complete(rest, labels);
        }
        for point in &axis.points {
            let fits = self
                .fixed
                .get(&axis.name)
                .is_none_or(|label| *label == point.label);
            if fits && self.tries > 0 {
                labels.insert(axis.name.clone(), point.label.clone());
                if self.complete(rest, labels) {
                    return true;
                }
            }
        }
        labels.remove(&axis.name);
        false
    }
}
