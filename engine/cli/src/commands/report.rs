//! `report`: a run as one file.

use ablate_cache::Store;
use ablate_core::units::bytes;
use ablate_html::Place;
use serde_json::json;

use crate::{args, commands::find_run, error::CliError, print, view};

/// Writes the page of a run.
pub(crate) fn report(args: &args::Report, store: &Store, json: bool) -> Result<(), CliError> {
    let run = find_run(store, &args.run)?;
    let page = ablate_html::run(&view::page(&run, store)?, Place::File);
    super::write(&args.output, page.as_bytes())?;
    if json {
        print::json(&json!({"run": run.id, "file": args.output, "bytes": page.len()}));
    } else {
        let size = bytes(page.len() as u64);
        print::message(&format!("{} ({size}): run {}", args.output.display(), run.id));
    }
    Ok(())
}
