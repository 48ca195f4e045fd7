//! `stages:`: kinds, fields, references.

use std::collections::BTreeMap;

use ablate_core::{ParamProblem, StageKind};
use serde_json::{Map, Value};

use crate::{
    Problem, Source, Span, StageDef,
    check::{resolve, split},
    problem::suggestion,
    sweep::apply,
    yaml::{Data, Key, Node},
};

/// Where the fields of a stage stand, for messages.
pub(crate) struct Written<'a> {
    pub(crate) node: Option<&'a Node>,
    pub(crate) source: &'a Source,
    /// The place of everything that was not written in the stage itself.
    pub(crate) fallback: Span,
    /// Where a field came from, if not from the stage: its first path part to its place.
    pub(crate) set: BTreeMap<String, Span>,
}

impl Written<'_> {
    fn span(&self, path: &[String], key: bool) -> Span {
        if let Some(span) = path.first().and_then(|first| self.set.get(first)) {
            return *span;
        }
        self.node
            .map_or(self.fallback, |node| node.locate(path, key, self.source))
    }
}

/// Reads every stage; those with an unknown kind are left out.
pub(crate) fn read<'a>(
    node: &'a Node,
    source: &'a Source,
    kinds: &[&'static dyn StageKind],
    reserved: &[&str],
    problems: &mut Vec<Problem>,
) -> Vec<(StageDef, &'a Node)> {
    let Some(entries) = node.entries() else {
        let problem = Problem::error("ablate::spec::wrong_type", "`stages` must map names to stages");
        problems.push(problem.at(node.span(source)));
        return vec![];
    };
    entries
        .iter()
        .filter_map(|(key, stage)| read_one(key, stage, source, kinds, reserved, problems))
        .collect()
}

fn read_one<'a>(
    key: &Key,
    node: &'a Node,
    source: &Source,
    kinds: &[&'static dyn StageKind],
    reserved: &[&str],
    problems: &mut Vec<Problem>,
) -> Option<(StageDef, &'a Node)> {
    let name = &key.name;
    let mut tell = |problem: Problem| problems.push(problem);
    if reserved.contains(&name.as_str()) {
        let message = format!("the stage `{name}` has the name of a model");
        tell(
            Problem::error("ablate::spec::reserved_name", message)
                .at(key.span(source))
                .help("rename the stage"),
        );
    }
    if name.contains('.') || name.is_empty() {
        let message = format!("a stage cannot be called `{name}`: dots name ports");
        tell(Problem::error("ablate::spec::bad_name", message).at(key.span(source)));
    }
    let Some((_, kind)) = node.get("use") else {
        let problem = Problem::error(
            "ablate::spec::missing_field",
            format!("the stage `{name}` has no `use`"),
        );
        tell(
            problem
                .at(key.span(source))
                .help("name its kind: `use: collection`, say; `ablate stages` lists them"),
        );
        return None;
    };
    let Data::Text(wanted) = &kind.data else {
        let message = format!("`use` must name a stage kind, not {}", kind.kind());
        tell(Problem::error("ablate::spec::wrong_type", message).at(kind.span(source)));
        return None;
    };
    let Some(found) = kinds.iter().find(|k| k.name() == wanted) else {
        let problem = Problem::error(
            "ablate::spec::unknown_stage",
            format!("there is no stage kind `{wanted}`"),
        );
        tell(
            problem
                .at(kind.span(source))
                .help(suggestion(wanted, kinds.iter().map(|k| k.name()))),
        );
        return None;
    };
    let Value::Object(mut fields) = node.json() else {
        return None;
    };
    fields.remove("use");
    Some((
        StageDef {
            name: name.clone(),
            kind: *found,
            fields,
            span: key.span(source),
        },
        node,
    ))
}

