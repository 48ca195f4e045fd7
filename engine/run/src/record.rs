//! Run manifests: one `run.json` and one `events.jsonl` a run, under `runs/<id>/`.

use std::{collections::BTreeMap, io::Write, path::Path, sync::Mutex};

use ablate_cache::{Store, StoreError, sealed, sealed_line, unsealed};
use ablate_core::{ActionKey, RecipeId};
use ablate_plan::{Connection, Origin, Place, Plan};
use petgraph::graph::NodeIndex;
use serde::{Deserialize, Serialize};

use crate::{Event, Status};

/// What stands at an input port of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputRecord {
    /// The port.
    pub port: String,
    /// The node that made it; null for a source.
    pub node: Option<String>,
    /// The output port of that node, or the source as the user wrote it.
    pub what: String,
}

/// A node of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Unique name.
    pub name: String,
    /// The stage it was made from.
    pub stage: String,
    /// Its places in the sweep; none where it does not depend on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<Place>,
    /// Stage kind.
    pub kind: String,
    /// What became of it.
    pub status: Status,
    /// Its key; null if it was skipped before its inputs were known.
    pub key: Option<ActionKey>,
    /// Why, or the error.
    pub reason: String,
    /// Seconds it took here.
    pub seconds: f64,
    /// Rows computed by this run.
    pub rows_computed: u64,
    /// Rows taken from earlier work.
    pub rows_reused: u64,
    /// Its structure.
    pub recipe: RecipeId,
    /// All parameters, defaults filled in.
    pub params: serde_json::Value,
    /// Where its inputs came from, in port order.
    pub inputs: Vec<InputRecord>,
}

impl NodeRecord {
    /// A node as it is planned, before anything became of it.
    pub fn planned(plan: &Plan, index: NodeIndex) -> Self {
        let node = plan.node(index);
        let input = |input: &Connection| {
            let (node, what) = match &input.origin {
                Origin::Node { node, output } => (Some(plan.node(*node).name.clone()), output),
                Origin::Source { text, .. } => (None, text),
            };
            InputRecord {
                port: input.port.into(),
                node,
                what: what.clone(),
            }
        };
        let depends = |place: &&Place| **place != Place::default();
        Self {
            name: node.name.clone(),
            stage: node.stage.clone(),
            places: node.places.iter().filter(depends).cloned().collect(),
            kind: node.kind.name().into(),
            status: Status::Skipped,
            key: None,
            reason: String::new(),
            seconds: 0.0,
            rows_computed: 0,
            rows_reused: 0,
            recipe: node.recipe,
            params: node.bound.params(),
            inputs: node.inputs.iter().map(input).collect(),
        }
    }
}

/// A row of the table: which node holds its scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmRecord {
    /// The evaluate stage.
    pub system: String,
    /// The collection.
    pub collection: String,
    /// Its place in the sweep.
    pub place: Place,
    /// The name of its node: of folded ones, the first one's.
    pub node: String,
    /// Key of the evaluate node; null if it did not finish.
    pub key: Option<ActionKey>,
    /// Content of the judgements, so that only like is compared with like.
    pub qrels: String,
    /// The models of its lineage: `stage.port` → what the user wrote.
    pub models: BTreeMap<String, String>,
    /// Hard negatives for each pair its models were trained with; null where there were none.
    pub negatives: Option<f64>,
}

/// The manifest of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Unique id, made of the time.
    pub id: String,
    /// `experiment:` of the file.
    pub experiment: String,
    /// The file.
    pub file: String,
    /// When it started, as the user reads it.
    pub started: String,
    /// Seconds it took.
    pub seconds: f64,
    /// Version of the program.
    pub version: String,
    /// Whether it was interrupted.
    pub interrupted: bool,
    /// Distinct nodes, in plan order.
    pub nodes: Vec<NodeRecord>,
    /// Rows of the table.
    pub arms: Vec<ArmRecord>,
    /// `report:` of the file.
    pub report: serde_json::Value,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl RunRecord {
    /// Nodes by status.
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        self.nodes
            .iter()
            .for_each(|node| *counts.entry(node.status.word()).or_default() += 1);
        counts
    }

    /// Writes the manifest into `folder` (a store's `runs/`, or the user's cache when the store is read-only).
    pub fn save(&self, folder: &Path) -> Result<(), StoreError> {
        let folder = folder.join(&self.id);
        fs_err::create_dir_all(&folder)?;
        let text = serde_json::to_string(self).map_err(std::io::Error::from)?;
        fs_err::write(folder.join("run.json.new"), sealed(&text))?;
        Ok(fs_err::rename(
            folder.join("run.json.new"),
            folder.join("run.json"),
        )?)
    }
}

/// The manifests of a store, oldest first. A run that was killed before it wrote one is passed over.
pub fn list_runs(store: &Store) -> Result<Vec<RunRecord>, StoreError> {
    let mut ids: Vec<_> = fs_err::read_dir(store.root().join("runs"))?
        .map(|entry| entry.map(|e| e.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_, _>>()?;
    ids.sort();
    Ok(ids.iter().filter_map(|id| read(store, id)).collect())
}

/// The run whose id starts with `wanted`, or the last one for `latest`.
pub fn load_run(store: &Store, wanted: &str) -> Result<Option<RunRecord>, StoreError> {
    if let Some(record) = read(store, wanted) {
        return Ok(Some(record));
    }
    let runs = list_runs(store)?;
    Ok(runs
        .into_iter()
        .rfind(|run| wanted == "latest" || run.id.starts_with(wanted) || run.experiment == wanted))
}

pub(crate) fn read(store: &Store, id: &str) -> Option<RunRecord> {
    let bytes = fs_err::read(store.root().join("runs").join(id).join("run.json")).ok()?;
    serde_json::from_str(unsealed(&bytes)?).ok()
}

/// The event log of a run: one JSON object a line, its checksum behind a tab.
pub(crate) struct EventLog(Option<Mutex<fs_err::File>>);

impl EventLog {
    pub(crate) fn create(folder: &Path, id: &str) -> Result<Self, StoreError> {
        let folder = folder.join(id);
        fs_err::create_dir_all(&folder)?;
        Ok(Self(Some(Mutex::new(fs_err::File::create(
            folder.join("events.jsonl"),
        )?))))
    }

    /// Appends; a log that cannot be written must not stop the work it tells of.
    pub(crate) fn write(&self, event: &Event) {
        if matches!(event, Event::NodeProgress { .. }) {
            return;
        }
        let (Some(file), Ok(text)) = (&self.0, serde_json::to_string(event)) else {
            return;
        };
        let line = sealed_line(&text);
        if let Ok(mut file) = file.lock() {
            file.write_all(line.as_bytes()).ok();
        }
    }
}
