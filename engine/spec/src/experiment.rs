//! A checked experiment.

use std::collections::BTreeMap;

use ablate_core::StageKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
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
    /// Combinations left out, by axis and label.
    pub exclude: Vec<BTreeMap<String, String>>,
    /// Single points added.
    pub include: Vec<Point>,
}

/// One axis.
#[derive(Clone, Debug)]
pub struct Axis {
    /// Its name.
    pub name: String,
    /// Its points, in file order.
    pub points: Vec<Point>,
}

/// One point of an axis: fields set together.
#[derive(Clone, Debug)]
pub struct Point {
    /// What tables call it.
    pub label: String,
    /// What it sets.
    pub sets: Vec<Setting>,
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
    pub baseline: BTreeMap<String, String>,
    /// The test over queries.
    pub test: Test,
    /// The correction over the table.
    pub correction: Correction,
}

/// A paired test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Test {
    /// Student's paired t.
    #[default]
    PairedT,
    /// Wilcoxon's signed ranks.
    Wilcoxon,
    /// Fisher's randomisation.
    Randomization,
}

/// A correction for many comparisons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Correction {
    /// Holm's.
    #[default]
    Holm,
    /// Bonferroni's.
    Bonferroni,
    /// Benjamini and Hochberg's.
    Bh,
    /// None.
    None,
}

/// A committed figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Expect {
    /// `where:` axis and label.
    pub at: BTreeMap<String, String>,
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
