//! What a running stage is given: its inputs from the store, places for its outputs, and a way to speak.

use std::{
    any::Any,
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Mutex, Once, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Instant,
};

use ablate_cache::{FlushPolicy, Memo, OutputRecord, Staged, Store, StoreError};
use ablate_core::{
    ActionKey, ArtifactKind, DeviceChoice, Digest, Host, Io, LoadedModel, MemoryRows, ModelKey, Part, Parts,
    Places, Progress, RowStore, Slot, StageError, canon,
};
use ablate_plan::{Node, Origin};
use arrow::{array::RecordBatch, datatypes::SchemaRef};

use crate::{
    Answer, Event, Helpers, Question, commit::Committer, execute::Purpose, models::Models, tables::Tables,
};

/// Fewer rows than these are computed before a helper has loaded its model.
const WORTH_SHARING: usize = 4;

/// The host of one node.
pub(crate) struct NodeHost<'a> {
    pub(crate) node: &'a Node,
    pub(crate) store: &'a Store,
    /// What stands at each port that is connected to a node.
    pub(crate) inputs: BTreeMap<&'static str, OutputRecord>,
    pub(crate) places: &'a Places,
    pub(crate) device: DeviceChoice,
    /// Who computes rows beside this process.
    pub(crate) helpers: &'a Helpers,
    /// Commits what helpers must find.
    pub(crate) committer: &'a Committer<'a>,
    pub(crate) stop: &'a AtomicBool,
    pub(crate) events: &'a (dyn Fn(Event) + Sync),
    /// Tables other nodes of this run have read.
    pub(crate) tables: &'a Tables,
    /// Models other nodes of this run have loaded.
    pub(crate) models: &'a Models,
    /// Its key.
    pub(crate) key: ActionKey,
    /// How much work a kill may cost.
    pub(crate) flush: FlushPolicy,
    /// What it is computed for.
    pub(crate) purpose: Purpose<'a>,
    /// How many maps over rows have begun.
    pub(crate) maps: AtomicU32,
    /// Whether the user was told that others compute its rows, too.
    pub(crate) shared: Once,
    /// When a checkpoint was last due.
    pub(crate) due: Mutex<Instant>,
    pub(crate) outputs: Mutex<Outputs>,
}

/// What a stage has written so far.
#[derive(Default)]
pub(crate) struct Outputs {
    /// Rows computed and rows recalled, by stages that have a memo.
    pub(crate) counted: Option<(u64, u64)>,
    /// Tokens generated, by stages that generate.
    pub(crate) tokens: Option<u64>,
    pub(crate) records: Vec<OutputRecord>,
    pub(crate) staged: BTreeMap<String, Staged>,
    pub(crate) notes: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

impl NodeHost<'_> {
    /// Takes the filled folders in; the outputs in port order.
    pub(crate) fn finish(self) -> Result<Outputs, StageError> {
        let mut outputs = self.outputs.into_inner().unwrap_or_else(PoisonError::into_inner);
        for (port, staged) in std::mem::take(&mut outputs.staged) {
            let object = self.store.put_tree(staged).map_err(store_error)?;
            outputs.records.push(object.at(&port, kind_of(self.node, &port)?));
        }
        outputs.records.sort_by(|a, b| a.port.cmp(&b.port));
        Ok(outputs)
    }

    /// Tokens generated and not told of yet.
    pub(crate) fn tokens(&self) -> u64 {
        self.outputs().tokens.unwrap_or_default()
    }

