//! The fields of an experiment file outside its stages: what the reader takes, and what editors are told of them.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use ablate_stats::{Correction, Interval, Test};

use crate::names;

/// A field of a section.
pub(crate) struct Field {
    /// Its name.
    pub(crate) name: &'static str,
    /// One line on what it says.
    about: &'static str,
    /// The JSON Schema of its value.
    shape: fn() -> Value,
}

impl Field {
    const fn of(name: &'static str, about: &'static str, shape: fn() -> Value) -> Self {
        Self { name, about, shape }
    }
}

/// The top level, `stages` apart: its shape is made of the stage kinds.
pub(crate) const FILE: [Field; 7] = [
    Field::of(
        "experiment",
        "The name of the study: runs, tables and `ablate table NAME` go by it.",
        text,
    ),
    Field::of("about", "The question it answers, in a sentence.", text),
    Field::of(
        "stages",
        "The steps, each `NAME: {use: KIND, ...}`. A stage reads another by its name, or by `NAME.PORT`.",
        || json!({}),
    ),
    Field::of("sweep", "What is varied.", || section(&SWEEP)),
    Field::of("report", "How the table is told.", || section(&REPORT)),
    Field::of(
        "expect",
        "Committed figures that results are held against.",
        || json!({"type": "array", "items": expectation()}),
    ),
    Field::of(
        "allow_leakage",
        "Judged queries or judgements, as `stage.queries.test`, that models may learn from all the same: otherwise it is \
         an error.",
        || one_or_more(json!({"type": "string", "pattern": "^[^.]+\\..+$"})),
    ),
];

/// `sweep:`.
pub(crate) const SWEEP: [Field; 5] = [
    Field::of(
        "axes",
        "Axes multiply. Each is `NAME: {stage.field: [VALUE, ...]}`, or `NAME: {LABEL: {stage.field: VALUE, ...}, ...}` \
         for fields that go together. `axes` within a label vary there alone.",
        || json!({"allOf": [{"$ref": "#/definitions/axes"}]}),
    ),
    Field::of(
        "replicate",
        "Fields that change together from repetition to repetition, as `stage.seed: [1, 2, 3]`: folded to mean ± sd, \
         never rows.",
        || json!({"type": "object", "propertyNames": target(), "additionalProperties": repeated()}),
    ),
    Field::of(
        "exclude",
        "Combinations of the axes to leave out, each `{AXIS: LABEL, ...}`.",
        || one_or_more(excluded()),
    ),
    Field::of(
        "include",
        "Single points beside the axes, each `{AXIS: LABEL, ..., label: NAME, stage.field: VALUE, ...}`: labels of axes \
         it stands at, and what it sets beside them.",
        || one_or_more(included()),
    ),
    Field::of(
        "override",
        "Fields set wherever labels hold, each `{where: {AXIS: LABEL, ...}, stage.field: VALUE, ...}`. They are set last; \
         of two the later one wins.",
        || one_or_more(overriding()),
    ),
];

/// `report:`.
pub(crate) const REPORT: [Field; 7] = [
    Field::of("measure", "The measure that stands first, as `nDCG@10`.", text),
    Field::of(
        "baseline",
        "The rows others are compared with, `{AXIS: LABEL, ...}`; `system` names an evaluate stage. Axes it does not \
         name are matched one to one.",
        labels,
    ),
    Field::of("test", "The paired test over queries.", choice::<Test>),
    Field::of(
        "correction",
        "How p-values are corrected over the whole table.",
        choice::<Correction>,
    ),
    Field::of(
        "interval",
        "How confidence intervals of differences are made; none are if it is not given.",
        choice::<Interval>,
    ),
    Field::of(
        "confidence",
        "The probability with which an interval covers the difference.",
        || json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "default": 0.95}),
    ),
    Field::of(
        "equivalence",
        "Differences smaller than this count as none: every comparison is tested for it.",
        || json!({"type": "number", "exclusiveMinimum": 0}),
    ),
];

