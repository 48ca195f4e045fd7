//! Which runs are kept: by number, age and size; pinned ones always.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use ablate_cache::{Store, StoreError, unsealed_line};
use ablate_core::ActionKey;
use serde::Serialize;
use serde_json::Value;

use crate::record::read;

/// What of the runs of a store is kept. Without any bound, all.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeepPolicy {
    /// The last so many of each experiment.
    pub last: Option<usize>,
    /// None that is older.
    pub age: Option<Duration>,
    /// The newest whose objects fit.
    pub bytes: Option<u64>,
}

/// A run as the collector sees it.
#[derive(Clone, Debug, Serialize)]
pub struct StoredRun {
    /// Its id.
    pub run: String,
    /// Its experiment; empty for a run that was killed before it began.
    pub experiment: String,
    /// Whether it is pinned.
    pub pinned: bool,
    /// Bytes of the objects it leads to.
    pub bytes: u64,
    /// Whether it stays.
    pub kept: bool,
    #[serde(skip)]
    keys: BTreeSet<ActionKey>,
    #[serde(skip)]
    age: Duration,
}

/// Every run of the store, oldest first, with what `policy` says of it.
pub fn stored_runs(store: &Store, policy: KeepPolicy) -> Result<Vec<StoredRun>, StoreError> {
    let mut ids: Vec<String> = fs_err::read_dir(store.root().join("runs"))?
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_, _>>()?;
    ids.sort();
    let mut runs = ids
        .into_iter()
        .map(|id| stored(store, id))
        .collect::<Result<Vec<_>, _>>()?;
    apply(policy, store, &mut runs)?;
    Ok(runs)
}

/// The keys that the kept runs lead to.
pub fn kept_keys(runs: &[StoredRun]) -> BTreeSet<ActionKey> {
    let kept = runs.iter().filter(|run| run.kept);
    kept.flat_map(|run| run.keys.iter().copied()).collect()
}

/// Pins a run, or takes the pin away.
pub fn set_pin(store: &Store, run: &str, pinned: bool) -> Result<(), StoreError> {
    let pin = store.root().join("runs").join(run).join("pinned");
    if pinned {
        fs_err::write(pin, "")?;
    } else if pin.exists() {
        fs_err::remove_file(pin)?;
    }
    Ok(())
}

fn stored(store: &Store, id: String) -> Result<StoredRun, StoreError> {
    let folder = store.root().join("runs").join(&id);
    let (experiment, keys) = match read(store, &id) {
        Some(record) => {
            let keys = record.nodes.iter().filter_map(|node| node.key).collect();
            (record.experiment, keys)
        }
        None => logged(&fs_err::read(folder.join("events.jsonl")).unwrap_or_default()),
    };
    let modified = fs_err::metadata(&folder)?.modified().ok();
    Ok(StoredRun {
        experiment,
        pinned: folder.join("pinned").exists(),
        bytes: store.objects_of(&keys)?.values().sum(),
        // A clock that went backwards makes a run young, never old.
        age: modified
            .and_then(|at| SystemTime::now().duration_since(at).ok())
            .unwrap_or_default(),
        kept: true,
        run: id,
        keys,
    })
}

/// The experiment of a run that was killed, and what it had finished.
fn logged(log: &[u8]) -> (String, BTreeSet<ActionKey>) {
    let text = String::from_utf8_lossy(log);
    let event = |line| serde_json::from_str::<Value>(unsealed_line(line)?).ok();
    let events: Vec<Value> = text.lines().filter_map(event).collect();
    let experiment = events.iter().find_map(|event| event["experiment"].as_str());
    let key = |event: &Value| serde_json::from_value(event.get("key")?.clone()).ok();
    let keys = events.iter().filter_map(key).collect();
    (experiment.unwrap_or_default().to_owned(), keys)
}

fn apply(policy: KeepPolicy, store: &Store, runs: &mut [StoredRun]) -> Result<(), StoreError> {
    let (mut newer, mut objects): (BTreeMap<String, usize>, BTreeMap<_, u64>) = Default::default();
    for run in runs.iter_mut().rev() {
        let count = newer.entry(run.experiment.clone()).or_default();
        *count += 1;
        let recent = policy.last.is_none_or(|last| *count <= last);
        let young = policy.age.is_none_or(|age| run.age <= age);
        let mut more = objects.clone();
        more.extend(store.objects_of(&run.keys)?);
        let fits = policy
            .bytes
            .is_none_or(|bytes| more.values().sum::<u64>() <= bytes);
        run.kept = run.pinned || (recent && young && fits);
        if run.kept {
            objects = more;
        }
    }
    Ok(())
}
