//! Points of a sweep, and what of them a stage depends on.

use std::collections::{BTreeMap, BTreeSet};

use ablate_spec::{Experiment, InputRef, Point, StageDef, resolve, split};

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
        points = cross(
            &points,
            axis.points.iter().map(|point| Choice {
                axis: Axis::Named(&axis.name),
                point,
            }),
        );
    }
    points.retain(|point| !sweep.exclude.iter().any(|excluded| matches(point, excluded)));
    points.extend(sweep.include.iter().map(|point| {
        vec![Choice {
            axis: Axis::Include,
            point,
        }]
    }));
    if !sweep.replicate.is_empty() {
        points = cross(
            &points,
            sweep.replicate.iter().map(|point| Choice {
                axis: Axis::Replicate,
                point,
            }),
        );
    }
    points
}

fn cross<'a>(
    points: &[Vec<Choice<'a>>],
    by: impl Iterator<Item = Choice<'a>> + Clone,
) -> Vec<Vec<Choice<'a>>> {
    let extend = |point: &Vec<Choice<'a>>, choice| {
        let mut longer = point.clone();
        longer.push(choice);
        longer
    };
    points
        .iter()
        .flat_map(|point| by.clone().map(move |choice| extend(point, choice)))
        .collect()
}

fn matches(point: &[Choice<'_>], wanted: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(axis, label)| {
        point
            .iter()
            .any(|c| c.axis == Axis::Named(axis) && c.point.label == *label)
    })
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
    for setting in all_points(experiment).flat_map(|point| &point.sets) {
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

fn all_points(experiment: &Experiment) -> impl Iterator<Item = &Point> {
    let sweep = &experiment.sweep;
    sweep
        .axes
        .iter()
        .flat_map(|axis| &axis.points)
        .chain(&sweep.include)
        .chain(&sweep.replicate)
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

/// For each stage, the axes that set a field of its own.
fn own_axes(experiment: &Experiment) -> Relevant<'_> {
    let sweep = &experiment.sweep;
    let named = sweep
        .axes
        .iter()
        .map(|axis| (Axis::Named(&axis.name), &axis.points));
    let others = [
        (Axis::Include, &sweep.include),
        (Axis::Replicate, &sweep.replicate),
    ];
    let mut axes = Relevant::new();
    for (axis, points) in named.chain(others) {
        for setting in points.iter().flat_map(|point| &point.sets) {
            axes.entry(&setting.stage).or_default().insert(axis);
        }
    }
    axes
}
