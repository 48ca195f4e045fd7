//! Labels of axes, as `where:`, `baseline:` and `exclude:` name them.

use super::mapping;
use crate::{
    Axis, Labels, Problem,
    problem::suggestion,
    yaml::{Key, Node},
};

/// A mapping of axis to label, each looked up. `systems` are what `system` may name; empty where it stands for nothing.
pub(crate) fn labels(
    node: &Node,
    name: &str,
    axes: &[Axis],
    systems: &[&str],
    problems: &mut Vec<Problem>,
) -> Labels {
    let mut found = Labels::new();
    for (key, value) in mapping(node, name, problems) {
        let label = if key.name == "system" && !systems.is_empty() {
            system(value, systems)
        } else {
            label(key, value, axes, systems)
        };
        match label {
            Ok(label) => drop(found.insert(key.name.clone(), label)),
            Err(problem) => problems.push(problem),
        }
    }
    found
}

/// The label `value` of the axis `key`.
pub(super) fn label(key: &Key, value: &Node, axes: &[Axis], systems: &[&str]) -> Result<String, Problem> {
    let Some(axis) = axes.iter().find(|axis| axis.name == key.name) else {
        let names = axes.iter().map(|axis| axis.name.as_str());
        let help = suggestion(&key.name, names.chain((!systems.is_empty()).then_some("system")));
        let message = format!("there is no axis `{}`", key.name);
        let problem = Problem::error("ablate::spec::unknown_axis", message);
        return Err(problem.at(key.at).help(help));
    };
    one_of(
        &key.name,
        value,
        axis.points.iter().map(|point| point.label.as_str()),
    )
}

fn system(value: &Node, systems: &[&str]) -> Result<String, Problem> {
    one_of("system", value, systems.iter().copied())
}

fn one_of<'a>(
    name: &str,
    value: &Node,
    mut known: impl Iterator<Item = &'a str> + Clone,
) -> Result<String, Problem> {
    let Some(label) = value.label() else {
        let message = format!("`{name}` must be a label, not {}", value.kind());
        let problem = Problem::error("ablate::spec::wrong_type", message).at(value.at);
        let written = value.written();
        let is_label = known.any(|known| known == written);
        return Err(match is_label {
            true => problem.help(format!("write it as text: `'{written}'`")),
            false => problem,
        });
    };
    if known.clone().any(|known| known == label) {
        return Ok(label);
    }
    let help = suggestion(&label, known.by_ref());
    let message = format!("`{name}` has no `{label}`");
    Err(Problem::error("ablate::spec::unknown_label", message)
        .at(value.at)
        .help(help))
}
