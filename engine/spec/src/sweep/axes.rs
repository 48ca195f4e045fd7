//! `axes:` as written: values of one field, labels of several fields, and axes within a label.

use std::collections::BTreeSet;

use super::{items, mapping};
use crate::{
    Axis, Labels, Point, Problem, Setting, names,
    point::setting,
    yaml::{Data, Key, Node},
};

/// How deep axes may stand within labels.
const DEEPEST: usize = 8;

/// Reads `axes:`: each axis, and behind it those that stand within its labels.
pub(super) fn read(node: &Node, problems: &mut Vec<Problem>) -> Vec<Axis> {
    let mut reader = Reader {
        names: BTreeSet::new(),
        problems,
    };
    reader.axes(node, &Labels::new())
}

struct Reader<'a> {
    /// The names that stand already.
    names: BTreeSet<String>,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn tell(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    fn axes(&mut self, node: &Node, within: &Labels) -> Vec<Axis> {
        if within.len() > DEEPEST {
            let message = format!("axes stand within labels more than {DEEPEST} deep");
            self.tell(Problem::error("ablate::spec::too_large", message).at(node.at));
            return vec![];
        }
        let entries = mapping(node, "axes", self.problems);
        let each = entries.iter().map(|(key, node)| self.axis(key, node, within));
        each.collect::<Vec<_>>().concat()
    }

    /// An axis and those within its labels.
    fn axis(&mut self, key: &Key, node: &Node, within: &Labels) -> Vec<Axis> {
        self.problems.extend(names::axis(key));
        if !self.names.insert(key.name.clone()) {
            let message = format!("there is an axis `{}` already", key.name);
            let problem = Problem::error("ablate::spec::duplicate_axis", message).at(key.at);
            self.tell(problem.help("give one of them another name"));
            return vec![];
        }
        let mut inner = Vec::new();
        let points = match node.entries().unwrap_or_default() {
            [(field, values)] if matches!(values.data, Data::Seq(_)) => self.values(&key.name, field, values),
            [] => {
                self.tell(shapeless(&key.name, node));
                vec![]
            }
            entries => {
                let each = entries
                    .iter()
                    .filter_map(|entry| self.label(&key.name, entry, within, &mut inner));
                each.collect()
            }
        };
        self.problems
            .extend(wrong_labels(&points, &format!("the axis `{}`", key.name)));
        if points.is_empty() {
            return vec![];
        }
        let axis = Axis {
            name: key.name.clone(),
            points,
            within: within.clone(),
        };
        [vec![axis], inner].concat()
    }

    /// The points of an axis that lists values of one field.
    fn values(&mut self, axis: &str, field: &Key, values: &Node) -> Vec<Point> {
        if items(values).is_empty() {
            let problem = Problem::error("ablate::spec::bad_axis", format!("the axis `{axis}` is empty"));
            self.tell(problem.at(values.at).help("list at least one value"));
        }
        let point = |value: &Node| {
            let sets = self.keep(setting(field, value))?;
            Some(Point {
                label: value.written(),
                sets: vec![sets],
            })
        };
        items(values).iter().filter_map(point).collect()
    }

    /// The point of a label; the axes within it go to `inner`.
    fn label(
        &mut self,
        axis: &str,
        (label, fields): &(Key, Node),
        within: &Labels,
        inner: &mut Vec<Axis>,
    ) -> Option<Point> {
        let Some(entries) = fields.entries() else {
            self.tell(no_fields(axis, label, fields));
            return None;
        };
        let mut sets = Vec::new();
        for (key, value) in entries {
            if key.name == "axes" {
                let mut within = within.clone();
                within.insert(axis.to_owned(), label.name.clone());
                inner.extend(self.axes(value, &within));
            } else {
                sets.extend(self.keep(setting(key, value)));
            }
        }
        Some(Point {
            label: label.name.clone(),
            sets,
        })
    }

    fn keep(&mut self, read: Result<Setting, Problem>) -> Option<Setting> {
        read.map_err(|problem| self.tell(problem)).ok()
    }
}

fn shapeless(name: &str, node: &Node) -> Problem {
    let message = format!("the axis `{name}` does not say which field it varies");
    Problem::error("ablate::spec::bad_axis", message)
        .at(node.at)
        .help(format!(
            "write `{name}: {{stage.field: [VALUE, ...]}}`, or labels: `{name}: {{LABEL: {{stage.field: VALUE}}}}`"
        ))
}

fn no_fields(axis: &str, label: &Key, fields: &Node) -> Problem {
    let message = format!("`{}` in the axis `{axis}` must map fields to values", label.name);
    let help = match fields.data {
        Data::Seq(_) => {
            "an axis lists values of one field: to vary another, write another axis, or give labels"
        }
        _ => "write a list of values, or a label with `{stage.field: VALUE}`",
    };
    Problem::error("ablate::spec::bad_axis", message)
        .at(label.at)
        .help(help)
}

/// Labels that stand twice, or do not stand on a line.
pub(super) fn wrong_labels(points: &[Point], of: &str) -> Vec<Problem> {
    let place = |point: &Point, problem: Problem| match point.sets.first() {
        Some(set) => problem.at(set.span),
        None => problem,
    };
    let mut seen = BTreeSet::new();
    let again = points.iter().filter(|point| !seen.insert(&point.label));
    let tell = |point: &Point| {
        let message = format!("{of} has `{}` twice", point.label);
        place(
            point,
            Problem::error("ablate::spec::duplicate_label", message).help("keep one of them"),
        )
    };
    let what = format!("a label of {of}");
    let broken = |point: &Point| Some(place(point, names::line(&what, &point.label)?));
    again.map(tell).chain(points.iter().filter_map(broken)).collect()
}
