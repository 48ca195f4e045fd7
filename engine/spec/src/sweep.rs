//! `sweep:`: axes, replicates, exclusions, single points.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{
    Axis, Point, Problem, Setting, Source, StageDef, Sweep,
    problem::suggestion,
    stages::{Written, check_fields},
    yaml::{Data, Key, Node},
};

/// Sets the field at `path`, making the mappings on the way.
pub fn apply(fields: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => drop(fields.insert(last.clone(), value)),
        [first, rest @ ..] => {
            let inner = fields.entry(first).or_insert_with(|| Value::Object(Map::new()));
            if !inner.is_object() {
                *inner = Value::Object(Map::new());
            }
            if let Value::Object(inner) = inner {
                apply(inner, rest, value);
            }
        }
    }
}

/// Reads a sweep; what is wrong with its shape goes into `problems`.
pub(crate) fn read(node: &Node, source: &Source, problems: &mut Vec<Problem>) -> Sweep {
    let mut sweep = Sweep::default();
    for (key, value) in mapping(node, "sweep", source, problems) {
        match key.name.as_str() {
            "axes" => {
                let axes = mapping(value, "axes", source, problems);
                sweep.axes = axes
                    .iter()
                    .filter_map(|(key, node)| axis(key, node, source, problems))
                    .collect();
            }
            "replicate" => sweep.replicate = replicate(value, source, problems),
            "exclude" => {
                sweep.exclude = items(value)
                    .iter()
                    .map(|item| labels(item, "exclude", source, problems))
                    .collect();
            }
            "include" => {
                let points = items(value).iter().enumerate();
                sweep.include = points
                    .map(|(at, item)| included(at, item, source, problems))
                    .collect();
            }
            other => {
                let problem = Problem::error(
                    "ablate::spec::unknown_field",
                    format!("`sweep` has no field `{other}`"),
                );
                let help = suggestion(other, ["axes", "replicate", "exclude", "include"]);
                problems.push(problem.at(key.span(source)).help(help));
            }
        }
    }
    sweep
}

fn mapping<'a>(
    node: &'a Node,
    name: &str,
    source: &Source,
    problems: &mut Vec<Problem>,
) -> &'a [(Key, Node)] {
    node.entries().unwrap_or_else(|| {
        let message = format!("`{name}` must be a mapping, not {}", node.kind());
        problems.push(Problem::error("ablate::spec::wrong_type", message).at(node.span(source)));
        &[]
    })
}

fn items(node: &Node) -> &[Node] {
    match &node.data {
        Data::Seq(items) => items,
        _ => std::slice::from_ref(node),
    }
}

fn axis(key: &Key, node: &Node, source: &Source, problems: &mut Vec<Problem>) -> Option<Axis> {
    let name = key.name.clone();
    let entries = mapping(node, &name, source, problems);
    if let [(field, values)] = entries
        && let Data::Seq(values) = &values.data
    {
        let points = values.iter().map(|value| single(field, value, source)).collect();
        return Some(Axis { name, points });
    }
    let mut points = Vec::new();
    for (label, fields) in entries {
        if !matches!(fields.data, Data::Map(_)) {
            let message = format!(
                "the axis `{name}` takes one `stage.field: [values]`, or labels with `{{stage.field: value}}` each"
            );
            problems.push(Problem::error("ablate::spec::bad_axis", message).at(label.span(source)));
            return None;
        }
        let sets = mapping(fields, &label.name, source, problems)
            .iter()
            .map(|(k, v)| setting(k, v, source))
            .collect();
        points.push(Point {
            label: label.name.clone(),
            sets,
        });
    }
    if points.is_empty() {
        let message = format!("the axis `{name}` has no values");
        problems.push(Problem::error("ablate::spec::bad_axis", message).at(key.span(source)));
    }
    Some(Axis { name, points })
}

fn single(field: &Key, value: &Node, source: &Source) -> Point {
    let label = value.label().unwrap_or_else(|| value.json().to_string());
    Point {
        label,
        sets: vec![setting(field, value, source)],
    }
}

