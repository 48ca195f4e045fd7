//! Completion of names that only this machine knows: stage kinds, models, runs and their nodes.

use ablate_cache::Store;
use ablate_core::StageKind;
use ablate_models::source::{Entry, catalogue};
use ablate_run::{RunRecord, list_runs};
use clap_complete::{CompletionCandidate, Shell, env::Shells};

use crate::{error::CliError, places, print};

/// The variable by which the shell asks the program for candidates.
pub(crate) const VARIABLE: &str = "ABLATE_COMPLETE";

/// Prints what makes `shell` ask this program for completions.
pub(crate) fn register(shell: Shell) -> Result<(), CliError> {
    let mut script = Vec::new();
    let name = shell.to_string();
    let shells = Shells::builtins();
    let found = shells
        .completer(&name)
        .ok_or_else(|| CliError::Usage(format!("no completions for {name}")))?;
    found
        .write_registration(VARIABLE, "ablate", "ablate", "ablate", &mut script)
        .map_err(|error| CliError::Failed(format!("error: {error}")))?;
    print::result(&String::from_utf8_lossy(&script));
    Ok(())
}

/// The stage kinds.
pub(crate) fn kinds() -> Vec<CompletionCandidate> {
    let candidate = |kind: &&dyn StageKind| described(kind.name(), kind.about());
    ablate_registry::STAGES.iter().map(candidate).collect()
}

/// The models of the catalogue.
pub(crate) fn models() -> Vec<CompletionCandidate> {
    let candidate = |entry: &Entry| described(entry.name, entry.role);
    catalogue().iter().map(candidate).collect()
}

/// `latest`, and the ids of runs, newest first.
pub(crate) fn runs() -> Vec<CompletionCandidate> {
    let candidate = |(at, run): (usize, &RunRecord)| {
        let about = format!("{}, {}", run.experiment, run.started);
        described(&run.id, &about).display_order(Some(at + 1))
    };
    let runs = known_runs();
    let ids = runs.iter().rev().enumerate().map(candidate);
    let latest = described("latest", "the last run").display_order(Some(0));
    std::iter::once(latest).chain(ids).collect()
}

/// The nodes of the last run.
pub(crate) fn nodes() -> Vec<CompletionCandidate> {
    let last = known_runs().pop();
    let nodes = last.iter().flat_map(|run| &run.nodes);
    nodes.map(|node| described(&node.name, &node.kind)).collect()
}

/// The runs of the store, oldest first; none where there is no store yet: completion makes none.
fn known_runs() -> Vec<RunRecord> {
    let asked = std::env::var_os("ABLATE_STORE").map(std::path::PathBuf::from);
    let root = places::store(asked.as_deref());
    let store = root.is_dir().then(|| Store::open(root).ok()).flatten();
    store.and_then(|store| list_runs(&store).ok()).unwrap_or_default()
}

fn described(name: &str, about: &str) -> CompletionCandidate {
    CompletionCandidate::new(name).help(Some(about.to_owned().into()))
}
