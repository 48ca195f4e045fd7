//! `stages`: the reference of the stage kinds.

use ablate_core::{StageKind, similar};
use ablate_registry::STAGES;
use serde_json::{Value, json};

use crate::{error::CliError, print};

/// Lists the kinds, or shows one.
pub(crate) fn stages(wanted: Option<&str>, json: bool) -> Result<(), CliError> {
    let Some(name) = wanted else {
        return list(json);
    };
    let kind = STAGES.iter().find(|kind| kind.name() == name).ok_or_else(|| {
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
    })?;
    if json {
        print::json(&reference(*kind))
    } else {
        print::result(&text(*kind))
    }
    Ok(())
}

fn list(json: bool) -> Result<(), CliError> {
    if json {
        print::json(&STAGES.iter().map(|kind| reference(*kind)).collect::<Vec<_>>());
    } else {
        let line = |kind: &&dyn StageKind| format!("{:20} {}", kind.name(), kind.about());
        print::result(&STAGES.iter().map(line).collect::<Vec<_>>().join("\n"));
    }
    Ok(())
}

fn reference(kind: &dyn StageKind) -> Value {
    let inputs: Vec<_> = kind
        .inputs()
        .iter()
        .map(|i| json!({"name": i.name, "kind": i.kind, "required": i.required, "source": i.source.map(ablate_core::SourceType::name)}))
        .collect();
    let outputs: Vec<_> = kind
        .outputs()
        .iter()
        .map(|o| json!({"name": o.name, "kind": o.kind}))
        .collect();
    json!({"kind": kind.name(), "version": kind.version(), "about": kind.about(), "inputs": inputs,
           "outputs": outputs, "parameters": kind.schema()})
}

fn text(kind: &dyn StageKind) -> String {
    let mut out = format!("{}: {}\n\ninputs\n", kind.name(), kind.about());
    for input in kind.inputs() {
        let need = if input.required { "" } else { " (optional)" };
        let source = input
            .source
            .map(|source| format!(" or the name of a {}", source.name()))
            .unwrap_or_default();
        out.push_str(&format!("  {:14} {}{source}{need}\n", input.name, input.kind));
    }
    out.push_str("\noutputs\n");
    kind.outputs()
        .iter()
        .for_each(|output| out.push_str(&format!("  {:14} {}\n", output.name, output.kind)));
    out.push_str("\nparameters\n");
    let schema = kind.schema();
    let fields = schema
        .as_value()
        .get("properties")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    for (name, field) in fields {
        let default = field
            .get("default")
            .map(|value| format!(" [default: {value}]"))
            .unwrap_or_default();
        let about = field
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .replace('\n', " ");
        out.push_str(&format!("  {name:14} {about}{default}\n"));
    }
    out
}
