//! What a running stage is given: [`Host`] as the engine offers it, [`Io`] as a stage uses it.

use std::{
    any::{Any, TypeId},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{array::RecordBatch, compute::concat_batches, datatypes::SchemaRef};

use crate::{
    DeviceChoice, Digest, Memo, Numeric, Part, Parts, Places, Record, RowFunction, RowStore, StageError,
    canon, check_rows, parts::PartsCheck,
};

/// How far a stage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Units done.
    pub done: u64,
    /// Units in all, if known.
    pub total: Option<u64>,
    /// What is counted: "docs", "tokens", "steps".
    pub unit: &'static str,
}

/// What a model was loaded from, as what, and in which numbers.
pub type ModelKey = (Digest, TypeId, Numeric);

/// A loaded model, of the type its key says.
pub type LoadedModel = Arc<dyn Any + Send + Sync>;

/// What the engine offers a running stage. Stages use [`Io`].
pub trait Host: Sync {
    /// The table at an input port; `None` if the optional port is not connected.
    fn rows(&self, port: &str) -> Result<Option<RecordBatch>, StageError>;
    /// The table at an input port in parts, for tables that need not fit memory.
    fn parts(&self, port: &str) -> Result<Option<Parts<'_>>, StageError> {
        let whole = self.rows(port)?;
        Ok(whole.map(|batch| Box::new(std::iter::once(Ok(batch))) as Parts<'_>))
    }
    /// The folder at an input port: a model or an index, or a fetched source.
    fn tree(&self, port: &str) -> Result<Option<PathBuf>, StageError>;
    /// The source text at an input port, where it is not a stage.
    fn source(&self, port: &str) -> Option<String>;
    /// Takes a checked table for an output port.
    fn put(&self, port: &str, batch: RecordBatch) -> Result<(), StageError>;
    /// Takes a table in checked parts for an output port.
    fn put_parts(&self, port: &str, schema: SchemaRef, parts: Parts<'_>) -> Result<(), StageError> {
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        self.put(port, concat_batches(&schema, &parts)?)
    }
    /// An empty folder to fill for an output port.
    fn out_dir(&self, port: &str) -> Result<PathBuf, StageError>;
    /// Tells how far the stage is.
    fn progress(&self, progress: Progress);
    /// Tells the user something worth knowing about the result ("computed on the CPU").
    fn note(&self, message: String);
    /// Warns of the result: whoever reads a table that is made of it must know.
    fn warn(&self, message: String) {
        self.note(message);
    }
    /// Whether the run is being interrupted.
    fn cancelled(&self) -> bool;
    /// The device of the run.
    fn device(&self) -> DeviceChoice;
    /// Where sources are looked up.
    fn places(&self) -> &Places;
    /// The digest of what stands at an input port: of the rows, the files of a model, or the source.
    fn digest(&self, port: &str) -> Result<Option<Digest>, StageError>;
    /// The model of `key`: still in memory from an earlier node, or loaded now.
    fn model(
        &self,
        _key: ModelKey,
        load: &mut dyn FnMut() -> Result<LoadedModel, StageError>,
    ) -> Result<LoadedModel, StageError> {
        load()
    }
    /// The rows computed before that have `namespace` in common.
    fn memo(&self, namespace: &canon::Value) -> Result<Box<dyn RowStore + '_>, StageError>;
    /// Which of so many missing rows of the next map this process computes, while others compute the rest.
    fn share(&self, _missing: usize) -> Result<Part, StageError> {
        Ok(Part::ALL)
    }
    /// Waits for the others: then what they computed can be recalled.
    fn join(&self) -> Result<(), StageError> {
        Ok(())
    }
    /// Counts generated tokens, for forecasts.
    fn count_tokens(&self, _tokens: u64) {}
    /// Counts rows for the report of the run.
    fn count_rows(&self, computed: u64, reused: u64);
    /// A folder that outlives an interrupted run of this very computation, and goes once it is finished.
    fn checkpoints(&self) -> Result<PathBuf, StageError>;
    /// Whether so much time has passed since the last `true` that work should be made safe.
    fn checkpoint_due(&self) -> bool;
}

/// Everything a stage sees besides its parameters: no clock, no environment, no path it was not given.
pub struct Io<'a>(&'a dyn Host);

impl<'a> Io<'a> {
    /// The view of `host`.
    pub fn new(host: &'a dyn Host) -> Self {
        Self(host)
    }

    /// The rows at a required input port.
    pub fn rows<R: Record>(&self, port: &str) -> Result<Vec<R>, StageError> {
        self.optional_rows(port)?
            .ok_or_else(|| StageError::new(format!("no input at port `{port}`")))
    }

    /// The rows at an optional input port.
    pub fn optional_rows<R: Record>(&self, port: &str) -> Result<Option<Vec<R>>, StageError> {
        Ok(self.0.rows(port)?.map(|batch| R::decode(&batch)).transpose()?)
    }

