//! `stages:`: kinds, fields, inputs.

use std::collections::BTreeSet;

use ablate_core::{ParamProblem, StageKind};
use serde_json::{Map, Value};

use crate::{
    Problem, Setting, Span, StageDef,
    check::{resolve, split},
    names,
    point::{apply, target},
    problem::suggestion,
    words::{decoding, own_kind, variant},
    yaml::{self, Data, Key, Node},
};

/// The stages of a file.
#[derive(Default)]
pub(crate) struct Stages<'a> {
    /// Those that could be read, in file order.
    pub(crate) defs: Vec<StageDef>,
    /// What is written of each.
    nodes: Vec<&'a Node>,
    /// The names of those that could not: nothing more is said of what refers to them.
    pub(crate) broken: BTreeSet<String>,
    /// What the command line sets: stage, field, and the option as text.
    pub(crate) options: Vec<(String, Vec<String>, String)>,
    /// The names of all kinds.
    kinds: Vec<&'static str>,
}

/// Where a field's value comes from, if not from the stage as written.
pub(crate) enum Origin<'a> {
    Sweep(&'a Setting),
    Option(&'a str),
}

/// The fields of a stage at a point of the sweep, with their places.
pub(crate) struct Fields<'a> {
    stage: &'a StageDef,
    node: &'a Node,
    values: Map<String, Value>,
    /// By path; later ones win.
    given: Vec<(&'a [String], Origin<'a>)>,
    kinds: &'a [&'static str],
}

/// Reads every stage.
pub(crate) fn read<'a>(
    node: &'a Node,
    kinds: &[&'static dyn StageKind],
    reserved: &[&str],
    problems: &mut Vec<Problem>,
) -> Stages<'a> {
    let mut stages = Stages {
        kinds: kinds.iter().map(|kind| kind.name()).collect(),
        ..Stages::default()
    };
    let Some(entries) = node.entries().filter(|entries| !entries.is_empty()) else {
        let problem = Problem::error("ablate::spec::wrong_type", "`stages` must map names to stages");
        problems.push(problem.at(node.at).help("write `NAME: {use: KIND, ...}`"));
        return stages;
    };
    for (key, node) in entries {
        problems.extend(names::stage(key, reserved));
        match read_one(key, node, kinds) {
            Ok(def) => {
                stages.defs.push(def);
                stages.nodes.push(node);
            }
            Err(problem) => {
                problems.push(problem);
                stages.broken.insert(key.name.clone());
            }
        }
    }
    stages
}

fn read_one(key: &Key, node: &Node, kinds: &[&'static dyn StageKind]) -> Result<StageDef, Problem> {
    let name = &key.name;
    let Value::Object(mut fields) = node.json() else {
        let message = format!("the stage `{name}` must be a mapping, not {}", node.kind());
        let problem = Problem::error("ablate::spec::wrong_type", message).at(node.at);
        return Err(problem.help("write `{use: KIND, ...}`"));
    };
    let Some((_, wanted)) = node.get("use") else {
        let message = format!("the stage `{name}` does not say what it is");
        let problem = Problem::error("ablate::spec::missing_field", message).at(key.at);
        return Err(problem.help("give it `use: KIND`; `ablate stages` lists the kinds"));
    };
    let Data::Text(text) = &wanted.data else {
        let message = format!("`use` must name a stage kind, not {}", wanted.kind());
        return Err(Problem::error("ablate::spec::wrong_type", message).at(wanted.at));
    };
    let Some(kind) = kinds.iter().find(|kind| kind.name() == text) else {
        let problem = Problem::error(
            "ablate::spec::unknown_stage",
            format!("there is no stage kind `{text}`"),
        );
        let help = suggestion(text, kinds.iter().map(|kind| kind.name()));
        return Err(problem.at(wanted.at).help(help));
    };
    fields.remove("use");
    let (name, span) = (name.clone(), key.at);
    Ok(StageDef {
        name,
        kind: *kind,
        fields,
        span,
    })
}

impl Stages<'_> {
    /// The names of all stages, broken ones too.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let fine = self.defs.iter().map(|stage| stage.name.as_str());
        fine.chain(self.broken.iter().map(String::as_str))
    }

    /// Applies `--set stage.field=value`.
    pub(crate) fn apply(&mut self, sets: &[(String, String)]) -> Vec<Problem> {
        let one = |(path, text): &(String, String)| self.apply_one(path, text).err();
        sets.iter().filter_map(one).collect()
    }

    fn apply_one(&mut self, path: &str, text: &str) -> Result<(), Problem> {
        let option = format!("--set {path}={text}");
        let fail = |what: &str| Problem::error("ablate::spec::bad_set", format!("{option}: {what}"));
        let (stage, path) = target(path)
            .ok_or_else(|| fail("names no field of a stage").help("write `--set stage.field=VALUE`"))?;
        if let Some(problem) = self.no_target(&stage, &path) {
            return Err(Problem {
                message: format!("{option}: {}", problem.message),
                ..problem
            });
        }
        let value = yaml::parse_value(text)
            .ok_or_else(|| fail("the value is no YAML").help("quote it for the shell and for YAML"))?;
        if let Some(found) = self.defs.iter_mut().find(|def| def.name == stage) {
            apply(&mut found.fields, &path, value);
            self.options.push((stage, path, option));
        }
        Ok(())
    }

    /// What is wrong with setting this field from outside its stage.
    pub(crate) fn no_target(&self, stage: &str, path: &[String]) -> Option<Problem> {
        if !self.names().any(|name| name == stage) {
            let problem = Problem::error(
                "ablate::spec::unknown_reference",
                format!("there is no stage `{stage}`"),
            );
            return Some(problem.help(suggestion(stage, self.names())));
        }
        let message = format!("the kind of the stage `{stage}` cannot be varied");
        let kind = path.first().is_some_and(|first| first == "use");
        kind.then(|| {
            Problem::error("ablate::spec::bad_axis", message)
                .help("write two stages, and vary the input that reads them")
        })
    }

    /// What is wrong with the fields of a stage where `settings` hold.
    pub(crate) fn check(&self, at: usize, settings: &[&Setting]) -> Vec<Problem> {
        let (stage, node) = (&self.defs[at], self.nodes[at]);
        let options = self.options.iter().filter(|(name, ..)| *name == stage.name);
        let mut given: Vec<_> = options
            .map(|(_, path, option)| (path.as_slice(), Origin::Option(option)))
            .collect();
        given.extend(own(stage, settings).map(|set| (set.path.as_slice(), Origin::Sweep(set))));
        let fields = Fields {
            stage,
            node,
            values: values_at(stage, settings),
            given,
            kinds: &self.kinds,
        };
        fields.check(self, settings)
    }
}