/// The names of fields, for suggestions.
pub(crate) fn known(fields: &[Field]) -> impl Iterator<Item = &'static str> {
    fields.iter().map(|field| field.name)
}

/// The schemas of fields, by name.
pub(crate) fn shapes(fields: &[Field]) -> Value {
    let shape = |field: &Field| {
        let mut shape = (field.shape)();
        shape["description"] = field.about.into();
        (field.name.to_owned(), shape)
    };
    fields.iter().map(shape).collect()
}

/// One of the variants of `T`.
fn choice<T: JsonSchema + Serialize + Default + 'static>() -> Value {
    let mut shape = ablate_core::json_schema::<T>();
    shape["default"] = json!(T::default());
    shape
}

fn section(fields: &[Field]) -> Value {
    json!({"type": "object", "properties": shapes(fields), "additionalProperties": false})
}

/// What may stand where a text or a label is meant.
fn scalar() -> Value {
    json!({"type": ["string", "number", "boolean"]})
}

fn text() -> Value {
    json!({"type": ["string", "number", "boolean"], "pattern": "\\S"})
}

fn labels() -> Value {
    json!({"type": "object", "additionalProperties": scalar()})
}

/// A list, or the one item it would hold.
fn one_or_more(item: Value) -> Value {
    json!({"if": {"type": "array"}, "then": {"items": item}, "else": item})
}

/// `stage.field`, or a field deeper within.
fn target() -> Value {
    json!({"pattern": "^[^.]+(\\.[^.]+)+$", "patternErrorMessage": "Write `stage.field`."})
}

/// What stands at `#/definitions`: the axes, which may stand within one another.
pub(crate) fn definitions() -> Value {
    let axes =
        json!({"type": "object", "propertyNames": name(&names::taken()), "additionalProperties": axis()});
    json!({"axes": axes})
}

/// A name of one's own that is none of `taken`.
pub(crate) fn name(taken: &[&str]) -> Value {
    json!({"pattern": names::PLAIN, "patternErrorMessage": "Use letters, digits, `_` and `-`.", "not": {"enum": taken}})
}

/// Values of one field, or labels of several set together.
fn axis() -> Value {
    let settings = json!({
        "type": "object",
        "properties": {"axes": {"$ref": "#/definitions/axes"}},
        "propertyNames": {"anyOf": [{"const": "axes"}, target()]},
    });
    json!({
        "type": "object",
        "minProperties": 1,
        "if": {"maxProperties": 1, "additionalProperties": {"type": "array"}},
        "then": {"propertyNames": target(), "additionalProperties": {"minItems": 1}},
        "else": {"additionalProperties": settings},
    })
}

fn repeated() -> Value {
    json!({"minItems": 1})
}

fn excluded() -> Value {
    json!({"type": "object", "minProperties": 1, "additionalProperties": scalar()})
}

fn included() -> Value {
    json!({
        "type": "object",
        "minProperties": 1,
        "properties": {"label": scalar()},
        "propertyNames": {"anyOf": [{"pattern": names::PLAIN}, target()]},
        "dependencies": {"label": {"minProperties": 2}},
    })
}

fn overriding() -> Value {
    json!({
        "type": "object",
        "minProperties": 2,
        "required": ["where"],
        "properties": {"where": excluded()},
        "propertyNames": {"anyOf": [{"const": "where"}, target()]},
    })
}

fn expectation() -> Value {
    json!({
        "type": "object",
        "properties": {
            "where": {"description": "The row, by axis and label; `system` names an evaluate stage.", "type": "object",
                      "additionalProperties": scalar()},
            "tolerance": {"description": "How far off is fine.", "type": "number", "minimum": 0, "default": 0},
        },
        "additionalProperties": {"description": "The figure of a measure.", "type": "number"},
        "not": {"propertyNames": {"enum": ["where", "tolerance"]}},
    })
}
