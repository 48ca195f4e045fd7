//! What only the whole tells: what a name means, the values of a sweep, circles, stages nobody uses.

mod circles;
mod grid;
mod owners;

use std::collections::BTreeSet;

use ablate_core::{ArtifactKind, Input, StageKind};
use serde_json::{Map, Value};

pub(crate) use self::{circles::cycles, grid::grid};
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
    let Some(stage) = stages.iter().find(|stage| stage.name == name) else {
        return resolve_source(stages, port, text, name);
    };
    let outputs = stage.kind.outputs();
    let found = match output {
        Some(name) => outputs.iter().find(|output| output.name == name),
        None => outputs.first(),
    };
    match found {
        Some(found) if found.kind == port.kind => Ok(InputRef::Stage {
            stage: stage.name.clone(),
            port: found.name.to_owned(),
        }),
        Some(found) => Err(wrong_port(stage, port, found)),
        None => Err(no_output(stage, port, output)),
    }
}

fn resolve_source(stages: &[StageDef], port: &Input, text: &str, name: &str) -> Result<InputRef, InputError> {
    let unknown = |message: String, help: String| InputError {
        code: "ablate::spec::unknown_reference",
        message,
        help,
        producer: None,
    };
    let Some(source) = port.source else {
        let names = stages.iter().map(|stage| stage.name.as_str());
        let message = format!("the input `{}` names no stage: `{text}`", port.name);
        return Err(unknown(message, suggestion(name, names)));
    };
    match source.check(text) {
        Ok(()) => Ok(InputRef::Source(text.to_owned())),
        Err(why) => {
            let help = nearest(stages, port, name, &source.examples()).unwrap_or(why);
            let (port, source) = (port.name, source.name());
            // A mapping is not repeated: somebody may have written a key into it.
            let message = match text.starts_with('{') {
                true => format!("what is written at the input `{port}` is no {source}"),
                false => format!("the input `{port}` names no {source} and no stage: `{text}`"),
            };
            Err(unknown(message, help))
        }
    }
}

/// The stage of which something fits at `port`, or the source, that `name` looks like; the closer of the two.
fn nearest(stages: &[StageDef], port: &Input, name: &str, sources: &[&str]) -> Option<String> {
    let fits = stages.iter().filter(|stage| fitting(stage, port).is_some());
    let names: Vec<_> = fits.map(|stage| stage.name.as_str()).collect();
    let all = names.iter().chain(sources).copied();
    let close = ablate_core::similar(name, all).first().copied()?;
    Some(match names.contains(&close) {
        true => format!("did you mean the stage `{close}`?"),
        false => format!("did you mean `{close}`?"),
    })
}

/// The outputs of a stage that a port takes, as they are written.
fn fitting(stage: &StageDef, port: &Input) -> Option<String> {
    let fits = stage
        .kind
        .outputs()
        .iter()
        .filter(|output| output.kind == port.kind);
    let names: Vec<_> = fits
        .map(|output| format!("`{}.{}`", stage.name, output.name))
        .collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn wrong_port(stage: &StageDef, port: &Input, found: &ablate_core::Output) -> InputError {
    let message = format!(
        "the input `{}` takes {}, but `{}.{}` is {}",
        port.name, port.kind, stage.name, found.name, found.kind
    );
    let help = fitting(stage, port).map_or_else(
        || {
            format!(
                "`{}` makes no {}: name another stage",
                stage.kind.name(),
                port.kind
            )
        },
        |names| format!("`{}` has {names}", stage.name),
    );
    InputError {
        code: "ablate::spec::wrong_port",
        message,
        help,
        producer: Some(stage.name.clone()),
    }
}

fn no_output(stage: &StageDef, port: &Input, output: Option<&str>) -> InputError {
    let (name, wanted) = (&stage.name, output.unwrap_or_default());
    let fits = stage
        .kind
        .outputs()
        .iter()
        .filter(|output| output.kind == port.kind);
    let close = ablate_core::similar(wanted, fits.map(|output| output.name))
        .first()
        .copied();
    let path = format!("./{name}.{wanted}");
    let is_path = port.source.is_some_and(|source| source.check(&path).is_ok());
    let help = match (close, fitting(stage, port)) {
        _ if is_path && close.is_none() => format!("a file beside the experiment is `{path}`"),
        (Some(close), _) => format!("did you mean `{name}.{close}`?"),
        (None, Some(names)) => format!("as {} it has {names}", port.kind),
        (None, None) => format!(
            "`{}` makes no {}: name another stage",
            stage.kind.name(),
            port.kind
        ),
    };
    let message = match output {
        Some(output) => format!("the stage `{name}` has no output `{output}`"),
        None => format!("the stage `{name}` has no output"),
    };
    InputError {
        code: "ablate::spec::unknown_reference",
        message,
        help,
        producer: Some(name.clone()),
    }
}

/// Splits a stage's fields into what stands at its ports and the parameters. A source written as a mapping becomes its JSON.
pub fn split(
    kind: &dyn StageKind,
    fields: &Map<String, Value>,
) -> (Vec<(&'static Input, Value)>, Map<String, Value>) {
    let mut params = fields.clone();
    let ports = kind
        .inputs()
        .iter()
        .filter_map(|input| params.remove(input.name).map(|value| (input, value)))
        .map(|(input, value)| {
            let mapping = value.is_object() && input.source.is_some_and(|source| source.fields().is_some());
            (
                input,
                if mapping {
                    Value::String(value.to_string())
                } else {
                    value
                },
            )
        });
    let ports = ports.filter(|(_, value)| !value.is_null()).collect();
    (ports, params)
}

/// Stages whose results nobody reads and which are no results themselves: scores, models, vectors, hardness and what writes
/// elsewhere.
pub(crate) fn unused(stages: &[StageDef], sweep: &Sweep) -> Vec<Problem> {
    let reads = circles::reads(stages, sweep);
    let read: BTreeSet<&str> = reads.values().flatten().map(String::as_str).collect();
    let is_result = |stage: &StageDef| {
        let first = stage.kind.outputs().first();
        first.is_none_or(|output| {
            matches!(
                output.kind,
                ArtifactKind::Scores | ArtifactKind::Model | ArtifactKind::Vectors | ArtifactKind::Hardness
            )
        })
    };
    let idle = stages
        .iter()
        .filter(|stage| !read.contains(stage.name.as_str()) && !is_result(stage));
    let problem = |stage: &StageDef| {
        let message = format!("no stage uses `{}`; it runs all the same", stage.name);
        let help = "connect it, or remove it";
        Problem::warning("ablate::spec::unused_stage", message)
            .at(stage.span)
            .help(help)
    };
    idle.map(problem).collect()
}
