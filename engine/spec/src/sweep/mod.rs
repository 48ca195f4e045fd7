//! `sweep:` as written: axes, replicates, exclusions, single points, overrides.

mod axes;
mod labels;

pub(crate) use self::labels::labels;
use self::{axes::wrong_labels, labels::label};
use crate::{
    Axis, Included, Labels, Override, Point, Problem, Setting, Sweep, fields,
    point::setting,
    problem::suggestion,
    yaml::{Data, Key, Node},
};

/// Reads a sweep. What is wrong with its shape goes into `problems`; whether its values fit the stages is looked at
/// elsewhere.
pub(crate) fn read(node: &Node, problems: &mut Vec<Problem>) -> Sweep {
    let mut sweep = Sweep::default();
    for (key, _) in mapping(node, "sweep", problems) {
        if !fields::known(&fields::SWEEP).any(|name| name == key.name) {
            let message = format!("`sweep` has no field `{}`", key.name);
            let problem = Problem::error("ablate::spec::unknown_field", message).at(key.at);
            problems.push(problem.help(suggestion(&key.name, fields::known(&fields::SWEEP))));
        }
    }
    let section = |name: &str| node.get(name).map(|(_, node)| node);
    if let Some(node) = section("axes") {
        sweep.axes = axes::read(node, problems);
    }
    if let Some(node) = section("replicate") {
        sweep.replicate = replicate(node, problems);
    }
    if let Some(node) = section("exclude") {
        let read = |item| exclusion(item, &sweep.axes, problems);
        sweep.exclude = items(node).iter().filter_map(read).collect();
    }
    if let Some(node) = section("include") {
        sweep.include = include(node, &sweep.axes, problems);
    }
    if let Some(node) = section("override") {
        let read = |item| overriding(item, &sweep.axes, problems);
        sweep.overrides = items(node).iter().filter_map(read).collect();
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
pub(crate) fn items(node: &Node) -> &[Node] {
    match &node.data {
        Data::Seq(items) => items,
        _ => std::slice::from_ref(node),
    }
}

fn keep<T>(read: Result<T, Problem>, problems: &mut Vec<Problem>) -> Option<T> {
    read.map_err(|problem| problems.push(problem)).ok()
}

fn replicate(node: &Node, problems: &mut Vec<Problem>) -> Vec<Point> {
    let mut points: Vec<Point> = Vec::new();
    let mut first: Option<&(Key, Node)> = None;
    for entry in mapping(node, "replicate", problems) {
        let (key, list) = entry;
        let values = items(list);
        let (name, length) = first.map_or((&key.name, values.len()), |(k, v)| (&k.name, items(v).len()));
        if values.is_empty() || values.len() != length {
            problems.push(unequal(entry, name, length));
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
    problems.extend(wrong_labels(&points, "`replicate`"));
    points
}

fn unequal((key, list): &(Key, Node), name: &str, length: usize) -> Problem {
    let message = format!(
        "`{}` has {} values where `{name}` has {length}",
        key.name,
        items(list).len()
    );
    Problem::error("ablate::spec::unequal_replicates", message)
        .at(list.at)
        .help("the fields of `replicate` go together, value by value: give each as many")
}

fn exclusion(node: &Node, axes: &[Axis], problems: &mut Vec<Problem>) -> Option<Labels> {
    if node.entries().is_some_and(<[_]>::is_empty) {
        let problem = Problem::error("ablate::spec::bad_axis", "this exclusion names no axis");
        problems.push(problem.at(node.at).help("write `{AXIS: LABEL}`"));
        return None;
    }
    let before = problems.len();
    let labels = labels(node, "exclude", axes, &[], problems);
    (problems.len() == before).then_some(labels)
}

fn include(node: &Node, axes: &[Axis], problems: &mut Vec<Problem>) -> Vec<Included> {
    let each = items(node).iter().enumerate();
    let included: Vec<_> = each
        .map(|(at, item)| included(at, item, axes, problems))
        .collect();
    let named = included.iter().map(|one| one.point.clone());
    let named: Vec<_> = named.filter(|point| !point.sets.is_empty()).collect();
    problems.extend(wrong_labels(&named, "`include`"));
    included
}

fn included(at: usize, node: &Node, axes: &[Axis], problems: &mut Vec<Problem>) -> Included {
    let before = problems.len();
    let mut included = Included {
        at: Labels::new(),
        point: Point {
            label: (at + 1).to_string(),
            sets: vec![],
        },
    };
    for (key, value) in mapping(node, "include", problems) {
        if key.name == "label" && value.label().is_some() {
            included.point.label = value.label().unwrap_or_default();
        } else if !key.name.contains('.') {
            let label = keep(label(key, value, axes, &[]), problems);
            included.at.extend(label.map(|label| (key.name.clone(), label)));
        } else {
            included.point.sets.extend(keep(setting(key, value), problems));
        }
    }
    if included.point.sets.is_empty() && included.at.is_empty() && problems.len() == before {
        let problem = Problem::error("ablate::spec::bad_axis", "a point of `include` sets nothing");
        let problem = problem.at(node.at);
        problems.push(problem.help("write `{label: NAME, stage.field: VALUE}`, or `{AXIS: LABEL}`"));
    }
    included
}

fn overriding(node: &Node, axes: &[Axis], problems: &mut Vec<Problem>) -> Option<Override> {
    let before = problems.len();
    let mut at = Labels::new();
    let mut sets: Vec<Setting> = Vec::new();
    for (key, value) in mapping(node, "override", problems) {
        match key.name.as_str() {
            "where" => at = labels(value, "where", axes, &[], problems),
            _ => sets.extend(keep(setting(key, value), problems)),
        }
    }
    if problems.len() == before && (at.is_empty() || sets.is_empty()) {
        let message = "an override says where it holds and what it sets";
        let problem = Problem::error("ablate::spec::bad_axis", message).at(node.at);
        problems.push(problem.help("write `{where: {AXIS: LABEL}, stage.field: VALUE}`"));
    }
    (problems.len() == before).then_some(Override {
        at,
        sets,
        span: node.at,
    })
}
