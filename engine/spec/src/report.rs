//! `report:` and `expect:`: how results are told, and what they are held against.

use std::collections::{BTreeMap, BTreeSet};

use ablate_core::schema_of;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    Axis, Expect, Problem, Report, fields,
    problem::suggestion,
    sweep::{labels, mapping},
    yaml::{Data, Node},
};

/// What a report may speak of.
pub(crate) struct Known<'a> {
    /// The axes of the sweep.
    pub(crate) axes: &'a [Axis],
    /// The evaluate stages.
    pub(crate) systems: Vec<&'a str>,
    /// What they measure; `None` if that cannot be told.
    pub(crate) measures: Option<BTreeSet<String>>,
}

/// A measure that no stage computes.
fn unmeasured(name: &str, known: &Known<'_>) -> Option<Problem> {
    let measures = known.measures.as_ref().filter(|all| !all.contains(name))?;
    let message = format!("no stage measures `{name}`");
    let help = suggestion(name, measures.iter().map(String::as_str));
    Some(Problem::error("ablate::spec::unknown_measure", message).help(help))
}

/// Reads `report:`.
pub(crate) fn report(node: &Node, known: &Known<'_>, problems: &mut Vec<Problem>) -> Report {
    let mut report = Report::default();
    for (key, value) in mapping(node, "report", problems) {
        match key.name.as_str() {
            "measure" => {
                report.measure = text(value, "report.measure", problems);
                let wrong = report.measure.as_deref().and_then(|name| unmeasured(name, known));
                problems.extend(wrong.map(|problem| problem.at(value.at)));
            }
            "test" => report.test = choice(value, "test", problems),
            "correction" => report.correction = choice(value, "correction", problems),
            "interval" => report.interval = Some(choice(value, "interval", problems)),
            "confidence" => {
                let between = |number| number > 0.0 && number < 1.0;
                report.confidence = number(value, "confidence", between, "between 0 and 1", problems);
            }
            "equivalence" => {
                let positive = |number| number > 0.0;
                report.equivalence = number(value, "equivalence", positive, "above 0", problems);
            }
            "baseline" => report.baseline = labels(value, "baseline", known.axes, &known.systems, problems),
            other => {
                let message = format!("`report` has no field `{other}`");
                let problem = Problem::error("ablate::spec::unknown_field", message).at(key.at);
                problems.push(problem.help(suggestion(other, fields::known(&fields::REPORT))));
            }
        }
    }
    report
}

/// A text, or a number taken as one.
pub(crate) fn text(node: &Node, name: &str, problems: &mut Vec<Problem>) -> Option<String> {
    let text = node.label().filter(|text| !text.trim().is_empty());
    if text.is_none() {
        let message = format!("`{name}` must be text, not {}", node.kind());
        problems.push(Problem::error("ablate::spec::wrong_type", message).at(node.at));
    }
    text
}

fn choice<T: DeserializeOwned + Default + JsonSchema + 'static>(
    node: &Node,
    name: &str,
    problems: &mut Vec<Problem>,
) -> T {
    serde_json::from_value(node.json()).unwrap_or_else(|_| {
        let found = node.label().unwrap_or_else(|| node.kind().to_owned());
        let message = format!("`report.{name}` cannot be `{found}`");
        let problem = Problem::error("ablate::spec::unknown_value", message).at(node.at);
        let known = schema_of::<T>().get("enum").and_then(Value::as_array);
        let known = known.into_iter().flatten().filter_map(Value::as_str);
        problems.push(problem.help(suggestion(&found, known)));
        T::default()
    })
}

/// A finite number that is `valid`, which `range` says in words.
fn number(
    node: &Node,
    name: &str,
    valid: impl Fn(f64) -> bool,
    range: &str,
    problems: &mut Vec<Problem>,
) -> Option<f64> {
    let number = node.json().as_f64().filter(|number| number.is_finite());
    if number.is_some_and(&valid) {
        return number;
    }
    let found = node.label().unwrap_or_else(|| node.kind().to_owned());
    let message = format!("`report.{name}` must be a number {range}, not `{found}`");
    problems.push(Problem::error("ablate::spec::out_of_range", message).at(node.at));
    None
}

/// Reads `expect:`.
pub(crate) fn expect(node: &Node, known: &Known<'_>, problems: &mut Vec<Problem>) -> Vec<Expect> {
    let Data::Seq(items) = &node.data else {
        let message = format!("`expect` must be a list, not {}", node.kind());
        let problem = Problem::error("ablate::spec::wrong_type", message).at(node.at);
        problems.push(problem.help("write `- {where: {AXIS: LABEL}, MEASURE: VALUE, tolerance: VALUE}`"));
        return vec![];
    };
    let read = |item| expectation(item, known, problems);
    items.iter().map(read).collect()
}

fn expectation(node: &Node, known: &Known<'_>, problems: &mut Vec<Problem>) -> Expect {
    let mut expect = Expect {
        at: BTreeMap::new(),
        figures: BTreeMap::new(),
        tolerance: 0.0,
    };
    for (key, value) in mapping(node, "expect", problems) {
        if key.name == "where" {
            expect.at = labels(value, "where", known.axes, &known.systems, problems);
            continue;
        }
        match value.json().as_f64() {
            Some(number) if key.name == "tolerance" && number < 0.0 => {
                let problem = Problem::error("ablate::spec::out_of_range", "`tolerance` cannot be negative");
                problems.push(problem.at(value.at));
            }
            Some(number) if key.name == "tolerance" => expect.tolerance = number,
            Some(number) => {
                expect.figures.insert(key.name.clone(), number);
                problems.extend(unmeasured(&key.name, known).map(|problem| problem.at(key.at)));
            }
            None => {
                let message = format!("`{}` must be a number, not {}", key.name, value.kind());
                problems.push(Problem::error("ablate::spec::wrong_type", message).at(value.at));
            }
        }
    }
    if node.entries().is_some() && expect.figures.is_empty() {
        let problem = Problem::error("ablate::spec::missing_field", "this expectation names no measure");
        problems.push(
            problem
                .at(node.at)
                .help("write `MEASURE: VALUE`, as in `nDCG@10: 0.65`"),
        );
    }
    expect
}
