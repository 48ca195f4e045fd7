//! `stages`: the reference of the stage kinds.

mod markdown;

use ablate_core::{StageKind, similar};
use ablate_registry::STAGES;

use crate::{
    args::Stages,
    error::CliError,
    print,
    reference::{Input, Parameter, Reference, Role, reference},
};

/// Lists the kinds, or shows one.
pub(crate) fn stages(args: &Stages, json: bool) -> Result<(), CliError> {
    let Some(name) = &args.kind else {
        list(args.markdown, json);
        return Ok(());
    };
    let found = reference(find(name)?);
    match (json, args.markdown) {
        (true, _) => print::json(&found),
        (false, true) => print::result(&markdown::kind(&found)),
        (false, false) => print::result(&text(&found)),
    }
    Ok(())
}

fn find(name: &str) -> Result<&'static dyn StageKind, CliError> {
    STAGES
        .iter()
        .copied()
        .find(|kind| kind.name() == name)
        .ok_or_else(|| {
            let near = similar(name, STAGES.iter().map(|kind| kind.name()));
            let names = if near.is_empty() {
                STAGES.iter().map(|kind| kind.name()).collect()
            } else {
                near
            };
            CliError::Usage(format!(
                "there is no stage kind `{name}`; there is {}",
                names.join(", ")
            ))
        })
}

fn list(markdown: bool, json: bool) {
    let all: Vec<_> = STAGES.iter().map(|kind| reference(*kind)).collect();
    if json {
        print::json(&all);
    } else if markdown {
        print::result(&markdown::page(&all));
    } else {
        let line = |kind: &Reference| format!("{:20} {}", kind.kind, kind.about);
        print::result(&all.iter().map(line).collect::<Vec<_>>().join("\n"));
    }
}

fn text(kind: &Reference) -> String {
    let mut out = format!("{}: {} (version {})\n", kind.kind, kind.about, kind.version);
    let mut block = |title: &str, rows: Vec<[String; 3]>| {
        if !rows.is_empty() {
            out.push_str(&format!("\n{title}\n{}", columns(&rows)));
        }
    };
    block("inputs", kind.inputs.iter().map(input).collect());
    let output = |port: &crate::reference::Output| {
        [
            port.name.to_owned(),
            port.kind.name().to_owned(),
            port.about.to_owned(),
        ]
    };
    block("outputs", kind.outputs.iter().map(output).collect());
    block("parameters", kind.parameters.iter().flat_map(parameter).collect());
    format!("{out}\nexample\n  {}", kind.example)
}

/// Rows of a name, what it is, and a text, aligned.
fn columns(rows: &[[String; 3]]) -> String {
    let wide = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let (first, second) = (wide(0), wide(1));
    let line = |[name, what, about]: &[String; 3]| {
        let line = format!("  {name:first$}  {what:second$}  {about}");
        format!("{}\n", line.trim_end())
    };
    rows.iter().map(line).collect()
}

fn input(port: &Input) -> [String; 3] {
    let need = port.need();
    let source = port.source.as_ref().map_or_else(String::new, |source| {
        format!("; a stage, or a {}: {}", source.name, source.about)
    });
    [
        port.name.to_owned(),
        format!("{}{need}", port.kind),
        format!("{}{source}", port.about),
    ]
}

/// The line of a parameter, and one for each value it may have.
fn parameter(parameter: &Parameter) -> Vec<[String; 3]> {
    let range = parameter
        .range
        .as_ref()
        .map_or_else(String::new, |range| format!(", {range}"));
    let given = match &parameter.default {
        Some(default) => format!(" [{default}]"),
        None if parameter.required => " (required)".into(),
        None => String::new(),
    };
    let role = match parameter.role {
        Role::Execution => " Execution only: never moves a result or a key.",
        Role::Meaning => "",
    };
    let what = format!("{}{range}{given}", parameter.type_name);
    let about = format!("{}{role}", parameter.about);
    let values = parameter.values.iter().filter(|choice| !choice.about.is_empty());
    let values = values.map(|choice| {
        [
            String::new(),
            String::new(),
            format!("  {}: {}", choice.value, choice.about),
        ]
    });
    let first = [parameter.name.clone(), what, about];
    std::iter::once(first).chain(values).collect()
}
