//! What a running stage is given: its inputs from the store, places for its outputs, and a way to speak.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use ablate_cache::{OutputRecord, Staged, Store, StoreError};
use ablate_core::{ArtifactKind, DeviceChoice, Host, Places, Progress, StageError};
use ablate_plan::{Node, Origin};
use arrow::array::RecordBatch;

use crate::Event;

/// The host of one node.
pub(crate) struct NodeHost<'a> {
    pub(crate) node: &'a Node,
    pub(crate) store: &'a Store,
    /// What stands at each port that is connected to a node.
    pub(crate) inputs: BTreeMap<&'static str, OutputRecord>,
    pub(crate) places: &'a Places,
    pub(crate) device: DeviceChoice,
    pub(crate) stop: &'a AtomicBool,
    pub(crate) events: &'a (dyn Fn(Event) + Sync),
    pub(crate) outputs: Mutex<Outputs>,
}

/// What a stage has written so far.
#[derive(Default)]
pub(crate) struct Outputs {
    pub(crate) records: Vec<OutputRecord>,
    pub(crate) staged: BTreeMap<String, Staged>,
    pub(crate) notes: Vec<String>,
}

impl NodeHost<'_> {
    /// Takes the filled folders in; the outputs in port order.
    pub(crate) fn finish(self) -> Result<(Vec<OutputRecord>, Vec<String>), StageError> {
        let mut outputs = self.outputs.into_inner().unwrap_or_else(PoisonError::into_inner);
        for (port, staged) in std::mem::take(&mut outputs.staged) {
            let object = self.store.put_tree(staged).map_err(store_error)?;
            outputs.records.push(object.at(&port, kind_of(self.node, &port)?));
        }
        outputs.records.sort_by(|a, b| a.port.cmp(&b.port));
        Ok((outputs.records, outputs.notes))
    }

    fn outputs(&self) -> std::sync::MutexGuard<'_, Outputs> {
        self.outputs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(
        &self,
        port: &str,
        read: impl FnOnce(&OutputRecord) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StageError> {
        let Some(record) = self.inputs.get(port) else {
            return Ok(None);
        };
        match read(record) {
            Ok(value) => Ok(Some(value)),
            Err(error @ StoreError::Damaged { .. }) => {
                // Taken out, so that the next run computes it again.
                self.store.discard(record.file).map_err(store_error)?;
                Err(StageError::with_help(
                    error.to_string(),
                    "it was taken out: run again to compute it anew",
                ))
            }
            Err(error) => Err(store_error(error)),
        }
    }
}

/// A store error as a stage's failure.
pub(crate) fn store_error(error: StoreError) -> StageError {
    StageError::from(error)
}

fn kind_of(node: &Node, port: &str) -> Result<ArtifactKind, StageError> {
    let output = node.kind.outputs().iter().find(|output| output.name == port);
    output
        .map(|o| o.kind)
        .ok_or_else(|| StageError::new(format!("`{}` has no output `{port}`", node.kind.name())))
}

impl Host for NodeHost<'_> {
    fn rows(&self, port: &str) -> Result<Option<RecordBatch>, StageError> {
        self.read(port, |record| self.store.read_rows(record))
    }

    fn tree(&self, port: &str) -> Result<Option<PathBuf>, StageError> {
        let Some(input) = self.node.inputs.iter().find(|input| input.port == port) else {
            return Ok(None);
        };
        match &input.origin {
            Origin::Node { .. } => self.read(port, |record| self.store.read_tree(record)),
            Origin::Source { source, text } => {
                let report = |line: &str| {
                    (self.events)(Event::NodeNote {
                        node: self.node.name.clone(),
                        note: line.into(),
                    });
                };
                source.fetch(text, self.places, &report).map(Some)
            }
        }
    }

    fn source(&self, port: &str) -> Option<String> {
        self.node
            .inputs
            .iter()
            .find(|input| input.port == port)
            .and_then(|input| match &input.origin {
                Origin::Source { text, .. } => Some(text.clone()),
                Origin::Node { .. } => None,
            })
    }

    fn put(&self, port: &str, batch: RecordBatch) -> Result<(), StageError> {
        let kind = kind_of(self.node, port)?;
        let object = self.store.put_rows(kind, &batch).map_err(store_error)?;
        self.outputs().records.push(object.at(port, kind));
        Ok(())
    }

    fn out_dir(&self, port: &str) -> Result<PathBuf, StageError> {
        kind_of(self.node, port)?;
        let staged = self.store.stage().map_err(store_error)?;
        let path = staged.path().to_owned();
        self.outputs().staged.insert(port.to_owned(), staged);
        Ok(path)
    }

    fn progress(&self, progress: Progress) {
        let Progress { done, total, unit } = progress;
        (self.events)(Event::NodeProgress {
            node: self.node.name.clone(),
            done,
            total,
            unit,
        });
    }

    fn note(&self, message: String) {
        (self.events)(Event::NodeNote {
            node: self.node.name.clone(),
            note: message.clone(),
        });
        self.outputs().notes.push(message);
    }

    fn cancelled(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn device(&self) -> DeviceChoice {
        self.device
    }

    fn places(&self) -> &Places {
        self.places
    }
}
