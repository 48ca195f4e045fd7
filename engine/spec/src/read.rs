//! A whole file: its sections, then everything that only the whole can tell.

use std::collections::BTreeMap;

use ablate_core::{ArtifactKind, StageKind};
use serde::de::DeserializeOwned;

use crate::{
    Expect, Experiment, Problem, Report, Severity, Source, StageDef, Sweep,
    check::{cycles, unused},
    problem::suggestion,
    stages::{self, Written},
    sweep,
    yaml::{self, Node},
};

const SECTIONS: [&str; 6] = ["experiment", "about", "stages", "sweep", "report", "expect"];

/// Reads and checks a file. The experiment is there only if no problem is an error; every problem is told.
///
/// `sets` are `--set stage.field=VALUE`; `reserved` are names no stage may take (those of catalogue models).
pub fn load(
    source: &Source,
    kinds: &[&'static dyn StageKind],
    sets: &[(String, String)],
    reserved: &[&str],
) -> (Option<Experiment>, Vec<Problem>) {
    let root = match yaml::parse(source) {
        Ok(root) => root,
        Err(problems) => return (None, problems),
    };
    let mut problems = Vec::new();
    let experiment = assemble(&root, source, kinds, sets, reserved, &mut problems);
    problems.sort_by_key(|problem| (problem.at.map(|at| at.offset), problem.code));
    problems.dedup();
    let fine = problems
        .iter()
        .all(|problem| problem.severity == Severity::Warning);
    (experiment.filter(|_| fine), problems)
}

fn assemble(
    root: &Node,
    source: &Source,
    kinds: &[&'static dyn StageKind],
    sets: &[(String, String)],
    reserved: &[&str],
    problems: &mut Vec<Problem>,
) -> Option<Experiment> {
    let Some(entries) = root.entries() else {
        let message = format!("an experiment file is a mapping, not {}", root.kind());
        problems.push(Problem::error("ablate::spec::wrong_type", message).at(root.span(source)));
        return None;
    };
    for (key, _) in entries
        .iter()
        .filter(|(key, _)| !SECTIONS.contains(&key.name.as_str()))
    {
        let problem = Problem::error(
            "ablate::spec::unknown_field",
            format!("there is no section `{}`", key.name),
        );
        problems.push(problem.at(key.span(source)).help(suggestion(&key.name, SECTIONS)));
    }
    let name = text(root, "experiment", source, problems);
    if name.is_none() {
        let problem = Problem::error("ablate::spec::missing_field", "the experiment has no name");
        problems.push(problem.help("write `experiment: NAME`"));
    }
    let mut read = match root.get("stages") {
        Some((_, node)) => stages::read(node, source, kinds, reserved, problems),
        None => {
            let problem = Problem::error("ablate::spec::missing_field", "the experiment has no stages");
            problems.push(problem.help("write `stages:`"));
            vec![]
        }
    };
    stages::apply_sets(&mut read, sets, problems);
    let sweep = root
        .get("sweep")
        .map(|(_, node)| sweep::read(node, source, problems))
        .unwrap_or_default();
    let (stages, nodes): (Vec<StageDef>, Vec<&Node>) = read.into_iter().unzip();
    check_all(&stages, &nodes, &sweep, source, problems);
    let report = report(root, &stages, &sweep, source, problems);
    let expect = expect(root, source, problems);
    let about = text(root, "about", source, problems);
    Some(Experiment {
        name: name.unwrap_or_default(),
        about,
        stages,
        sweep,
        report,
        expect,
    })
}

fn check_all(
    stages: &[StageDef],
    nodes: &[&Node],
    sweep: &Sweep,
    source: &Source,
    problems: &mut Vec<Problem>,
) {
    for (stage, node) in stages.iter().zip(nodes) {
        let written = Written {
            node: Some(*node),
            source,
            fallback: stage.span,
            set: BTreeMap::new(),
        };
        problems.extend(stages::check_fields(stages, stage, &stage.fields, &written));
    }
    problems.extend(sweep::check(sweep, stages, nodes, source));
    problems.extend(cycles(stages, sweep));
    problems.extend(unused(stages, sweep));
}

fn text(root: &Node, name: &str, source: &Source, problems: &mut Vec<Problem>) -> Option<String> {
    let (_, node) = root.get(name)?;
    let label = node.label();
    if label.is_none() {
        let message = format!("`{name}` must be text, not {}", node.kind());
        problems.push(Problem::error("ablate::spec::wrong_type", message).at(node.span(source)));
    }
    label
}

fn report(
    root: &Node,
    stages: &[StageDef],
    sweep: &Sweep,
    source: &Source,
    problems: &mut Vec<Problem>,
) -> Report {
    let mut report = Report::default();
    let Some((_, node)) = root.get("report") else {
        return report;
    };
    for (key, value) in node.entries().unwrap_or_default() {
        match key.name.as_str() {
            "measure" => report.measure = value.label(),
            "test" => report.test = choice(value, "test", source, problems),
            "correction" => report.correction = choice(value, "correction", source, problems),
            "baseline" => {
                report.baseline = sweep::labels(value, "baseline", source, problems);
                for (axis, label) in &report.baseline {
                    let Some(problem) = unknown_label(axis, label, stages, sweep) else {
                        continue;
                    };
                    problems.push(problem.at(value.locate(std::slice::from_ref(axis), false, source)));
                }
            }
            other => {
                let problem = Problem::error(
                    "ablate::spec::unknown_field",
                    format!("`report` has no field `{other}`"),
                );
                let help = suggestion(other, ["measure", "baseline", "test", "correction"]);
                problems.push(problem.at(key.span(source)).help(help));
            }
        }
    }
    report
}

fn choice<T: DeserializeOwned + Default>(
    node: &Node,
    name: &str,
    source: &Source,
    problems: &mut Vec<Problem>,
) -> T {
    serde_json::from_value(node.json()).unwrap_or_else(|error| {
        problems.push(
            Problem::error("ablate::spec::wrong_type", format!("`report.{name}`: {error}"))
                .at(node.span(source)),
        );
        T::default()
    })
}

/// An axis and label a baseline names, if there is no such thing.
fn unknown_label(axis: &str, label: &str, stages: &[StageDef], sweep: &Sweep) -> Option<Problem> {
    let known: Vec<&str> = match axis {
        "system" => {
            let scores = |s: &&StageDef| {
                s.kind
                    .outputs()
                    .first()
                    .is_some_and(|o| o.kind == ArtifactKind::Scores)
            };
            stages
                .iter()
                .filter(scores)
                .map(|stage| stage.name.as_str())
                .collect()
        }
        _ => match sweep.axes.iter().find(|a| a.name == axis) {
            Some(axis) => axis.points.iter().map(|point| point.label.as_str()).collect(),
            None => {
                let names = sweep.axes.iter().map(|a| a.name.as_str()).chain(["system"]);
                let problem =
                    Problem::error("ablate::spec::unknown_axis", format!("there is no axis `{axis}`"));
                return Some(problem.help(suggestion(axis, names)));
            }
        },
    };
    if known.contains(&label) {
        return None;
    }
    let problem = Problem::error(
        "ablate::spec::unknown_label",
        format!("`{axis}` has no `{label}`"),
    );
    Some(problem.help(suggestion(label, known)))
}

fn expect(root: &Node, source: &Source, problems: &mut Vec<Problem>) -> Vec<Expect> {
    let Some((_, node)) = root.get("expect") else {
        return vec![];
    };
    let yaml::Data::Seq(items) = &node.data else {
        problems.push(
            Problem::error("ablate::spec::wrong_type", "`expect` must be a list").at(node.span(source)),
        );
        return vec![];
    };
    items
        .iter()
        .map(|item| expectation(item, source, problems))
        .collect()
}

fn expectation(node: &Node, source: &Source, problems: &mut Vec<Problem>) -> Expect {
    let mut expect = Expect {
        at: BTreeMap::new(),
        figures: BTreeMap::new(),
        tolerance: 0.0,
    };
    for (key, value) in node.entries().unwrap_or_default() {
        if key.name == "where" {
            expect.at = sweep::labels(value, "where", source, problems);
            continue;
        }
        match value.json().as_f64() {
            Some(number) if key.name == "tolerance" => expect.tolerance = number,
            Some(number) => drop(expect.figures.insert(key.name.clone(), number)),
            None => {
                let message = format!("`{}` must be a number, not {}", key.name, value.kind());
                problems.push(Problem::error("ablate::spec::wrong_type", message).at(value.span(source)));
            }
        }
    }
    expect
}
