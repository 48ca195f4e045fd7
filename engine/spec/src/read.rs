//! A whole file: its sections, then everything that only the whole can tell.

use std::collections::BTreeSet;

use ablate_core::{ArtifactKind, StageKind};

use crate::{
    Experiment, Problem, Severity, Source, StageDef, Sweep,
    check::{cycles, grid, split, unused},
    fields, names,
    problem::suggestion,
    report::{self, Known},
    stages::{self, Stages},
    sweep,
    yaml::{self, Data, Node},
};

/// Codes after which nothing is known about what uses what: a warning about it could be wrong.
const HIDE_USE: [&str; 6] = [
    "ablate::spec::unknown_stage",
    "ablate::spec::unknown_reference",
    "ablate::spec::unknown_field",
    "ablate::spec::missing_input",
    "ablate::spec::wrong_port",
    "ablate::spec::cycle",
];

/// Reads and checks a file. The experiment is there only if no problem is an error; every problem is told.
///
/// `sets` are `--set stage.field=VALUE`; `reserved` are names no stage may take (those of catalogue models).
pub fn load(
    source: &Source,
    kinds: &[&'static dyn StageKind],
    sets: &[(String, String)],
    reserved: &[&str],
) -> (Option<Experiment>, Vec<Problem>) {
    let (root, mut problems) = yaml::parse(source);
    let told: Vec<_> = problems.iter().map(|problem| problem.at).collect();
    let mut found = Vec::new();
    let experiment = root.and_then(|root| assemble(&root, kinds, sets, reserved, &mut found));
    // A value that is no value cannot fit a field either.
    found.retain(|problem| problem.at.is_none() || !told.contains(&problem.at));
    problems.extend(found);
    problems.sort_by_key(|problem| problem.at.map(|at| at.offset));
    problems.dedup();
    let fine = problems
        .iter()
        .all(|problem| problem.severity == Severity::Warning);
    (experiment.filter(|_| fine), problems)
}

fn assemble(
    root: &Node,
    kinds: &[&'static dyn StageKind],
    sets: &[(String, String)],
    reserved: &[&str],
    problems: &mut Vec<Problem>,
) -> Option<Experiment> {
    if let Err(problem) = sections(root, problems) {
        problems.push(problem);
        return None;
    }
    let named = root.get("experiment").map(|(_, node)| node);
    let name = named.and_then(|node| report::text(node, "experiment", problems));
    let broken = name
        .as_deref()
        .and_then(|name| names::line("the name of the experiment", name));
    problems.extend(broken.zip(named).map(|(problem, node)| problem.at(node.at)));
    let about = root.get("about").map(|(_, node)| node);
    let about = about.and_then(|node| report::text(node, "about", problems));
    let written = root.get("stages").map(|(_, node)| node);
    let mut stages = written.map_or_else(Stages::default, |n| stages::read(n, kinds, reserved, problems));
    if written.is_some() {
        problems.extend(stages.apply(sets));
    }
    let sweep = root.get("sweep").map(|(_, node)| node);
    let sweep = sweep.map(|node| sweep::read(node, problems)).unwrap_or_default();
    if written.is_some() {
        problems.extend(grid(&sweep, &stages));
    }
    let (axes, systems) = (sweep.axes.as_slice(), systems(&stages));
    let measures = measures(&stages, &sweep);
    let known = Known {
        axes,
        systems,
        measures,
    };
    let report = root.get("report").map(|(_, node)| node);
    let report = report.map(|node| report::report(node, &known, problems));
    let expect = root.get("expect").map(|(_, node)| node);
    let expect = expect.map(|node| report::expect(node, &known, problems));
    let allowed = root.get("allow_leakage").map(|(_, node)| node);
    let allowed = allowed.map(|node| allow_leakage(node, &stages, problems));
    problems.extend(cycles(&stages.defs, &sweep));
    if !problems.iter().any(|problem| HIDE_USE.contains(&problem.code)) && stages.broken.is_empty() {
        problems.extend(unused(&stages.defs, &sweep));
    }
    Some(Experiment {
        name: name?,
        about,
        stages: stages.defs,
        sweep,
        report: report.unwrap_or_default(),
        expect: expect.unwrap_or_default(),
        allow_leakage: allowed.unwrap_or_default(),
    })
}

/// Looks at the top level: what is there that should not be, and the other way round.
fn sections(root: &Node, problems: &mut Vec<Problem>) -> Result<(), Problem> {
    let Some(entries) = root.entries() else {
        if matches!(root.data, Data::Null) {
            let problem = Problem::error("ablate::spec::empty_file", "there is nothing in this file");
            return Err(problem.help("begin with `experiment: NAME` and `stages:`"));
        }
        let message = format!("an experiment file is a mapping, not {}", root.kind());
        let problem = Problem::error("ablate::spec::wrong_type", message).at(root.at);
        return Err(problem.help("begin with `experiment: NAME` and `stages:`"));
    };
    for (key, _) in entries {
        if !fields::known(&fields::FILE).any(|name| name == key.name) {
            let message = format!("there is no section `{}`", key.name);
            let problem = Problem::error("ablate::spec::unknown_field", message).at(key.at);
            problems.push(problem.help(suggestion(&key.name, fields::known(&fields::FILE))));
        }
    }
    for (section, help) in [
        ("experiment", "begin with `experiment: NAME`"),
        (
            "stages",
            "write `stages:` and, indented below, `NAME: {use: KIND, ...}`",
        ),
    ] {
        if root.get(section).is_none() {
            let message = format!("the section `{section}` is missing");
            let problem = Problem::error("ablate::spec::missing_field", message).at(root.at);
            problems.push(problem.help(help));
        }
    }
    Ok(())
}

/// The stages whose scores make the rows of a table.
fn scored<'a>(stages: &'a Stages<'_>) -> impl Iterator<Item = &'a StageDef> {
    let scores = |stage: &&StageDef| {
        let first = stage.kind.outputs().first();
        first.is_some_and(|output| output.kind == ArtifactKind::Scores)
    };
    stages.defs.iter().filter(scores)
}

/// Their names; broken stages too, which may be such.
fn systems<'a>(stages: &'a Stages<'_>) -> Vec<&'a str> {
    let fine = scored(stages).map(|stage| stage.name.as_str());
    fine.chain(stages.broken.iter().map(String::as_str)).collect()
}

/// What the stages measure, by their field `measures`; `None` where that cannot be told without running one.
fn measures(stages: &Stages<'_>, sweep: &Sweep) -> Option<BTreeSet<String>> {
    let varied = sweep.all_settings().any(|set| set.path == ["measures"]);
    if varied || !stages.broken.is_empty() {
        return None;
    }
    let mut found = BTreeSet::new();
    for stage in scored(stages) {
        let bound = stage.kind.bind(&split(stage.kind, &stage.fields).1).ok()?;
        let params = bound.params();
        let names = params.get("measures")?.as_array()?;
        found.extend(names.iter().filter_map(|name| name.as_str().map(str::to_owned)));
    }
    (!found.is_empty()).then_some(found)
}

/// Reads `allow_leakage:`, each an output of a stage that holds queries or judgements.
fn allow_leakage(node: &Node, stages: &Stages<'_>, problems: &mut Vec<Problem>) -> Vec<String> {
    let judged = |kind| matches!(kind, ArtifactKind::Queries | ArtifactKind::Qrels);
    let outputs = stages.defs.iter().flat_map(|stage| {
        let outputs = stage.kind.outputs().iter().filter(|output| judged(output.kind));
        outputs.map(|output| format!("{}.{}", stage.name, output.name))
    });
    let known: Vec<_> = outputs.collect();
    let mut allowed = Vec::new();
    for item in sweep::items(node) {
        let name = item.label().unwrap_or_else(|| item.kind().to_owned());
        if known.contains(&name) {
            allowed.push(name);
            continue;
        }
        let message = format!("`{name}` names no queries or judgements of a stage");
        let problem = Problem::error("ablate::spec::unknown_reference", message).at(item.at);
        problems.push(problem.help(suggestion(&name, known.iter().map(String::as_str))));
    }
    allowed
}
