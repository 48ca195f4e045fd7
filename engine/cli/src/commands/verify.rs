//! `verify`: every byte, checksum and key of the store.

use ablate_cache::Store;
use serde_json::json;

use crate::{error::CliError, print};

/// Checks the store; damage is an error.
pub(crate) fn verify(store: &Store, json: bool) -> Result<(), CliError> {
    let seen = store.verify()?;
    let lines: Vec<_> = seen
        .findings
        .iter()
        .map(|found| format!("{}: {}", found.path.display(), found.what))
        .collect();
    if json {
        print::json(
            &json!({"traces": seen.traces, "objects": seen.objects, "segments": seen.segments, "removed": seen.removed, "findings": lines}),
        );
    } else {
        lines.iter().for_each(|line| print::result(line));
        print::message(&format!(
            "{} traces ({} with their result removed), {} objects, {} memo segments, {} findings",
            seen.traces,
            seen.removed,
            seen.objects,
            seen.segments,
            lines.len()
        ));
    }
    match seen.findings.into_iter().next() {
        None => Ok(()),
        Some(first) => Err(ablate_cache::StoreError::Damaged {
            path: first.path,
            what: first.what,
        }
        .into()),
    }
}
