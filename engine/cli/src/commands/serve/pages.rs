//! Pages of whole runs.

use ablate_cache::Store;
use ablate_html::{NodePage, Place, RunEntry};
use ablate_run::{NodeRecord, RunRecord, load_run};
use ablate_serve::Request;

use crate::{commands::diff, error::CliError, sides, view};

/// The most runs of the list.
const MOST: usize = 200;

/// The list of runs, newest first.
pub(super) fn index(store: &Store) -> Result<String, CliError> {
    let mut ids: Vec<String> = fs_err::read_dir(store.root().join("runs"))
        .map_err(ablate_cache::StoreError::from)?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|id| is_id(id))
        .collect();
    ids.sort_unstable_by(|a, b| b.cmp(a));
    ids.truncate(MOST);
    let entries: Vec<_> = ids
        .into_iter()
        .map(|id| entry(store, id))
        .collect::<Result<_, _>>()?;
    Ok(ablate_html::runs(&entries, &store.root().display().to_string()))
}

fn entry(store: &Store, id: String) -> Result<RunEntry, CliError> {
    let Some(run) = recorded(store, &id)? else {
        return Ok(RunEntry {
            id,
            experiment: String::new(),
            started: String::new(),
            seconds: 0.0,
            nodes: String::new(),
            is_open: true,
        });
    };
    let counts: Vec<_> = run
        .counts()
        .into_iter()
        .map(|(status, count)| format!("{count} {status}"))
        .collect();
    Ok(RunEntry {
        id,
        experiment: run.experiment,
        started: run.started,
        seconds: run.seconds,
        nodes: counts.join(", "),
        is_open: false,
    })
}

/// The page of a run.
pub(super) fn run(store: &Store, id: &str) -> Result<String, CliError> {
    Ok(ablate_html::run(
        &view::page(&find(store, id)?, store)?,
        Place::Server,
    ))
}

/// The same as a file to keep.
pub(super) fn report(store: &Store, id: &str) -> Result<String, CliError> {
    Ok(ablate_html::run(
        &view::page(&find(store, id)?, store)?,
        Place::File,
    ))
}

/// The page of a node.
pub(super) fn node(store: &Store, id: &str, name: &str) -> Result<String, CliError> {
    let run = find(store, id)?;
    let node = find_node(&run, name)?;
    let trace = node.key.map(|key| store.trace(key)).transpose()?.flatten();
    Ok(ablate_html::node(&NodePage {
        run: run.id.clone(),
        node: view::node_view(node, trace.as_ref(), store),
    }))
}

/// The comparison of two runs.
pub(super) fn comparison(store: &Store, request: &Request) -> Result<String, CliError> {
    let side = |name| sides::of_record(find(store, request.value(name))?);
    let (before, after) = (side("before")?, side("after")?);
    Ok(ablate_html::comparison(&diff::compare(&before, &after, store)?))
}

/// The run of exactly this id.
pub(super) fn find(store: &Store, id: &str) -> Result<RunRecord, CliError> {
    recorded(store, id)?.ok_or_else(|| CliError::Usage(format!("there is no run `{id}`")))
}

fn recorded(store: &Store, id: &str) -> Result<Option<RunRecord>, CliError> {
    if !is_id(id) {
        return Ok(None);
    }
    Ok(load_run(store, id)?.filter(|run| run.id == id))
}

/// Whether a name can be that of a run, so that no other leads out of the folder of runs.
pub(super) fn is_id(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The node of exactly this name.
pub(super) fn find_node<'a>(run: &'a RunRecord, name: &str) -> Result<&'a NodeRecord, CliError> {
    let found = run.nodes.iter().find(|node| node.name == name);
    found.ok_or_else(|| CliError::Usage(format!("run {} has no node `{name}`", run.id)))
}
