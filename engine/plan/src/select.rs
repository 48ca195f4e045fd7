//! Part of a plan: the points a user asks for.

use std::collections::{BTreeMap, BTreeSet};

use ablate_core::similar;
use ablate_spec::Experiment;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::{
    Node,
    point::{Axis, Choice},
};

/// What `--only` calls the replicates, and the points of `include`.
const REPLICATE: &str = "seed";
const INCLUDE: &str = "include";

/// Points asked for: for an axis, labels of which a point must have one. Empty: all points.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection(BTreeMap<String, BTreeSet<String>>);

/// A label that the sweep does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoSuchPoint(String);

impl Selection {
    /// The points with these labels, given as axis and label; labels of one axis add up, axes narrow down.
    ///
    /// # Errors
    /// If the sweep has no such axis or label.
    pub fn of(experiment: &Experiment, wanted: &[(String, String)]) -> Result<Self, NoSuchPoint> {
        let known = known(experiment);
        let mut selection = Self::default();
        for (axis, label) in wanted {
            let labels = known
                .get(axis.as_str())
                .ok_or_else(|| missing("the sweep has no axis", axis, known.keys().copied()))?;
            if !labels.contains(label.as_str()) {
                let what = format!("the axis `{axis}` has no");
                return Err(missing(&what, label, labels.iter().copied()));
            }
            selection.0.entry(axis.clone()).or_default().insert(label.clone());
        }
        Ok(selection)
    }

    /// Whether a point has a label asked for on every axis asked for.
    pub(crate) fn takes(&self, point: &[Choice<'_>]) -> bool {
        let has = |(axis, labels): (&String, &BTreeSet<String>)| {
            let mut own = point.iter().filter(|choice| name(choice.axis) == axis);
            own.any(|choice| labels.contains(&choice.point.label))
        };
        self.0.iter().all(has)
    }
}

fn name(axis: Axis<'_>) -> &str {
    match axis {
        Axis::Named(name) => name,
        Axis::Include => INCLUDE,
        Axis::Replicate => REPLICATE,
    }
}

/// Every axis with its labels. An axis called `seed` hides the replicates.
fn known(experiment: &Experiment) -> BTreeMap<&str, BTreeSet<&str>> {
    let sweep = &experiment.sweep;
    let replicates = sweep.replicate.iter().map(|point| (REPLICATE, point));
    let included = sweep.include.iter().map(|one| (INCLUDE, &one.point));
    let axes = sweep.axes.iter();
    let named = axes.flat_map(|axis| axis.points.iter().map(|point| (axis.name.as_str(), point)));
    let mut known: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (axis, point) in replicates.chain(included).chain(named) {
        known.entry(axis).or_default().insert(&point.label);
    }
    known
}

fn missing<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str> + Clone) -> NoSuchPoint {
    let help = match similar(name, known.clone()).first() {
        Some(close) => format!("did you mean `{close}`?"),
        None => format!("it has {}", known.collect::<Vec<_>>().join(", ")),
    };
    NoSuchPoint(format!("{what} `{name}`: {help}"))
}

/// Of the nodes at a point asked for, those that lead to a result there: what is only read at other points is not.
pub(crate) fn needed(graph: &DiGraph<Node, ()>, asked: &BTreeSet<NodeIndex>) -> BTreeSet<NodeIndex> {
    let mut needed = BTreeSet::new();
    // Consumers stand behind their producers.
    for index in graph.node_indices().rev().filter(|index| asked.contains(index)) {
        let mut consumers = graph.neighbors(index).peekable();
        if consumers.peek().is_none() || consumers.any(|consumer| needed.contains(&consumer)) {
            needed.insert(index);
        }
    }
    needed
}
