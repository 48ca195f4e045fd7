//! The reference as Markdown: docs/stages.md.

use ablate_core::{ArtifactKind, rows, schema_of};
use serde_json::Value;

use crate::reference::{Input, Output, Parameter, Reference, Role};

/// The whole page.
pub(crate) fn page(kinds: &[Reference]) -> String {
    let row = |kind: &Reference| {
        let anchor = kind.kind.replace('/', "");
        format!("| [{0}](#{anchor}) | {1} |\n", kind.kind, cell(kind.about))
    };
    let index: String = kinds.iter().map(row).collect();
    let sections: Vec<_> = kinds
        .iter()
        .map(|kind| format!("\n{}", self::kind(kind)))
        .collect();
    let sections = sections.concat();
    format!(
        "# Stage kinds\n\n\
         <!-- Made by `ablate stages --markdown > docs/stages.md`: change the stages, not this page. -->\n\n\
         A stage of an experiment file is `NAME: {{use: KIND, ...}}`: inputs and parameters stand side by side. An input \
         names another stage\n(its first output) or `STAGE.PORT`. A parameter is part of the key of what a stage computes, \
         and a change runs it again; those marked\n*execution* are not.\n\n\
         | kind | makes |\n|---|---|\n{index}{sections}\n{}",
        artifacts()
    )
}

/// The section of a kind.
pub(crate) fn kind(kind: &Reference) -> String {
    let mut out = format!(
        "## {}\n\n{}. Version {}.\n",
        kind.kind,
        capital(kind.about),
        kind.version
    );
    let mut table = |head: &str, rows: Vec<String>| {
        if !rows.is_empty() {
            let rule = "|---".repeat(head.matches('|').count() - 1);
            out.push_str(&format!("\n{head}\n{rule}|\n{}\n", rows.join("\n")));
        }
    };
    table("| input | kind | |", kind.inputs.iter().map(input).collect());
    table("| output | kind | |", kind.outputs.iter().map(output).collect());
    table(
        "| parameter | type | default | |",
        kind.parameters.iter().map(parameter).collect(),
    );
    format!("{out}\n```yaml\n{}\n```\n", kind.example)
}

fn input(port: &Input) -> String {
    let need = port.need();
    let source = port.source.as_ref().map_or_else(String::new, |source| {
        format!("; a stage, or a {}: {}", source.name, source.about)
    });
    let about = cell(&format!("{}{source}", port.about));
    format!("| `{}` | {}{need} | {about} |", port.name, port.kind)
}

fn output(port: &Output) -> String {
    format!("| `{}` | {} | {} |", port.name, port.kind, cell(port.about))
}

fn parameter(parameter: &Parameter) -> String {
    let range = parameter
        .range
        .as_ref()
        .map_or_else(String::new, |range| format!(", {range}"));
    let default = match &parameter.default {
        Some(value) => format!("`{value}`"),
        None if parameter.required => "required".into(),
        None => String::new(),
    };
    let values = parameter.values.iter().filter(|choice| !choice.about.is_empty());
    let values: Vec<_> = values
        .map(|choice| format!("<br>`{}`: {}", choice.value, choice.about))
        .collect();
    let values = values.concat();
    let role = match parameter.role {
        Role::Execution => " *Execution.*",
        Role::Meaning => "",
    };
    format!(
        "| `{}` | {}{range} | {default} | {} |",
        parameter.name,
        cell(&parameter.type_name),
        cell(&format!("{}{role}{values}", parameter.about))
    )
}

/// What flows between stages, with the columns of each table.
fn artifacts() -> String {
    let schema = schema_of::<ArtifactKind>();
    let all = |key: &str| schema.get(key).and_then(Value::as_array).into_iter().flatten();
    let row = |(name, about): (&Value, &Value)| {
        let kind: Option<ArtifactKind> = serde_json::from_value(name.clone()).ok();
        let columns = kind.and_then(rows::schema).map_or_else(
            || "a folder".to_owned(),
            |schema| {
                let column = |field: &std::sync::Arc<arrow::datatypes::Field>| {
                    let null = if field.is_nullable() { "?" } else { "" };
                    format!("`{}` {}{null}", field.name(), field.data_type())
                };
                schema.fields().iter().map(column).collect::<Vec<_>>().join(", ")
            },
        );
        let (name, about) = (
            name.as_str().unwrap_or_default(),
            about.as_str().unwrap_or_default(),
        );
        format!("| {name} | {} | {columns} |\n", cell(about))
    };
    let rows: String = all("enum").zip(all("enumDescriptions")).map(row).collect();
    format!(
        "## Kinds of artifact\n\nA table is one Parquet file; `?` marks columns that may be null.\n\n\
         | kind | holds | columns |\n|---|---|---|\n{rows}"
    )
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
