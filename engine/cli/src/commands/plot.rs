//! `plot`: one plot of a run as a file.

use std::path::Path;

use ablate_cache::Store;
use ablate_core::similar;
use ablate_html::{Figure, figures};
use serde_json::json;

use crate::{args, commands::find_run, error::CliError, print, view};

/// Writes a plot, or lists the plots there are.
pub(crate) fn plot(args: &args::Plot, store: &Store, json: bool) -> Result<(), CliError> {
    let run = find_run(store, &args.run)?;
    let all = figures(&view::page(&run, store)?);
    let (Some(name), Some(output)) = (&args.name, &args.output) else {
        return list(&all, json);
    };
    let figure = find(&all, name)?;
    super::write(output, &drawn(figure, output, args.scale)?)?;
    if json {
        print::json(&json!({"run": run.id, "plot": figure.name, "file": output}));
    } else {
        print::message(&format!("{}: {}", output.display(), figure.name));
    }
    Ok(())
}

fn list(all: &[Figure], json: bool) -> Result<(), CliError> {
    let names: Vec<_> = all.iter().map(|figure| figure.name.as_str()).collect();
    if json {
        print::json(&names);
    } else {
        print::result(&names.join("\n"));
    }
    Ok(())
}

fn find<'a>(all: &'a [Figure], name: &str) -> Result<&'a Figure, CliError> {
    let found = all.iter().find(|figure| figure.name == name);
    found
        .or_else(|| all.iter().find(|figure| figure.kind() == name))
        .ok_or_else(|| {
            let near = similar(name, all.iter().map(|figure| figure.name.as_str()));
            let help = near
                .first()
                .map_or("`ablate plot RUN` lists them".into(), |near| {
                    format!("did you mean `{near}`?")
                });
            CliError::Usage(format!("the run has no plot `{name}`: {help}"))
        })
}

fn drawn(figure: &Figure, output: &Path, scale: f32) -> Result<Vec<u8>, CliError> {
    match output.extension().and_then(|ending| ending.to_str()) {
        Some("svg") => Ok(figure.plot.svg().into_bytes()),
        Some("png") => figure
            .plot
            .png(scale)
            .map_err(|error| CliError::Usage(error.to_string())),
        _ => Err(CliError::Usage(format!(
            "`{}` says no format: end it in .svg or .png",
            output.display()
        ))),
    }
}
