//! Points of a sweep, and what of them a stage depends on.

use std::collections::{BTreeMap, BTreeSet};

use ablate_spec::{
    Experiment, Included, InputRef, Labels, Point, Setting, StageDef, Sweep, holds, resolve, split,
};

/// A direction of the sweep. Not a name: a user's axis may be called anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Axis<'a> {
    /// An axis of the file.
    Named(&'a str),
    /// The points of `include`.
    Include,
    /// The points of `replicate`.
    Replicate,
}

/// For each stage, the axes that move it.
pub(crate) type Relevant<'a> = BTreeMap<&'a str, BTreeSet<Axis<'a>>>;

/// One choice of a point: an axis, its label and the fields it sets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice<'a> {
    pub(crate) axis: Axis<'a>,
    pub(crate) point: &'a Point,
}

/// Every point of the sweep: the product of the axes without the excluded, and the included ones; each with each replicate.
pub(crate) fn points(experiment: &Experiment) -> Vec<Vec<Choice<'_>>> {
    let sweep = &experiment.sweep;
    let mut points: Vec<Vec<Choice<'_>>> = vec![vec![]];
    for axis in &sweep.axes {
        let choice = |point| Choice {
            axis: Axis::Named(&axis.name),
            point,
        };
        let choices: Vec<_> = axis.points.iter().map(choice).collect();
        points = cross(points, &choices, |point| axis.is_active(&labels(point)));
    }
    points.retain(|point| {
        !sweep
            .exclude
            .iter()
            .any(|excluded| holds(excluded, &labels(point)))
    });
    points.extend(sweep.include.iter().map(|one| included(sweep, one)));
    let choice = |point| Choice {
        axis: Axis::Replicate,
        point,
    };
    let replicates: Vec<_> = sweep.replicate.iter().map(choice).collect();
    cross(points, &replicates, |_| !replicates.is_empty())
}

/// The choices of an included point.
fn included<'a>(sweep: &'a Sweep, included: &'a Included) -> Vec<Choice<'a>> {
    let at_axis = |axis: &'a ablate_spec::Axis| {
        let label = included.at.get(&axis.name)?;
        let point = axis.points.iter().find(|point| point.label == *label)?;
        let axis = Axis::Named(&axis.name);
        Some(Choice { axis, point })
    };
    let own = Choice {
        axis: Axis::Include,
        point: &included.point,
    };
    let named = sweep.axes.iter().filter_map(at_axis);
    named
        .chain(Some(own).filter(|own| !own.point.sets.is_empty()))
        .collect()
}

/// Each point with each choice, where it is `open` to them.
fn cross<'a>(
    points: Vec<Vec<Choice<'a>>>,
    by: &[Choice<'a>],
    open: impl Fn(&[Choice<'a>]) -> bool,
) -> Vec<Vec<Choice<'a>>> {
    let mut crossed = Vec::new();
    for point in points {
        if open(&point) {
            crossed.extend(by.iter().map(|choice| [point.as_slice(), &[*choice]].concat()));
        } else {
            crossed.push(point);
        }
    }
    crossed
}

/// The labels of the axes of the file.
pub(crate) fn labels(point: &[Choice<'_>]) -> Labels {
    let label = |choice: &Choice<'_>| match choice.axis {
        Axis::Named(axis) => Some((axis.to_owned(), choice.point.label.clone())),
        Axis::Include | Axis::Replicate => None,
    };
    point.iter().filter_map(label).collect()
}

/// Where a node stands in the sweep: the labels of the axes it depends on, replicates apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Place {
    /// Axis to label.
    pub point: BTreeMap<String, String>,
    /// Label of the replicate.
    pub replicate: Option<String>,
}

impl Place {
    pub(crate) fn of(choices: &[Choice<'_>]) -> Self {
        let mut place = Self::default();
        for choice in choices {
            let label = choice.point.label.clone();
            match choice.axis {
                Axis::Named(axis) => drop(place.point.insert(axis.to_owned(), label)),
                Axis::Include => drop(place.point.insert("include".to_owned(), label)),
                Axis::Replicate => place.replicate = Some(label),
            }
        }
        place
    }

    /// `[negatives=bm25,seed=1]`, or nothing.
    pub fn suffix(&self) -> String {
        let parts: Vec<_> = self
            .point
            .iter()
            .map(|(axis, label)| format!("{axis}={label}"))
            .chain(self.replicate.iter().map(|label| format!("seed={label}")))
            .collect();
        if parts.is_empty() {
            String::new()
        } else {
            format!("[{}]", parts.join(","))
        }
    }
}

/// For each stage, the stages it may read: by its own fields, or by a value an axis gives to one of its ports.
pub(crate) fn upstream(experiment: &Experiment) -> BTreeMap<&str, BTreeSet<String>> {
    let mut direct: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for stage in &experiment.stages {
        direct.insert(&stage.name, producers(&experiment.stages, stage, &stage.fields));
    }
    for setting in experiment.sweep.all_settings() {
        let Some(stage) = experiment.stages.iter().find(|stage| stage.name == setting.stage) else {
            continue;
        };
        let [field] = setting.path.as_slice() else {
            continue;
        };
        let fields = [(field.clone(), setting.value.clone())].into_iter().collect();
        let more = producers(&experiment.stages, stage, &fields);
        direct.entry(&stage.name).or_default().extend(more);
    }
    direct
}

fn producers(
    stages: &[StageDef],
    stage: &StageDef,
    fields: &serde_json::Map<String, serde_json::Value>,
) -> BTreeSet<String> {
    let (inputs, _) = split(stage.kind, fields);
    inputs
        .iter()
        .filter_map(|(port, value)| match resolve(stages, port, value.as_str()?) {
            Ok(InputRef::Stage { stage, .. }) => Some(stage),
            _ => None,
        })
        .collect()
}

/// For each stage, the axes that move it or anything it reads, transitively.
pub(crate) fn relevant<'a>(
    experiment: &'a Experiment,
    upstream: &BTreeMap<&str, BTreeSet<String>>,
    order: &[usize],
) -> Relevant<'a> {
    let mut axes = own_axes(experiment);
    for stage in order.iter().map(|at| &experiment.stages[*at]) {
        let inherited: BTreeSet<Axis<'_>> = upstream[stage.name.as_str()]
            .iter()
            .filter_map(|producer| axes.get(producer.as_str()))
            .flatten()
            .copied()
            .collect();
        axes.entry(stage.name.as_str()).or_default().extend(inherited);
    }
    axes
}

/// For each stage, the axes that set a field of its own, or say where an override of it holds.
fn own_axes<'a>(experiment: &'a Experiment) -> Relevant<'a> {
    let sweep = &experiment.sweep;
    let mut axes = Relevant::new();
    let mut note = |axis, sets: &'a [Setting]| {
        for setting in sets {
            axes.entry(setting.stage.as_str()).or_default().insert(axis);
        }
    };
    for axis in &sweep.axes {
        axis.points
            .iter()
            .for_each(|point| note(Axis::Named(&axis.name), &point.sets));
    }
    for one in &sweep.overrides {
        one.at.keys().for_each(|axis| note(Axis::Named(axis), &one.sets));
    }
    sweep
        .include
        .iter()
        .for_each(|one| note(Axis::Include, &one.point.sets));
    sweep
        .replicate
        .iter()
        .for_each(|point| note(Axis::Replicate, &point.sets));
    axes
}
