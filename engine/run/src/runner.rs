//! Runs a plan on this machine: worker threads for nodes, the rayon pool inside them.

use std::{
    any::Any,
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use ablate_cache::{ActionLock, Store, StoreError, Trace};
use ablate_core::{ActionKey, DeviceChoice, Io, Places, Slot, StageError};
use ablate_plan::{Origin, Plan};
use petgraph::graph::NodeIndex;

use crate::{
    Capacity, Command, Decision, Event, Lookup, NodeRecord, Report, Scheduler, Status,
    commit::Committer,
    host::{NodeHost, Outputs, store_error},
    lookup::{Unknown, hit_reason, preimage},
    record::EventLog,
};

/// How to run.
pub struct Options<'a> {
    /// Id of the run.
    pub id: &'a str,
    /// Where the run log goes.
    pub log_folder: PathBuf,
    /// Where sources are looked up.
    pub places: &'a Places,
    /// The device of the run.
    pub device: DeviceChoice,
    /// How many nodes at once.
    pub capacity: Capacity,
    /// Name of this machine, for provenance.
    pub host: String,
    /// Set when the run shall stop.
    pub stop: &'a AtomicBool,
}

/// Why a run broke off: the store, not a stage.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a node came to.
struct Outcome {
    status: Status,
    key: Option<ActionKey>,
    reason: String,
    seconds: f64,
    rows: u64,
}

struct Runner<'a> {
    plan: &'a Plan,
    store: &'a Store,
    options: &'a Options<'a>,
    lookup: &'a Lookup,
    events: &'a (dyn Fn(Event) + Sync),
    committer: Committer<'a>,
    traces: RwLock<BTreeMap<NodeIndex, Arc<Trace>>>,
}

/// Runs what `lookup` did not find. Answers with one record a node, in plan order, and warnings.
pub fn run(
    plan: &Plan,
    store: &Store,
    lookup: &Lookup,
    options: &Options<'_>,
    subscriber: &(dyn Fn(&Event) + Sync),
) -> Result<(Vec<NodeRecord>, Vec<String>), RunError> {
    let log = EventLog::create(&options.log_folder, options.id)?;
    let events = |event: Event| {
        log.write(&event);
        subscriber(&event);
    };
    let hits = lookup
        .decisions
        .iter()
        .filter_map(|(index, decision)| match decision {
            Decision::Hit { trace, .. } => Some((*index, Arc::from(trace.clone()))),
            _ => None,
        });
    let traces: BTreeMap<_, _> = hits.collect();
    let began = Instant::now();
    events(Event::RunStarted {
        run: options.id.into(),
        nodes: plan.order.len(),
        reused: traces.len(),
    });
    let committer = Committer::new(store);
    let runner = Runner {
        plan,
        store,
        options,
        lookup,
        events: &events,
        committer,
        traces: RwLock::new(traces),
    };
    let (outcomes, warnings) = runner.drive()?;
    events(Event::RunFinished {
        run: options.id.into(),
        seconds: began.elapsed().as_secs_f64(),
    });
    Ok((runner.records(&outcomes), warnings))
}