    /// The table at a required input port in parts, in its sort order.
    pub fn parts(&self, port: &str) -> Result<Parts<'_>, StageError> {
        self.optional_parts(port)?
            .ok_or_else(|| StageError::new(format!("no input at port `{port}`")))
    }

    /// The table at an optional input port in parts, in its sort order.
    pub fn optional_parts(&self, port: &str) -> Result<Option<Parts<'_>>, StageError> {
        self.0.parts(port)
    }

    /// Writes the rows of an output port in parts, which come in the order of the kind's key: for tables that need not
    /// fit memory. Order and NaN are checked as the parts go by.
    pub fn put_parts<R: Record>(
        &self,
        port: &str,
        parts: impl Iterator<Item = Result<RecordBatch, StageError>> + Send,
    ) -> Result<(), StageError> {
        let mut check = PartsCheck::default();
        let checked = parts.map(move |part| {
            let part = part?;
            check.pass::<R>(&part)?;
            Ok(part)
        });
        self.0.put_parts(port, R::schema(), Box::new(checked))
    }

    /// The folder at a required input port: a model artifact, or a fetched source.
    pub fn tree(&self, port: &str) -> Result<PathBuf, StageError> {
        self.0
            .tree(port)?
            .ok_or_else(|| StageError::new(format!("no input at port `{port}`")))
    }

    /// The model at a required input port, which computes in the numbers `numeric`, loaded from its folder by `load` unless an
    /// earlier node of the run left it in memory. It must not depend on anything else but the folder and the device of the run.
    pub fn model<T: Any + Send + Sync>(
        &self,
        port: &str,
        numeric: Numeric,
        load: impl Fn(&Path) -> Result<T, StageError>,
    ) -> Result<Arc<T>, StageError> {
        let mut load = || -> Result<LoadedModel, StageError> { Ok(Arc::new(load(&self.tree(port)?)?)) };
        let loaded = match self.0.digest(port)? {
            Some(digest) => self.0.model((digest, TypeId::of::<T>(), numeric), &mut load)?,
            None => load()?,
        };
        loaded
            .downcast()
            .map_err(|_| StageError::new(format!("the model at port `{port}` is of another type")))
    }

    /// The folder or file at an optional input port.
    pub fn optional_tree(&self, port: &str) -> Result<Option<PathBuf>, StageError> {
        self.0.tree(port)
    }

    /// The table at an optional input port, as it is.
    pub fn batch(&self, port: &str) -> Result<Option<RecordBatch>, StageError> {
        self.0.rows(port)
    }

    /// Writes a table that [`crate::rows::checked`] has passed.
    pub fn put_batch(&self, port: &str, batch: RecordBatch) -> Result<(), StageError> {
        self.0.put(port, batch)
    }

    /// Whether the run is being interrupted.
    pub fn cancelled(&self) -> bool {
        self.0.cancelled()
    }

    /// The source text at a port, where no stage is connected to it.
    pub fn source(&self, port: &str) -> Option<String> {
        self.0.source(port)
    }

    /// Writes the rows of an output port: sorted, checked for duplicate keys and NaN.
    pub fn put<R: Record>(&self, port: &str, mut rows: Vec<R>) -> Result<(), StageError> {
        self.0.put(port, check_rows(&mut rows)?)
    }

    /// An empty folder to fill for a tree-valued output port.
    pub fn out_dir(&self, port: &str) -> Result<PathBuf, StageError> {
        self.0.out_dir(port)
    }

    /// Tells how far the stage is; an error if the run is being interrupted. Call it often.
    pub fn progress(&self, done: usize, total: usize, unit: &'static str) -> Result<(), StageError> {
        self.tell(done, Some(total), unit)
    }

    /// The same where nobody knows how much there is.
    pub fn advance(&self, done: usize, unit: &'static str) -> Result<(), StageError> {
        self.tell(done, None, unit)
    }

    fn tell(&self, done: usize, total: Option<usize>, unit: &'static str) -> Result<(), StageError> {
        let total = total.map(|total| total as u64);
        let done = done as u64;
        self.0.progress(Progress { done, total, unit });
        if self.0.cancelled() {
            Err(StageError::Cancelled)
        } else {
            Ok(())
        }
    }

    /// Tells the user something worth knowing about the result.
    pub fn note(&self, message: impl Into<String>) {
        self.0.note(message.into());
    }

    /// Warns of the result ("the filter kept everything"), in this run and in every one that reuses it.
    pub fn warn(&self, message: impl Into<String>) {
        self.0.warn(message.into());
    }

    /// The memo of a function of rows: see [`Memo`].
    pub fn memo(&self, function: RowFunction, meaning: canon::Value) -> Result<Memo<'_>, StageError> {
        Memo::open(self.0, function, meaning)
    }

    /// Counts tokens the stage has generated: forecasts of later runs tell them.
    pub fn count_tokens(&self, tokens: usize) {
        self.0.count_tokens(tokens as u64);
    }

    /// The digest of what stands at a required input port, as text for a memo's namespace.
    pub fn digest(&self, port: &str) -> Result<canon::Value, StageError> {
        let digest = self.0.digest(port)?;
        let digest = digest.ok_or_else(|| StageError::new(format!("no input at port `{port}`")))?;
        Ok(canon::Value::text(digest))
    }

    /// A folder for checkpoints: what an interrupted run of this very computation left there is still there. It goes
    /// once the stage is finished.
    pub fn checkpoints(&self) -> Result<PathBuf, StageError> {
        self.0.checkpoints()
    }

    /// Whether it is time to write a checkpoint.
    pub fn checkpoint_due(&self) -> bool {
        self.0.checkpoint_due()
    }

    /// The device of the run.
    pub fn device(&self) -> DeviceChoice {
        self.0.device()
    }

    /// Where sources are looked up.
    pub fn places(&self) -> &Places {
        self.0.places()
    }
}
