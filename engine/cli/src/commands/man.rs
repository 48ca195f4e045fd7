//! `man`: the manual pages.

use std::path::Path;

use clap::CommandFactory;
use serde_json::json;

use crate::{args::Args, error::CliError, print};

/// Writes a page for the program and one for each command into `folder`.
pub(crate) fn man(folder: &Path, json: bool) -> Result<(), CliError> {
    let failed = |error: std::io::Error| CliError::Failed(format!("error: {}: {error}", folder.display()));
    fs_err::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(Args::command(), folder).map_err(failed)?;
    if json {
        print::json(&json!({"folder": folder}));
    } else {
        let place = folder.display();
        print::result(&format!("manual pages are in {place}: `man -l {place}/ablate.1`"));
    }
    Ok(())
}