/// Applies `--set stage.field=value`.
pub(crate) fn apply_sets(
    stages: &mut [(StageDef, &Node)],
    sets: &[(String, String)],
    problems: &mut Vec<Problem>,
) {
    for (path, text) in sets {
        let mut parts = path.split('.').map(str::to_owned);
        let stage = parts.next().unwrap_or_default();
        let rest: Vec<String> = parts.collect();
        let names: Vec<_> = stages.iter().map(|(stage, _)| stage.name.clone()).collect();
        let Some((found, _)) = stages.iter_mut().find(|(s, _)| s.name == stage) else {
            let problem = Problem::error(
                "ablate::spec::unknown_reference",
                format!("--set {path}: no stage `{stage}`"),
            );
            problems.push(problem.help(suggestion(&stage, names.iter().map(String::as_str))));
            continue;
        };
        if rest.is_empty() {
            let message = format!("--set {path}: name a field, as in `{stage}.FIELD={text}`");
            problems.push(Problem::error("ablate::spec::bad_set", message));
            continue;
        }
        match crate::yaml::parse(&Source {
            name: format!("--set {path}"),
            text: text.clone(),
        }) {
            Ok(value) => apply(&mut found.fields, &rest, value.json()),
            Err(_) => {
                let message = format!("--set {path}: `{text}` is no YAML value");
                problems.push(Problem::error("ablate::spec::bad_set", message));
            }
        }
    }
}

/// Finds what is wrong with the fields of a stage: references, missing inputs, parameters.
pub(crate) fn check_fields(
    stages: &[StageDef],
    stage: &StageDef,
    fields: &Map<String, Value>,
    written: &Written<'_>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let (ports, params) = split(stage.kind, fields);
    for (port, value) in &ports {
        let at = written.span(&[port.name.to_owned()], false);
        let Some(text) = value.as_str() else {
            let message = format!("the input `{}` of `{}` must be a name", port.name, stage.name);
            problems.push(Problem::error("ablate::spec::wrong_type", message).at(at));
            continue;
        };
        if let Err(error) = resolve(stages, port, text) {
            let mut problem = Problem::error(error.code, error.message).at(at).help(error.help);
            if let Some(producer) = stages.iter().find(|s| Some(&s.name) == error.producer.as_ref()) {
                problem = problem.also(
                    producer.span,
                    format!("`{}` is a {}", producer.name, producer.kind.name()),
                );
            }
            problems.push(problem);
        }
    }
    for input in stage.kind.inputs().iter().filter(|input| input.required) {
        if !ports.iter().any(|(port, _)| port.name == input.name) {
            let what = input.source.map_or_else(
                || input.kind.to_string(),
                |s| format!("{} or a {}", input.kind, s.name()),
            );
            let message = format!("`{}` needs the input `{}`", stage.name, input.name);
            let problem = Problem::error("ablate::spec::missing_input", message).at(stage.span);
            problems.push(problem.help(format!("connect it: `{}: NAME` of a {what}", input.name)));
        }
    }
    if let Err(found) = stage.kind.bind(&params) {
        problems.extend(found.iter().map(|problem| parameter(stage, problem, written)));
    }
    problems
}

fn parameter(stage: &StageDef, problem: &ParamProblem, written: &Written<'_>) -> Problem {
    let code = match problem.code {
        "unknown_field" => "ablate::spec::unknown_field",
        "missing_field" => "ablate::spec::missing_field",
        "out_of_range" => "ablate::spec::out_of_range",
        _ => "ablate::spec::wrong_type",
    };
    let path = problem.path.join(".");
    let message = match problem.code {
        "unknown_field" => format!("`{}` has no field `{path}`", stage.kind.name()),
        "missing_field" => format!("`{}`: {}", stage.name, problem.message),
        _ => format!("`{}.{path}`: {}", stage.name, problem.message),
    };
    let out = Problem::error(code, message).at(written.span(&problem.path, problem.code == "unknown_field"));
    match unknown_help(stage, problem) {
        Some(help) => out.help(help),
        None => out,
    }
}

/// Ports and parameters stand side by side, so a misspelt port is looked for among both.
fn unknown_help(stage: &StageDef, problem: &ParamProblem) -> Option<String> {
    let [name] = problem.path.as_slice() else {
        return problem.help.clone();
    };
    if problem.code != "unknown_field" {
        return problem.help.clone();
    }
    let schema = stage.kind.schema();
    let fields = schema.as_value().get("properties").and_then(Value::as_object);
    let params = fields
        .into_iter()
        .flat_map(|fields| fields.keys().map(String::as_str));
    Some(suggestion(
        name,
        stage.kind.inputs().iter().map(|input| input.name).chain(params),
    ))
}