    /// Tells the user something that is no part of the result.
    fn tell(&self, note: String) {
        let node = self.node.name.clone();
        (self.events)(Event::NodeNote { node, note });
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

/// Runs the stage of a node.
pub(crate) fn compute(host: &NodeHost<'_>) -> Result<(), StageError> {
    catch_unwind(AssertUnwindSafe(|| host.node.bound.run(&Io::new(host))))
        .unwrap_or_else(|panic| Err(bug(&*panic)))
}

/// A panic of a stage: our bug, told as such.
fn bug(panic: &(dyn Any + Send)) -> StageError {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or(panic.downcast_ref::<&str>().copied());
    StageError::with_help(
        format!("the stage panicked: {}", text.unwrap_or("no message")),
        "this is a bug of ablate: please report it",
    )
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
        self.read(port, |record| self.tables.read(self.store, record))
    }

    fn parts(&self, port: &str) -> Result<Option<Parts<'_>>, StageError> {
        let parts = self.read(port, |record| self.store.read_parts(record))?;
        Ok(parts.map(|parts| Box::new(parts.map(|part| part.map_err(store_error))) as Parts<'_>))
    }

    fn tree(&self, port: &str) -> Result<Option<PathBuf>, StageError> {
        let Some(input) = self.node.inputs.iter().find(|input| input.port == port) else {
            return Ok(None);
        };
        match &input.origin {
            Origin::Node { .. } => self.read(port, |record| self.store.read_tree(record)),
            Origin::Source { source, text } => source
                .fetch(text, self.places, &|line: &str| self.tell(line.into()))
                .map(Some),
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

    fn put_parts(&self, port: &str, schema: SchemaRef, parts: Parts<'_>) -> Result<(), StageError> {
        let kind = kind_of(self.node, port)?;
        let object = self.store.put_parts(kind, schema, parts)?;
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
        self.tell(message.clone());
        self.outputs().notes.push(message);
    }

    fn warn(&self, message: String) {
        self.outputs().warnings.push(message);
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

    fn digest(&self, port: &str) -> Result<Option<Digest>, StageError> {
        let Some(input) = self.node.inputs.iter().find(|input| input.port == port) else {
            return Ok(None);
        };
        match &input.origin {
            Origin::Node { .. } => Ok(self.inputs.get(port).map(|record| record.content.0)),
            Origin::Source { source, text } => source.digest(text, self.places),
        }
    }

    fn model(
        &self,
        key: ModelKey,
        load: &mut dyn FnMut() -> Result<LoadedModel, StageError>,
    ) -> Result<LoadedModel, StageError> {
        self.models.get(key, load)
    }

    fn memo(&self, namespace: &canon::Value) -> Result<Box<dyn RowStore + '_>, StageError> {
        if matches!(self.purpose, Purpose::Comparison) {
            return Ok(Box::new(MemoryRows::default()));
        }
        let memo = self.store.memo(namespace, self.flush).map_err(store_error)?;
        Ok(Box::new(NodeMemo { memo, host: self }))
    }

    fn share(&self, missing: usize) -> Result<Part, StageError> {
        let map = self.maps.fetch_add(1, Ordering::Relaxed);
        let shares = self.node.needs().slot == Slot::Device && !self.store.is_read_only();
        let own = match self.purpose {
            Purpose::Rows(desk) => return Ok(desk.part(map)),
            Purpose::Result if shares && missing >= WORTH_SHARING => self.helpers.own_part(),
            _ => None,
        };
        let Some(own) = own else {
            return Ok(Part::ALL);
        };
        // Helpers look the inputs of the node up.
        let told = self.committer.flush().map_err(store_error)?;
        told.into_iter().for_each(|warning| self.tell(warning));
        let processes = own.of();
        self.shared
            .call_once(|| self.tell(format!("rows are computed by {processes} processes")));
        self.helpers.ask(Question { key: self.key, map });
        Ok(own)
    }

    fn join(&self) -> Result<(), StageError> {
        if let Purpose::Rows(desk) = self.purpose {
            let tokens = self.outputs().tokens.take();
            return desk.done(self.key, tokens.unwrap_or_default());
        }
        for answer in self.helpers.answers(self.stop)? {
            match answer {
                Answer::Done(0) => {}
                Answer::Done(tokens) => self.count_tokens(tokens),
                Answer::Left(why) => self.tell(format!("a helper left rows to this process: {why}")),
            }
        }
        Ok(())
    }

    fn count_tokens(&self, tokens: u64) {
        *self.outputs().tokens.get_or_insert_default() += tokens;
    }

    fn count_rows(&self, computed: u64, reused: u64) {
        let mut outputs = self.outputs();
        let (before, recalled) = outputs.counted.unwrap_or_default();
        outputs.counted = Some((before + computed, recalled + reused));
    }

    fn checkpoints(&self) -> Result<PathBuf, StageError> {
        self.store.checkpoints(self.key).map_err(store_error)
    }

    fn checkpoint_due(&self) -> bool {
        let mut last = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.elapsed() >= self.flush.longest;
        if due {
            *last = Instant::now();
        }
        due
    }
}

/// The memo of a node: the store's, with damage told.
struct NodeMemo<'a> {
    memo: Memo,
    host: &'a NodeHost<'a>,
}

impl RowStore for NodeMemo<'_> {
    fn recall(&self, keys: &[Digest]) -> Result<Vec<Option<Vec<u8>>>, StageError> {
        let recalled = self.memo.recall(keys).map_err(store_error)?;
        for path in recalled.damaged {
            self.host.tell(format!(
                "{} is damaged: its rows are computed again",
                path.display()
            ));
        }
        Ok(recalled.values)
    }

    fn keep(&self, key: Digest, value: Vec<u8>) -> Result<(), StageError> {
        self.memo.keep(key, value).map_err(store_error)
    }

    fn flush(&self) -> Result<(), StageError> {
        self.memo.flush().map_err(store_error)
    }
}
