//! References between stages: what a name means, cycles, stages nobody uses.

use std::collections::{BTreeMap, BTreeSet};

use ablate_core::{ArtifactKind, Input, StageKind};
use serde_json::{Map, Value};

use crate::{InputRef, Problem, StageDef, Sweep, problem::suggestion};

/// Why a name means nothing at a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputError {
    /// A stable code.
    pub code: &'static str,
    /// A lower-case fragment.
    pub message: String,
    /// What to do.
    pub help: String,
    /// The stage that was named, if it was one.
    pub producer: Option<String>,
}

/// What `text` means at `port`: a stage (by its bare name its first output, or `stage.port`), else a source where the
/// port takes one.
pub fn resolve(stages: &[StageDef], port: &Input, text: &str) -> Result<InputRef, InputError> {
    let (name, output) = text
        .split_once('.')
        .map_or((text, None), |(name, output)| (name, Some(output)));
    match (stages.iter().find(|stage| stage.name == name), port.source) {
        (Some(stage), _) => resolve_output(stage, port, output),
        (None, Some(source)) => match source.check(text) {
            Ok(()) => Ok(InputRef::Source(text.to_owned())),
            Err(why) => Err(unknown(port, text, format!("{why}; or name a stage"))),
        },
        (None, None) => {
            let names = stages.iter().map(|stage| stage.name.as_str());
            Err(unknown(port, text, suggestion(name, names)))
        }
    }
}

fn unknown(port: &Input, text: &str, help: String) -> InputError {
    let message = format!("`{text}` at the input `{}` is nothing known", port.name);
    InputError {
        code: "ablate::spec::unknown_reference",
        message,
        help,
        producer: None,
    }
}

fn resolve_output(stage: &StageDef, port: &Input, output: Option<&str>) -> Result<InputRef, InputError> {
    let outputs = stage.kind.outputs();
    let found = match output {
        Some(name) => outputs.iter().find(|output| output.name == name),
        None => outputs.first(),
    };
    let fitting: Vec<_> = outputs
        .iter()
        .filter(|o| o.kind == port.kind)
        .map(|o| format!("`{}.{}`", stage.name, o.name))
        .collect();
    let Some(found) = found else {
        let message = format!("`{}` has no output `{}`", stage.name, output.unwrap_or_default());
        let help = suggestion(
            output.unwrap_or_default(),
            outputs.iter().map(|output| output.name),
        );
        let producer = Some(stage.name.clone());
        return Err(InputError {
            code: "ablate::spec::unknown_reference",
            message,
            help,
            producer,
        });
    };
    if found.kind == port.kind {
        return Ok(InputRef::Stage {
            stage: stage.name.clone(),
            port: found.name.to_owned(),
        });
    }
    let message = format!(
        "the input `{}` takes {}, and `{}.{}` is {}",
        port.name, port.kind, stage.name, found.name, found.kind
    );
    let help = match fitting.is_empty() {
        true => format!("`{}` makes no {}", stage.kind.name(), port.kind),
        false => format!("`{}` has {}", stage.name, fitting.join(", ")),
    };
    Err(InputError {
        code: "ablate::spec::wrong_port",
        message,
        help,
        producer: Some(stage.name.clone()),
    })
}

/// Splits a stage's fields into what stands at its ports and the parameters.
pub fn split(
    kind: &dyn StageKind,
    fields: &Map<String, Value>,
) -> (Vec<(&'static Input, Value)>, Map<String, Value>) {
    let mut params = fields.clone();
    let ports = kind
        .inputs()
        .iter()
        .filter_map(|input| params.remove(input.name).map(|value| (input, value)));
    let ports = ports.filter(|(_, value)| !value.is_null()).collect();
    (ports, params)
}

/// The stages each stage reads, over its own fields and every value a sweep gives to a port.
pub(crate) fn reads(stages: &[StageDef], sweep: &Sweep) -> BTreeMap<String, BTreeSet<(String, String)>> {
    let mut found: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    let mut note = |stage: &StageDef, fields: &Map<String, Value>| {
        for (port, value) in split(stage.kind, fields).0 {
            if let Some(Ok(InputRef::Stage { stage: from, port })) =
                value.as_str().map(|t| resolve(stages, port, t))
            {
                found.entry(stage.name.clone()).or_default().insert((from, port));
            }
        }
    };
    stages.iter().for_each(|stage| note(stage, &stage.fields));
    let points = sweep
        .axes
        .iter()
        .flat_map(|axis| &axis.points)
        .chain(&sweep.include)
        .chain(&sweep.replicate);
    for setting in points
        .flat_map(|point| &point.sets)
        .filter(|setting| setting.path.len() == 1)
    {
        if let Some(stage) = stages.iter().find(|stage| stage.name == setting.stage) {
            note(
                stage,
                &[(setting.path[0].clone(), setting.value.clone())]
                    .into_iter()
                    .collect(),
            );
        }
    }
    found
}

/// Circles of stages, each told once.
pub(crate) fn cycles(stages: &[StageDef], sweep: &Sweep) -> Vec<Problem> {
    let reads = reads(stages, sweep);
    let mut told = BTreeSet::new();
    let mut problems = Vec::new();
    for stage in stages {
        let Some(circle) = circle_from(&stage.name, &reads) else {
            continue;
        };
        let members: BTreeSet<_> = circle.iter().cloned().collect();
        if told.insert(members) {
            let path = circle.join("` → `");
            let message = format!(
                "these stages read each other in a circle: `{path}` → `{}`",
                stage.name
            );
            problems.push(
                Problem::error("ablate::spec::cycle", message)
                    .at(stage.span)
                    .help("break it at one of them"),
            );
        }
    }
    problems
}

fn circle_from(start: &str, reads: &BTreeMap<String, BTreeSet<(String, String)>>) -> Option<Vec<String>> {
    fn walk(
        at: &str,
        start: &str,
        reads: &BTreeMap<String, BTreeSet<(String, String)>>,
        seen: &mut BTreeSet<String>,
        path: &mut Vec<String>,
    ) -> bool {
        path.push(at.to_owned());
        for (next, _) in reads.get(at).into_iter().flatten() {
            if next == start || (seen.insert(next.clone()) && walk(next, start, reads, seen, path)) {
                return true;
            }
        }
        path.pop();
        false
    }
    let mut path = Vec::new();
    walk(start, start, reads, &mut BTreeSet::new(), &mut path).then_some(path)
}

/// Stages whose results nobody reads and which are no results themselves.
pub(crate) fn unused(stages: &[StageDef], sweep: &Sweep) -> Vec<Problem> {
    let reads = reads(stages, sweep);
    let read: BTreeSet<&str> = reads
        .values()
        .flatten()
        .map(|(stage, _)| stage.as_str())
        .collect();
    let is_result = |stage: &StageDef| {
        stage
            .kind
            .outputs()
            .first()
            .is_some_and(|o| matches!(o.kind, ArtifactKind::Scores | ArtifactKind::Model))
    };
    let idle = stages
        .iter()
        .filter(|stage| !read.contains(stage.name.as_str()) && !is_result(stage));
    let problem = |stage: &StageDef| {
        let message = format!("no stage uses `{}`; it runs all the same", stage.name);
        Problem::warning("ablate::spec::unused_stage", message).at(stage.span)
    };
    idle.map(problem).collect()
}