impl Runner<'_> {
    /// Feeds reports to the scheduler and its commands to the workers, until all is over.
    fn drive(&self) -> Result<(BTreeMap<NodeIndex, Outcome>, Vec<String>), RunError> {
        let mut outcomes = self.reuse();
        let open: Vec<NodeIndex> = self
            .plan
            .order
            .iter()
            .filter(|n| !outcomes.contains_key(n))
            .copied()
            .collect();
        let mut warnings = self.lookup.warnings.clone();
        let mut scheduler = self.scheduler(&open);
        let (send_work, work) = mpsc::channel::<usize>();
        let (send_done, done) = mpsc::channel::<(usize, Outcome)>();
        let work = Mutex::new(work);
        let workers = (self.options.capacity.cpu + self.options.capacity.device).min(open.len());
        std::thread::scope(|scope| {
            for _ in 0..workers {
                let (work, done, open) = (&work, send_done.clone(), &open);
                scope.spawn(move || self.work(work, &done, open));
            }
            let mut interrupted = false;
            let mut commands = scheduler.start();
            loop {
                for command in commands.drain(..) {
                    match command {
                        Command::Start(at) => send_work.send(at).unwrap_or(()),
                        Command::Skip(at) => drop(outcomes.insert(open[at], self.skipped(interrupted))),
                    }
                }
                if scheduler.is_over() {
                    break;
                }
                if let Ok((at, outcome)) = done.recv_timeout(Duration::from_millis(50)) {
                    commands = scheduler.handle(report(at, &outcome));
                    outcomes.insert(open[at], outcome);
                }
                warnings.extend(self.committer.tick()?);
                if !interrupted && self.options.stop.load(Ordering::Relaxed) {
                    interrupted = true;
                    commands.extend(scheduler.handle(Report::Interrupt));
                }
            }
            drop(send_work);
            warnings.extend(self.committer.flush()?);
            Ok((outcomes, warnings))
        })
    }

    fn scheduler(&self, open: &[NodeIndex]) -> Scheduler {
        let position: BTreeMap<NodeIndex, usize> =
            open.iter().enumerate().map(|(at, index)| (*index, at)).collect();
        let producers = |index: &NodeIndex| {
            let from = self
                .plan
                .graph
                .neighbors_directed(*index, petgraph::Direction::Incoming);
            from.filter_map(|producer| position.get(&producer).copied())
                .collect()
        };
        let slots: Vec<Slot> = open
            .iter()
            .map(|index| self.plan.node(*index).kind.slot())
            .collect();
        Scheduler::new(
            &open.iter().map(producers).collect::<Vec<_>>(),
            slots,
            self.options.capacity,
        )
    }

    /// The nodes that were found at once.
    fn reuse(&self) -> BTreeMap<NodeIndex, Outcome> {
        let mut outcomes = BTreeMap::new();
        for (index, decision) in &self.lookup.decisions {
            let Decision::Hit { status, trace } = decision else {
                continue;
            };
            if *status == Status::Cutoff {
                self.committer
                    .add_recipe(self.plan.node(*index).recipe, trace.key);
            }
            outcomes.insert(*index, found(*status, Arc::from(trace.clone())));
        }
        outcomes
    }

    fn work(
        &self,
        work: &Mutex<mpsc::Receiver<usize>>,
        done: &mpsc::Sender<(usize, Outcome)>,
        open: &[NodeIndex],
    ) {
        loop {
            let next = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(at) = next else { return };
            let outcome = self.execute(open[at]);
            if done.send((at, outcome)).is_err() {
                return;
            }
        }
    }

    /// The recipe of a node: look, lock, look again, compute, commit.
    fn execute(&self, index: NodeIndex) -> Outcome {
        let began = Instant::now();
        let mut key = None;
        let result = self.try_execute(index, &mut key, began);
        let seconds = began.elapsed().as_secs_f64();
        let failed = |status, reason| Outcome {
            status,
            key,
            reason,
            seconds,
            rows: 0,
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
        let node = self.plan.node(index);
        let preimage = self.preimage(index)?;
        let this = Trace::key_of(&preimage);
        *key = Some(this);
        if let Some(trace) = self.whole_trace(index, this)? {
            let seen = self
                .lookup
                .recipes
                .get(&node.recipe)
                .is_some_and(|keys| keys.contains(&this));
            return Ok(self.share(index, if seen { Status::Reused } else { Status::Cutoff }, trace));
        }
        let lock = self.lock(this)?;
        if let Some(trace) = self.whole_trace(index, this)? {
            return Ok(self.share(index, Status::Reused, trace));
        }
        (self.events)(Event::NodeStarted {
            node: node.name.clone(),
            kind: node.kind.name(),
        });
        let trace = self.compute(index, this, preimage, began)?;
        let rows = trace.outputs.iter().filter_map(|output| output.rows).sum();
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
            rows,
        })
    }

    fn preimage(&self, index: NodeIndex) -> Result<ablate_core::canon::Value, StageError> {
        let traces = self.traces.read().unwrap_or_else(PoisonError::into_inner);
        let produced = |producer| {
            let trace = traces.get(&producer).map(Arc::as_ref);
            trace.ok_or_else(|| self.plan.node(producer).name.clone())
        };
        preimage(self.plan.node(index), self.options.places, produced).map_err(|unknown| match unknown {
            Unknown::Source(error) => error,
            Unknown::Producer(name) => StageError::new(format!("`{name}` left no result")),
        })
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

    fn compute(
        &self,
        index: NodeIndex,
        key: ActionKey,
        preimage: ablate_core::canon::Value,
        began: Instant,
    ) -> Result<Trace, StageError> {
        let node = self.plan.node(index);
        let host = NodeHost {
            node,
            store: self.store,
            inputs: self.input_records(index),
            places: self.options.places,
            device: self.options.device,
            stop: self.options.stop,
            events: self.events,
            outputs: Mutex::new(Outputs::default()),
        };
        catch_unwind(AssertUnwindSafe(|| node.bound.run(&Io::new(&host))))
            .unwrap_or_else(|panic| Err(bug(&*panic)))?;
        let (outputs, notes) = host.finish()?;
        let finished = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let seconds = began.elapsed().as_secs_f64();
        Ok(Trace {
            key,
            preimage,
            outputs,
            seconds,
            finished,
            host: self.options.host.clone(),
            notes,
        })
    }

    fn input_records(&self, index: NodeIndex) -> BTreeMap<&'static str, ablate_cache::OutputRecord> {
        let traces = self.traces.read().unwrap_or_else(PoisonError::into_inner);
        let record = |input: &ablate_plan::Connection| match &input.origin {
            Origin::Node { node, output } => traces
                .get(node)
                .and_then(|trace| trace.output(output))
                .map(|record| (input.port, record.clone())),
            Origin::Source { .. } => None,
        };
        self.plan.node(index).inputs.iter().filter_map(record).collect()
    }

    fn share(&self, index: NodeIndex, status: Status, trace: Trace) -> Outcome {
        let trace = Arc::new(trace);
        self.remember(index, &trace);
        self.committer.add_recipe(self.plan.node(index).recipe, trace.key);
        found(status, trace)
    }

    fn remember(&self, index: NodeIndex, trace: &Arc<Trace>) {
        self.traces
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(index, trace.clone());
    }

    fn reason(&self, index: NodeIndex) -> String {
        match &self.lookup.decisions[&index] {
            Decision::Run { reason, .. } => reason.clone(),
            Decision::Maybe { .. } => "its inputs were not known before".into(),
            Decision::Hit { .. } => String::new(),
        }
    }

    fn skipped(&self, interrupted: bool) -> Outcome {
        let reason = if interrupted {
            "interrupted"
        } else {
            "an ancestor failed"
        };
        Outcome {
            status: Status::Skipped,
            key: None,
            reason: reason.into(),
            seconds: 0.0,
            rows: 0,
        }
    }

    fn records(&self, outcomes: &BTreeMap<NodeIndex, Outcome>) -> Vec<NodeRecord> {
        let record = |index: &NodeIndex| {
            let (node, outcome) = (self.plan.node(*index), &outcomes[index]);
            let ran = outcome.status == Status::Ran;
            NodeRecord {
                name: node.name.clone(),
                kind: node.kind.name().into(),
                status: outcome.status,
                key: outcome.key,
                reason: outcome.reason.clone(),
                seconds: outcome.seconds,
                rows_computed: if ran { outcome.rows } else { 0 },
                rows_reused: if ran { 0 } else { outcome.rows },
                recipe: node.recipe,
                params: node.bound.params(),
            }
        };
        self.plan.order.iter().map(record).collect()
    }
}

/// The outcome of a node whose result was there.
fn found(status: Status, trace: Arc<Trace>) -> Outcome {
    let rows = trace.outputs.iter().filter_map(|output| output.rows).sum();
    Outcome {
        status,
        key: Some(trace.key),
        reason: hit_reason(status).into(),
        seconds: 0.0,
        rows,
    }
}

/// What the scheduler is told.
fn report(at: usize, outcome: &Outcome) -> Report {
    match outcome.status {
        Status::Failed | Status::Skipped => Report::Failed(at),
        _ => Report::Succeeded(at),
    }
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
