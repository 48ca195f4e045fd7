//! `sweep:` as written: axes, replicates, exclusions, single points.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Axis, Point, Problem, Setting, Sweep, fields, names,
    point::setting,
    problem::suggestion,
    yaml::{Data, Key, Node},
};

/// Reads a sweep. What is wrong with its shape goes into `problems`; whether its values fit the stages is looked at
/// elsewhere.
pub(crate) fn read(node: &Node, problems: &mut Vec<Problem>) -> Sweep {
    let mut sweep = Sweep::default();
    for (key, value) in mapping(node, "sweep", problems) {
        match key.name.as_str() {
            "axes" => {
                let axes = mapping(value, "axes", problems);
                let read = axes.iter().filter_map(|(key, node)| axis(key, node, problems));
                sweep.axes = read.collect();
            }
            "replicate" => sweep.replicate = replicate(value, problems),
            "include" => sweep.include = include(value, problems),
            "exclude" => {}
            other => {
                let message = format!("`sweep` has no field `{other}`");
                let problem = Problem::error("ablate::spec::unknown_field", message).at(key.at);
                problems.push(problem.help(suggestion(other, fields::known(&fields::SWEEP))));
            }
        }
    }
    if let Some((_, node)) = node.get("exclude") {
        sweep.exclude = items(node)
            .iter()
            .filter_map(|item| exclusion(item, &sweep.axes, problems))
            .collect();
    }
    sweep
}

/// The entries of what must be a mapping.
pub(crate) fn mapping<'a>(node: &'a Node, name: &str, problems: &mut Vec<Problem>) -> &'a [(Key, Node)] {
    node.entries().unwrap_or_else(|| {
        let message = format!("`{name}` must be a mapping, not {}", node.kind());
        problems.push(Problem::error("ablate::spec::wrong_type", message).at(node.at));
        &[]
    })
}

/// The items of a list; a single item stands for a list of one.
fn items(node: &Node) -> &[Node] {
    match &node.data {
        Data::Seq(items) => items,
        _ => std::slice::from_ref(node),
    }
}

fn axis(key: &Key, node: &Node, problems: &mut Vec<Problem>) -> Option<Axis> {
    problems.extend(names::axis(key));
    let name = key.name.clone();
    let entries = node.entries().unwrap_or_default();
    let points = match entries {
        [(field, values)] if matches!(values.data, Data::Seq(_)) => {
            let read: Vec<_> = items(values)
                .iter()
                .filter_map(|value| single(field, value, problems))
                .collect();
            if items(values).is_empty() {
                let problem = Problem::error("ablate::spec::bad_axis", format!("the axis `{name}` is empty"));
                problems.push(problem.at(values.at).help("list at least one value"));
            }
            read
        }
        [] => {
            problems.push(shapeless(&name, node));
            return None;
        }
        _ => entries
            .iter()
            .filter_map(|entry| labelled(&name, entry, problems))
            .collect(),
    };
    problems.extend(twice(&points, &format!("the axis `{name}`")));
    (!points.is_empty()).then_some(Axis { name, points })
}

fn shapeless(name: &str, node: &Node) -> Problem {
    let message = format!("the axis `{name}` does not say which field it varies");
    Problem::error("ablate::spec::bad_axis", message)
        .at(node.at)
        .help(format!(
            "write `{name}: {{stage.field: [VALUE, ...]}}`, or labels: `{name}: {{LABEL: {{stage.field: VALUE}}}}`"
        ))
}

fn single(field: &Key, value: &Node, problems: &mut Vec<Problem>) -> Option<Point> {
    let label = value.label().unwrap_or_else(|| value.json().to_string());
    let sets = keep(setting(field, value), problems)?;
    Some(Point {
        label,
        sets: vec![sets],
    })
}

fn labelled(axis: &str, (label, fields): &(Key, Node), problems: &mut Vec<Problem>) -> Option<Point> {
    let Some(entries) = fields.entries() else {
        let message = format!("`{}` in the axis `{axis}` must map fields to values", label.name);
        let help = match fields.data {
            Data::Seq(_) => {
                "an axis lists values of one field: to vary another, write another axis, or give labels"
            }
            _ => "write a list of values, or a label with `{stage.field: VALUE}`",
        };
        let problem = Problem::error("ablate::spec::bad_axis", message);
        problems.push(problem.at(label.at).help(help));
        return None;
    };
    let sets = entries.iter().map(|(key, value)| setting(key, value));
    let sets: Vec<_> = sets.filter_map(|read| keep(read, problems)).collect();
    Some(Point {
        label: label.name.clone(),
        sets,
    })
}

fn keep(read: Result<Setting, Problem>, problems: &mut Vec<Problem>) -> Option<Setting> {
    read.map_err(|problem| problems.push(problem)).ok()
}