fn setting(key: &Key, value: &Node, source: &Source) -> Setting {
    let mut parts = key.name.split('.').map(str::to_owned);
    let stage = parts.next().unwrap_or_default();
    Setting {
        stage,
        path: parts.collect(),
        value: value.json(),
        span: value.span(source),
    }
}

fn replicate(node: &Node, source: &Source, problems: &mut Vec<Problem>) -> Vec<Point> {
    let entries = mapping(node, "replicate", source, problems);
    let mut points: Vec<Point> = Vec::new();
    let mut length = None;
    for (key, values) in entries {
        let values = items(values);
        if *length.get_or_insert(values.len()) != values.len() {
            let message = format!(
                "`{}` has {} values, the first field of `replicate` has {}",
                key.name,
                values.len(),
                points.len()
            );
            let problem = Problem::error("ablate::spec::unequal_replicates", message).at(key.span(source));
            problems.push(problem.help("fields of `replicate` go together, value by value"));
            continue;
        }
        for (at, value) in values.iter().enumerate() {
            if points.len() <= at {
                points.push(Point {
                    label: value.label().unwrap_or_else(|| (at + 1).to_string()),
                    sets: vec![],
                });
            }
            points[at].sets.push(setting(key, value, source));
        }
    }
    points
}

fn included(at: usize, node: &Node, source: &Source, problems: &mut Vec<Problem>) -> Point {
    let mut point = Point {
        label: (at + 1).to_string(),
        sets: vec![],
    };
    for (key, value) in mapping(node, "include", source, problems) {
        match value.label().filter(|_| key.name == "label") {
            Some(label) => point.label = label,
            None => point.sets.push(setting(key, value, source)),
        }
    }
    point
}

/// A mapping of axis to label.
pub(crate) fn labels(
    node: &Node,
    name: &str,
    source: &Source,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, String> {
    let entries = mapping(node, name, source, problems);
    entries
        .iter()
        .filter_map(|(key, value)| Some((key.name.clone(), value.label()?)))
        .collect()
}

/// Checks every setting once, each against its stage with the other fields of its point.
pub(crate) fn check(sweep: &Sweep, stages: &[StageDef], nodes: &[&Node], source: &Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    let points = sweep
        .axes
        .iter()
        .flat_map(|axis| &axis.points)
        .chain(&sweep.replicate)
        .chain(&sweep.include);
    for point in points {
        for stage in stages {
            let own: Vec<_> = point
                .sets
                .iter()
                .filter(|setting| setting.stage == stage.name)
                .collect();
            let Some(first) = own.first() else { continue };
            let mut fields = stage.fields.clone();
            let mut set = BTreeMap::new();
            for setting in &own {
                apply(&mut fields, &setting.path, setting.value.clone());
                if let Some(name) = setting.path.first() {
                    set.insert(name.clone(), setting.span);
                }
            }
            let at = stages
                .iter()
                .position(|s| s.name == stage.name)
                .and_then(|at| nodes.get(at).copied());
            let written = Written {
                node: at,
                source,
                fallback: first.span,
                set,
            };
            problems.extend(check_fields(stages, stage, &fields, &written));
        }
        for setting in &point.sets {
            problems.extend(unknown_target(setting, stages));
        }
    }
    problems
}

fn unknown_target(setting: &Setting, stages: &[StageDef]) -> Option<Problem> {
    let names = || stages.iter().map(|stage| stage.name.as_str());
    if setting.path.is_empty() {
        let message = format!("`{}` names no field: write `stage.field`", setting.stage);
        return Some(Problem::error("ablate::spec::bad_axis", message).at(setting.span));
    }
    if names().any(|name| name == setting.stage) {
        return None;
    }
    let message = format!("`{}.{}` names no stage", setting.stage, setting.path.join("."));
    let help = suggestion(&setting.stage, names());
    Some(
        Problem::error("ablate::spec::unknown_reference", message)
            .at(setting.span)
            .help(help),
    )
}
