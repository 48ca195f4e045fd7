//! A host that keeps everything in memory, so that a stage can be run without an engine.

pub(crate) mod texts;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use ablate_core::{
    ArtifactKind, ContentDigest, DeviceChoice, Digest, Host, Io, MemoryRows, Output, Places, Progress,
    Record, RowStore, StageError, StageKind, canon, check_rows, content_digest, rows,
};
use ablate_registry::STAGES;
use arrow::array::RecordBatch;

/// The stage kind of this name.
pub(crate) fn kind(name: &str) -> &'static dyn StageKind {
    *STAGES.iter().find(|kind| kind.name() == name).unwrap()
}

/// Inputs and outputs of one stage.
pub(crate) struct MemoryHost {
    inputs: BTreeMap<String, RecordBatch>,
    sources: BTreeMap<String, (String, PathBuf)>,
    outputs: Mutex<BTreeMap<String, RecordBatch>>,
    notes: Mutex<Vec<String>>,
    folder: tempfile::TempDir,
    places: Places,
    /// By what their rows mean.
    memos: Mutex<BTreeMap<String, Arc<MemoryRows>>>,
    /// Where checkpoints are kept, one behind every step; and who hears of steps.
    checkpoints: Option<(PathBuf, fn(u64))>,
}

struct Kept(Arc<MemoryRows>);

impl RowStore for Kept {
    fn recall(&self, keys: &[Digest]) -> Result<Vec<Option<Vec<u8>>>, StageError> {
        self.0.recall(keys)
    }
    fn keep(&self, key: Digest, value: Vec<u8>) -> Result<(), StageError> {
        self.0.keep(key, value)
    }
    fn flush(&self) -> Result<(), StageError> {
        self.0.flush()
    }
}

impl MemoryHost {
    pub(crate) fn new() -> Self {
        Self {
            inputs: BTreeMap::new(),
            sources: BTreeMap::new(),
            outputs: Mutex::new(BTreeMap::new()),
            notes: Mutex::default(),
            folder: tempfile::tempdir().unwrap(),
            places: Places::default(),
            memos: Mutex::default(),
            checkpoints: None,
        }
    }

    /// Keeps a checkpoint behind every step in `folder`; `step` hears of each before.
    pub(crate) fn with_checkpoints(mut self, folder: &Path, step: fn(u64)) -> Self {
        self.checkpoints = Some((folder.into(), step));
        self
    }

    /// Connects rows to a port.
    pub(crate) fn with<R: Record>(mut self, port: &str, mut rows: Vec<R>) -> Self {
        self.inputs.insert(port.into(), check_rows(&mut rows).unwrap());
        self
    }

    /// Connects a source to a port; `path` is what fetching it gives.
    pub(crate) fn with_source(mut self, port: &str, text: &str, path: &Path) -> Self {
        self.sources.insert(port.into(), (text.into(), path.into()));
        self
    }

    /// Runs a stage kind with these fields; its outputs by port, as content digests.
    pub(crate) fn run(
        &self,
        kind: &dyn StageKind,
        fields: serde_json::Value,
    ) -> BTreeMap<String, ContentDigest> {
        self.try_run(kind, fields)
            .unwrap_or_else(|error| panic!("{}: {error}", kind.name()))
    }

    /// The same; why it failed, if it did.
    pub(crate) fn try_run(
        &self,
        kind: &dyn StageKind,
        fields: serde_json::Value,
    ) -> Result<BTreeMap<String, ContentDigest>, String> {
        let bound = kind.bind(fields.as_object().unwrap());
        let bound = bound.map_err(|problems| format!("{problems:?}"))?;
        bound.run(&Io::new(self)).map_err(|error| error.to_string())?;
        let mut digests = BTreeMap::new();
        for output in kind.outputs() {
            if output.kind.is_tree() {
                digests.insert(output.name.into(), self.tree_digest(output));
            } else if let Some(batch) = self.outputs.lock().unwrap().get(output.name) {
                assert_eq!(
                    Some(batch.schema()),
                    rows::schema(output.kind),
                    "{}.{}",
                    kind.name(),
                    output.name
                );
                digests.insert(output.name.into(), content_digest(output.kind, batch).unwrap());
            }
        }
        Ok(digests)
    }

    /// Of a model, the digest of its weights; of an index, that of all its files.
    fn tree_digest(&self, output: &Output) -> ContentDigest {
        let folder = self.folder.path().join(output.name);
        let bytes: Vec<u8> = if output.kind == ArtifactKind::Model {
            fs_err::read(folder.join("model.safetensors")).unwrap()
        } else {
            let name = |path: &Path| path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
            let read = |path: PathBuf| [name(&path).into_bytes(), fs_err::read(&path).unwrap()].concat();
            files(&folder).into_iter().flat_map(read).collect()
        };
        ContentDigest(Digest::of(&bytes))
    }

    /// The rows a stage wrote.
    pub(crate) fn output<R: Record>(&self, port: &str) -> Vec<R> {
        R::decode(&self.outputs.lock().unwrap()[port]).unwrap()
    }

    /// What was told so far.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap().clone()
    }

    /// The folder a stage filled.
    pub(crate) fn tree_output(&self, port: &str) -> PathBuf {
        self.folder.path().join(port)
    }
}

/// The files below a folder, in the order of their paths.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

impl Host for MemoryHost {
    fn rows(&self, port: &str) -> Result<Option<RecordBatch>, StageError> {
        Ok(self.inputs.get(port).cloned())
    }
    fn tree(&self, port: &str) -> Result<Option<PathBuf>, StageError> {
        Ok(self.sources.get(port).map(|(_, path)| path.clone()))
    }
    fn source(&self, port: &str) -> Option<String> {
        self.sources.get(port).map(|(text, _)| text.clone())
    }
    fn put(&self, port: &str, batch: RecordBatch) -> Result<(), StageError> {
        self.outputs.lock().unwrap().insert(port.into(), batch);
        Ok(())
    }
    fn out_dir(&self, port: &str) -> Result<PathBuf, StageError> {
        let path = self.folder.path().join(port);
        fs_err::create_dir_all(&path)?;
        Ok(path)
    }
    fn progress(&self, progress: Progress) {
        if let Some((_, step)) = self.checkpoints {
            step(progress.done);
        }
    }
    fn note(&self, message: String) {
        self.notes.lock().unwrap().push(message);
    }
    fn cancelled(&self) -> bool {
        false
    }
    fn device(&self) -> DeviceChoice {
        DeviceChoice::Cpu
    }
    fn places(&self) -> &Places {
        &self.places
    }
    fn digest(&self, port: &str) -> Result<Option<Digest>, StageError> {
        Ok(Some(Digest::of(port.as_bytes())))
    }
    fn memo(&self, meaning: &canon::Value) -> Result<Box<dyn RowStore + '_>, StageError> {
        let mut memos = self.memos.lock().unwrap();
        Ok(Box::new(Kept(
            memos.entry(format!("{meaning:?}")).or_default().clone(),
        )))
    }
    fn count_rows(&self, _: u64, _: u64) {}
    fn checkpoints(&self) -> Result<PathBuf, StageError> {
        match &self.checkpoints {
            Some((folder, _)) => Ok(folder.clone()),
            None => self.out_dir("checkpoints"),
        }
    }
    fn checkpoint_due(&self) -> bool {
        self.checkpoints.is_some()
    }
}