/// Labels that stand twice.
fn twice(points: &[Point], of: &str) -> Vec<Problem> {
    let mut seen = BTreeSet::new();
    let again = points.iter().filter(|point| !seen.insert(&point.label));
    let tell = |point: &Point| {
        let message = format!("{of} has `{}` twice", point.label);
        let problem = Problem::error("ablate::spec::duplicate_label", message).help("keep one of them");
        match point.sets.first() {
            Some(set) => problem.at(set.span),
            None => problem,
        }
    };
    again.map(tell).collect()
}

fn replicate(node: &Node, problems: &mut Vec<Problem>) -> Vec<Point> {
    let mut points: Vec<Point> = Vec::new();
    let mut first: Option<&(Key, Node)> = None;
    for entry in mapping(node, "replicate", problems) {
        let (key, list) = entry;
        let values = items(list);
        let (name, length) = first.map_or((&key.name, values.len()), |(k, v)| (&k.name, items(v).len()));
        if values.is_empty() || values.len() != length {
            let message = format!(
                "`{}` has {} values where `{name}` has {length}",
                key.name,
                values.len()
            );
            let problem = Problem::error("ablate::spec::unequal_replicates", message).at(list.at);
            problems.push(
                problem.help("the fields of `replicate` go together, value by value: give each as many"),
            );
            continue;
        }
        first.get_or_insert(entry);
        for (at, value) in values.iter().enumerate() {
            let Some(set) = keep(setting(key, value), problems) else {
                break;
            };
            if points.len() <= at {
                let label = value.label().unwrap_or_else(|| (at + 1).to_string());
                points.push(Point { label, sets: vec![] });
            }
            points[at].sets.push(set);
        }
    }
    problems.extend(twice(&points, "`replicate`"));
    points
}

fn include(node: &Node, problems: &mut Vec<Problem>) -> Vec<Point> {
    let points: Vec<_> = items(node)
        .iter()
        .enumerate()
        .map(|(at, item)| included(at, item, problems))
        .collect();
    problems.extend(twice(&points, "`include`"));
    points
}

fn included(at: usize, node: &Node, problems: &mut Vec<Problem>) -> Point {
    let mut point = Point {
        label: (at + 1).to_string(),
        sets: vec![],
    };
    for (key, value) in mapping(node, "include", problems) {
        match value.label().filter(|_| key.name == "label") {
            Some(label) => point.label = label,
            None => point.sets.extend(keep(setting(key, value), problems)),
        }
    }
    if point.sets.is_empty() {
        let problem = Problem::error("ablate::spec::bad_axis", "a point of `include` sets nothing");
        problems.push(
            problem
                .at(node.at)
                .help("write `{label: NAME, stage.field: VALUE}`"),
        );
    }
    point
}

fn exclusion(node: &Node, axes: &[Axis], problems: &mut Vec<Problem>) -> Option<BTreeMap<String, String>> {
    if node.entries().is_some_and(<[_]>::is_empty) {
        let problem = Problem::error("ablate::spec::bad_axis", "this exclusion names no axis");
        problems.push(problem.at(node.at).help("write `{AXIS: LABEL}`"));
        return None;
    }
    let before = problems.len();
    let labels = labels(node, "exclude", axes, &[], problems);
    (problems.len() == before).then_some(labels)
}

/// A mapping of axis to label, each looked up. `systems` are what `system` may name; empty where it stands for nothing.
pub(crate) fn labels(
    node: &Node,
    name: &str,
    axes: &[Axis],
    systems: &[&str],
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (key, value) in mapping(node, name, problems) {
        let Some(label) = value.label() else {
            let message = format!("`{}` must be a label, not {}", key.name, value.kind());
            problems.push(Problem::error("ablate::spec::wrong_type", message).at(value.at));
            continue;
        };
        let known: Vec<&str> = match axes.iter().find(|axis| axis.name == key.name) {
            Some(found) => found.points.iter().map(|point| point.label.as_str()).collect(),
            None if key.name == "system" && !systems.is_empty() => systems.to_vec(),
            None => {
                let names = axes.iter().map(|axis| axis.name.as_str());
                let help = suggestion(&key.name, names.chain((!systems.is_empty()).then_some("system")));
                let message = format!("there is no axis `{}`", key.name);
                let problem = Problem::error("ablate::spec::unknown_axis", message);
                problems.push(problem.at(key.at).help(help));
                continue;
            }
        };
        if known.contains(&label.as_str()) {
            found.insert(key.name.clone(), label);
            continue;
        }
        let message = format!("`{}` has no `{label}`", key.name);
        let problem = Problem::error("ablate::spec::unknown_label", message);
        problems.push(problem.at(value.at).help(suggestion(&label, known)));
    }
    found
}
