//! One node: look for its trace, lock its key, look again, compute, hand over for the commit.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, Once, PoisonError, RwLockReadGuard,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use ablate_cache::{ActionLock, OutputRecord, StoreError, Trace};
use ablate_core::{ActionKey, Slot, StageError, canon};
use ablate_plan::{Connection, Origin};
use petgraph::graph::NodeIndex;

use crate::{
    Decision, Event, Status,
    help::Desk,
    host::{NodeHost, Outputs, compute, store_error},
    lookup::{Unknown, preimage},
    runner::{Known, Outcome, Runner, found, rows_of},
};

/// What a node is computed for.
#[derive(Clone, Copy)]
pub(crate) enum Purpose<'a> {
    /// Its result; helpers may compute some of its rows.
    Result,
    /// To compare it with the result there is: no row is taken from the memo.
    Comparison,
    /// Rows, for the process that runs it.
    Rows(&'a Desk),
}

impl Runner<'_> {
    /// The recipe of a node: look, lock, look again, compute, commit.
    pub(crate) fn execute(&self, index: NodeIndex) -> Outcome {
        let began = Instant::now();
        let mut key = None;
        let result = self.try_execute(index, &mut key, began);
        let seconds = began.elapsed().as_secs_f64();
        let failed = |status, reason| Outcome {
            status,
            key,
            reason,
            seconds,
            rows_computed: 0,
            rows_reused: 0,
        };
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(StageError::Cancelled) => failed(Status::Skipped, "interrupted".into()),
            Err(StageError::Failed { message, help: None }) => failed(Status::Failed, message),
            Err(StageError::Failed {
                message,
                help: Some(help),
            }) => failed(Status::Failed, format!("{message} ({help})")),
        };
        (self.events)(Event::NodeFinished {
            node: self.plan.node(index).name.clone(),
            status: outcome.status,
            key: outcome.key,
            reason: outcome.reason.clone(),
            seconds: outcome.seconds,
        });
        outcome
    }

    fn try_execute(
        &self,
        index: NodeIndex,
        key: &mut Option<ActionKey>,
        began: Instant,
    ) -> Result<Outcome, StageError> {
        self.refuse_leaks(index)?;
        let node = self.plan.node(index);
        let preimage = self.preimage(index)?;
        let this = Trace::key_of(&preimage);
        *key = Some(this);
        if let Some(trace) = self
            .whole_trace(index, this)?
            .map(Arc::new)
            .or_else(|| self.computed(this))
        {
            return Ok(self.share(index, self.status(index, this)?, trace));
        }
        let lock = self.lock(this)?;
        if let Some(trace) = self.computed(this) {
            return Ok(self.share(index, self.status(index, this)?, trace));
        }
        if let Some(trace) = self.whole_trace(index, this)? {
            return Ok(self.share(index, Status::Reused, Arc::new(trace)));
        }
        let _room = self.room(index)?;
        (self.events)(Event::NodeStarted {
            node: node.name.clone(),
            kind: node.kind.name(),
        });
        let (trace, counted) = self.compute(index, this, preimage, began, Purpose::Result)?;
        let (rows_computed, rows_reused) = counted.unwrap_or((rows_of(&trace), 0));
        self.committer.add(node.recipe, trace.clone(), lock);
        let trace = Arc::new(trace);
        self.remember(index, &trace);
        let reason = self.reason(index);
        let seconds = began.elapsed().as_secs_f64();
        Ok(Outcome {
            status: Status::Ran,
            key: Some(this),
            reason,
            seconds,
            rows_computed,
            rows_reused,
        })
    }

    /// The pre-image of a node's key. Sources whose digest is not known are fetched for it.
    fn preimage(&self, index: NodeIndex) -> Result<canon::Value, StageError> {
        let node = self.plan.node(index);
        let report = |line: &str| {
            (self.events)(Event::NodeNote {
                node: node.name.clone(),
                note: line.into(),
            });
        };
        for _ in &node.inputs {
            match self.known_preimage(index) {
                Err(Unknown::Unfetched { source, text }) => {
                    source.fetch(&text, self.options.places, &report)?;
                }
                other => return other.map_err(Unknown::into_error),
            }
        }
        self.known_preimage(index).map_err(Unknown::into_error)
    }

    fn known_preimage(&self, index: NodeIndex) -> Result<canon::Value, Unknown> {
        let known = self.known();
        let produced = |producer| {
            let trace = known.nodes.get(&producer).map(Arc::as_ref);
            trace.ok_or_else(|| self.plan.node(producer).name.clone())
        };
        preimage(self.plan.node(index), self.options.places, produced)
    }

    /// The trace of `key` if its objects stand. A damaged one is taken out and told: its node runs again.
    fn whole_trace(&self, index: NodeIndex, key: ActionKey) -> Result<Option<Trace>, StageError> {
        let trace = match self.store.trace(key) {
            Err(StoreError::Damaged { path, what }) => {
                self.store.forget(key).map_err(store_error)?;
                let note = format!("{} is damaged ({what}): computed again", path.display());
                (self.events)(Event::NodeNote {
                    node: self.plan.node(index).name.clone(),
                    note,
                });
                None
            }
            other => other.map_err(store_error)?,
        };
        Ok(trace.filter(|trace| {
            trace
                .outputs
                .iter()
                .all(|output| self.store.has_object(output.file))
        }))
    }

    /// Waits for the lock of `key`; whoever holds it computes the same.
    fn lock(&self, key: ActionKey) -> Result<ActionLock, StageError> {
        loop {
            if let Some(lock) = self.store.try_lock(key).map_err(store_error)? {
                return Ok(lock);
            }
            if self.options.stop.load(Ordering::Relaxed) {
                return Err(StageError::Cancelled);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the stage of a node is given.
    pub(crate) fn host<'a>(&'a self, index: NodeIndex, key: ActionKey, purpose: Purpose<'a>) -> NodeHost<'a> {
        NodeHost {
            node: self.plan.node(index),
            store: self.store,
            inputs: self.input_records(index),
            places: self.options.places,
            device: self.options.device,
            helpers: &self.options.helpers,
            committer: &self.committer,
            stop: self.options.stop,
            events: self.events,
            tables: &self.tables,
            models: &self.models,
            key,
            flush: self.options.flush,
            purpose,
            maps: AtomicU32::new(0),
            shared: Once::new(),
            due: Mutex::new(Instant::now()),
            outputs: Mutex::new(Outputs::default()),
        }
    }

    /// Computes a node.
    pub(crate) fn compute<'a>(
        &'a self,
        index: NodeIndex,
        key: ActionKey,
        preimage: canon::Value,
        began: Instant,
        purpose: Purpose<'a>,
    ) -> Result<(Trace, Option<(u64, u64)>), StageError> {
        let host = self.host(index, key, purpose);
        let computed = compute(&host);
        if host.node.needs().slot == Slot::Device {
            self.options.helpers.rest();
        }
        computed?;
        let outputs = host.finish()?;
        let finished = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let seconds = began.elapsed().as_secs_f64();
        let trace = Trace {
            key,
            preimage,
            outputs: outputs.records,
            seconds,
            finished,
            host: self.options.host.clone(),
            tokens: outputs.tokens,
            notes: outputs.notes,
            warnings: outputs.warnings,
        };
        Ok((trace, outputs.counted))
    }

    pub(crate) fn input_records(&self, index: NodeIndex) -> BTreeMap<&'static str, OutputRecord> {
        let known = self.known();
        let record = |input: &Connection| match &input.origin {
            Origin::Node { node, output } => known
                .nodes
                .get(node)
                .and_then(|trace| trace.output(output))
                .map(|record| (input.port, record.clone())),
            Origin::Source { .. } => None,
        };
        self.plan.node(index).inputs.iter().filter_map(record).collect()
    }

    pub(crate) fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What another node of this run came to under `key`, which may not be committed yet.
    fn computed(&self, key: ActionKey) -> Option<Arc<Trace>> {
        let trace = self.known().keys.get(&key).cloned()?;
        let stands = |output: &OutputRecord| self.store.has_object(output.file);
        trace.outputs.iter().all(stands).then_some(trace)
    }

    /// Of a node whose key has a trace: `Reused` if its recipe led there before, perhaps in another process by now.
    fn status(&self, index: NodeIndex, key: ActionKey) -> Result<Status, StageError> {
        let recipe = self.plan.node(index).recipe;
        let mut recipes = self.recipes.lock().unwrap_or_else(PoisonError::into_inner);
        if !recipes.lead(recipe, key) {
            self.store.read_recipes(&mut recipes).map_err(store_error)?;
        }
        match recipes.lead(recipe, key) {
            true => Ok(Status::Reused),
            false => Ok(Status::Cutoff),
        }
    }

    fn share(&self, index: NodeIndex, status: Status, trace: Arc<Trace>) -> Outcome {
        self.remember(index, &trace);
        self.committer.add_recipe(self.plan.node(index).recipe, trace.key);
        found(status, trace)
    }

    fn remember(&self, index: NodeIndex, trace: &Arc<Trace>) {
        self.known
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .add(index, trace);
    }

    fn reason(&self, index: NodeIndex) -> String {
        match &self.lookup.decisions[&index] {
            Decision::Run { reason, .. } => reason.clone(),
            Decision::Maybe { .. } => "its inputs were not known before".into(),
            Decision::Hit { .. } => String::new(),
        }
    }
}