/// What of `settings` is of a stage.
fn own<'a>(stage: &StageDef, settings: &[&'a Setting]) -> impl Iterator<Item = &'a Setting> {
    let is_own = |set: &&Setting| set.stage == stage.name && set.path.first().is_some_and(|f| f != "use");
    settings.iter().copied().filter(is_own)
}

/// The fields of a stage where `settings` hold.
pub(crate) fn values_at(stage: &StageDef, settings: &[&Setting]) -> Map<String, Value> {
    let mut values = stage.fields.clone();
    for setting in own(stage, settings) {
        apply(&mut values, &setting.path, setting.value.clone());
    }
    values
}

impl Fields<'_> {
    fn check(&self, stages: &Stages<'_>, settings: &[&Setting]) -> Vec<Problem> {
        let (ports, params) = split(self.stage.kind, &self.values);
        let mut problems: Vec<_> = ports
            .iter()
            .filter_map(|(port, value)| self.input(port, value, stages))
            .collect();
        let stands = |name: &str| ports.iter().any(|(port, _)| port.name == name);
        let lacks = |input: &&ablate_core::Input| {
            let needed = input.required || input.instead.is_some_and(|other| !stands(other));
            needed && !stands(input.name)
        };
        let inputs = self.stage.kind.inputs().iter();
        problems.extend(inputs.filter(lacks).map(|input| self.missing(input)));
        match self.stage.kind.bind(&params) {
            Ok(bound) => problems.extend(self.wiring(bound.as_ref(), &ports, stages, settings)),
            Err(found) => {
                let real = found.iter().filter(|problem| !self.is_there(problem));
                problems.extend(real.map(|problem| self.parameter(problem)));
            }
        }
        problems
    }

    /// Whether a field said to be missing stands there: then its value is what is wrong, and is told of already.
    fn is_there(&self, problem: &ParamProblem) -> bool {
        let name = problem
            .message
            .strip_prefix("missing field `")
            .and_then(|m| m.strip_suffix('`'));
        let inner = self.value(&problem.path).and_then(Value::as_object);
        let fields = if problem.path.is_empty() {
            Some(&self.values)
        } else {
            inner
        };
        name.zip(fields)
            .is_some_and(|(name, fields)| fields.contains_key(name))
    }

    fn value(&self, path: &[String]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter()
            .try_fold(self.values.get(first)?, |value, part| match value {
                Value::Array(items) => items.get(part.trim_matches(['[', ']']).parse::<usize>().ok()?),
                other => other.get(part),
            })
    }

    fn input(&self, port: &ablate_core::Input, value: &Value, stages: &Stages<'_>) -> Option<Problem> {
        let path = [port.name.to_owned()];
        let Some(text) = value.as_str() else {
            let message = format!(
                "the input `{}` of `{}` must be one name",
                port.name, self.stage.name
            );
            let problem = Problem::error("ablate::spec::wrong_type", message);
            return Some(
                self.place(problem, &path, false)
                    .help(format!("name a stage that makes {}", port.kind)),
            );
        };
        let name = text.split('.').next().unwrap_or_default();
        if stages.broken.contains(name) {
            return None;
        }
        let error = resolve(&stages.defs, port, text).err()?;
        let problem = Problem::error(error.code, error.message).help(error.help);
        let problem = self.place(problem, &path, false);
        let producer = stages
            .defs
            .iter()
            .find(|def| Some(&def.name) == error.producer.as_ref());
        Some(match producer {
            Some(def) => problem.also(def.span, format!("made here, by `{}`", def.kind.name())),
            None => problem,
        })
    }

    fn missing(&self, input: &ablate_core::Input) -> Problem {
        let message = format!("the stage `{}` needs the input `{}`", self.stage.name, input.name);
        let instead = input
            .instead
            .map(|other| format!(", or `{other}`"))
            .unwrap_or_default();
        let what = match input.source {
            Some(source) => format!("a stage that makes {}, or a {}", input.kind, source.name()),
            None => format!("a stage that makes {}", input.kind),
        };
        Problem::error("ablate::spec::missing_input", message)
            .at(self.stage.span)
            .help(format!("give it `{}: NAME`, {what}{instead}", input.name))
    }

    pub(crate) fn parameter(&self, problem: &ParamProblem) -> Problem {
        let name = &self.stage.name;
        let path = problem.path.join(".").replace(".[", "[");
        let (code, message) = match problem.code {
            "unknown_field" => (
                "ablate::spec::unknown_field",
                format!("`{}` has no field `{path}`", self.stage.kind.name()),
            ),
            "missing_field" => (
                "ablate::spec::missing_field",
                format!("the stage `{name}`: {}", problem.message),
            ),
            "out_of_range" => (
                "ablate::spec::out_of_range",
                format!("`{name}.{path}`: {}", problem.message),
            ),
            _ => decoding(&format!("{name}.{path}"), &problem.message),
        };
        let out = self.place(
            Problem::error(code, message),
            &problem.path,
            code.ends_with("unknown_field"),
        );
        match self.help(problem) {
            Some(help) => out.help(help),
            None => out,
        }
    }

    fn help(&self, problem: &ParamProblem) -> Option<String> {
        if problem.code == "unknown_field" && problem.path.len() == 1 {
            return Some(self.known(&problem.path[0]));
        }
        problem
            .help
            .clone()
            .or_else(|| own_kind(&problem.message, self.stage.kind.name(), self.kinds))
            .or_else(|| variant(&problem.message))
            .or_else(|| self.quotes(problem))
    }

    /// Ports and parameters stand side by side, so a misspelt name is looked for among both.
    fn known(&self, name: &str) -> String {
        let schema = self.stage.kind.schema();
        let fields = schema.as_value().get("properties").and_then(Value::as_object);
        let params = fields
            .into_iter()
            .flat_map(|fields| fields.keys().map(String::as_str));
        let inputs = self.stage.kind.inputs().iter().map(|input| input.name);
        suggestion(name, inputs.chain(params))
    }

    /// Help for a value whose quotes are wrong: there and should not be, or the other way round.
    fn quotes(&self, problem: &ParamProblem) -> Option<String> {
        let value = self.value(&problem.path)?;
        match value {
            Value::String(text) if text.parse::<f64>().is_ok() => {
                Some(format!("write `{text}` without quotes"))
            }
            Value::String(text)
                if problem.message.contains("expected a boolean")
                    && matches!(text.as_str(), "yes" | "no" | "on" | "off") =>
            {
                Some("write `true` or `false`".into())
            }
            Value::Number(_) | Value::Bool(_) if problem.message.contains("expected a string") => {
                Some(format!("quote it: `\"{value}\"`"))
            }
            _ => None,
        }
    }

    /// A problem with the place of the field at `path`, or of its key.
    pub(crate) fn place(&self, problem: Problem, path: &[String], key: bool) -> Problem {
        let covering = self.given.iter().rev().find(|(given, _)| path.starts_with(given));
        let written = || Some(self.node.locate(path)?).filter(|_| !path.is_empty());
        let within = || self.given.iter().rev().find(|(given, _)| given.starts_with(path));
        if let Some((_, origin)) = covering {
            return origin.place(problem, key);
        }
        if let Some((name, value)) = written() {
            let at = name.filter(|_| key).map_or(value.at, |name| name.at);
            return problem.at(at);
        }
        match within().filter(|_| !path.is_empty()) {
            Some((_, origin)) => origin.place(problem, key),
            None => problem.at(self.stage.span),
        }
    }
}

impl Origin<'_> {
    fn place(&self, problem: Problem, key: bool) -> Problem {
        match self {
            Self::Sweep(setting) => problem.at(if key { setting.key } else { setting.span }),
            Self::Option(option) => Problem {
                message: format!("{option}: {}", problem.message),
                ..problem
            },
        }
    }
}

/// The place of a stage, for labels.
pub(crate) fn span_of(stages: &[StageDef], name: &str) -> Option<Span> {
    stages
        .iter()
        .find(|stage| stage.name == name)
        .map(|stage| stage.span)
}
