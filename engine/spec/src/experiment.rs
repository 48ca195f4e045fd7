//! A checked experiment.

use std::collections::BTreeMap;

use ablate_core::StageKind;
use ablate_stats::{Correction, Interval, Test};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::Span;

/// An experiment file without errors.
#[derive(Debug)]
pub struct Experiment {
    /// `experiment:`.
    pub name: String,
    /// `about:`.
    pub about: Option<String>,
    /// The stages, in file order.
    pub stages: Vec<StageDef>,
    /// `sweep:`.
    pub sweep: Sweep,
    /// `report:`.
    pub report: Report,
    /// `expect:`.
    pub expect: Vec<Expect>,
    /// `allow_leakage:`, as `stage.port`.
    pub allow_leakage: Vec<String>,
}

/// A stage as written, `--set` applied.
#[derive(Clone)]
pub struct StageDef {
    /// Its name.
    pub name: String,
    /// `use:`.
    pub kind: &'static dyn StageKind,
    /// Everything but `use`: ports and parameters together.
    pub fields: Map<String, Value>,
    /// Where its name stands.
    pub span: Span,
}

impl std::fmt::Debug for StageDef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}) {:?}", self.name, self.kind.name(), self.fields)
    }
}

/// What is varied.
#[derive(Clone, Debug, Default)]
pub struct Sweep {
    /// Axes, which multiply.
    pub axes: Vec<Axis>,
    /// Zipped values, folded to mean ± sd.
    pub replicate: Vec<Point>,
    /// Combinations left out.
    pub exclude: Vec<Labels>,
    /// Single points added.
    pub include: Vec<Included>,
    /// Fields set where labels hold, last of all.
    pub overrides: Vec<Override>,
}

/// Axis to label.
pub type Labels = BTreeMap<String, String>;

/// One axis.
#[derive(Clone, Debug)]
pub struct Axis {
    /// Its name.
    pub name: String,
    /// Its points, in file order.
    pub points: Vec<Point>,
    /// For an axis that stands in a label of another one: the labels around it, without which it varies nothing.
    pub within: Labels,
}

/// One point of an axis: fields set together.
#[derive(Clone, Debug)]
pub struct Point {
    /// What tables call it.
    pub label: String,
    /// What it sets.
    pub sets: Vec<Setting>,
}

/// A single point beside the product of the axes.
#[derive(Clone, Debug)]
pub struct Included {
    /// Labels of axes it stands at; an axis it does not name leaves its stages as written.
    pub at: Labels,
    /// Its name and what it sets; nothing where `at` says all.
    pub point: Point,
}

/// Fields set wherever labels hold.
#[derive(Clone, Debug)]
pub struct Override {
    /// The labels.
    pub at: Labels,
    /// What it sets.
    pub sets: Vec<Setting>,
    /// Where it stands.
    pub span: Span,
}

/// One field set to one value.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The stage.
    pub stage: String,
    /// The field, outermost first.
    pub path: Vec<String>,
    /// The value.
    pub value: Value,
    /// Where the value stands.
    pub span: Span,
    /// Where `stage.field` stands.
    pub key: Span,
}

/// `report:`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// The measure that stands first.
    pub measure: Option<String>,
    /// The rows others are compared with, by axis and label; `system` names an evaluate stage.
    pub baseline: Labels,
    /// The test over queries.
    pub test: Test,
    /// The correction over the table.
    pub correction: Correction,
    /// How confidence intervals of differences are made; `None`: not at all.
    pub interval: Option<Interval>,
    /// The probability with which an interval covers the difference; `None`: 0.95.
    pub confidence: Option<f64>,
    /// Differences smaller than this are none; `None`: equivalence is not tested.
    pub equivalence: Option<f64>,
}

/// A committed figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Expect {
    /// `where:` axis and label.
    pub at: Labels,
    /// Measure and value.
    pub figures: BTreeMap<String, f64>,
    /// How far off is fine.
    pub tolerance: f64,
}

/// What stands at an input port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputRef {
    /// An output port of a stage.
    Stage {
        /// The stage.
        stage: String,
        /// Its output port.
        port: String,
    },
    /// A source.
    Source(String),
}
