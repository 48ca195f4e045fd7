//! Runs a plan on this machine: worker threads for nodes, the rayon pool inside them.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use ablate_cache::{FlushPolicy, Recipes, Store, StoreError, Trace};
use ablate_core::{ActionKey, DeviceChoice, Places};
use ablate_plan::{Plan, Suspect, suspects};
use petgraph::{Direction, graph::NodeIndex};

use crate::{
    Capacity, Command, Decision, Event, Helpers, Lookup, MachineSlots, NodeRecord, Report, Scheduler, Status,
    commit::Committer, lookup::hit_reason, models::Models, record::EventLog, tables::Tables,
};

/// Why a node that `--only` leaves out is skipped.
pub const NOT_ASKED_FOR: &str = "not asked for";

/// How to run.
pub struct Options<'a> {
    /// Id of the run.
    pub id: &'a str,
    /// The experiment it is of.
    pub experiment: &'a str,
    /// Where the run log goes.
    pub log_folder: PathBuf,
    /// Where sources are looked up.
    pub places: &'a Places,
    /// The device of the run.
    pub device: DeviceChoice,
    /// Processes on other devices, which compute rows beside this one.
    pub helpers: Helpers,
    /// How many nodes at once in this run.
    pub capacity: Capacity,
    /// How many nodes at once on this machine.
    pub slots: MachineSlots,
    /// What models may learn from and be judged by, as `stage.port`.
    pub allow_leakage: &'a [String],
    /// Name of this machine, for provenance.
    pub host: String,
    /// How much work a kill may cost.
    pub flush: FlushPolicy,
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
pub(crate) struct Outcome {
    pub(crate) status: Status,
    pub(crate) key: Option<ActionKey>,
    pub(crate) reason: String,
    pub(crate) seconds: f64,
    pub(crate) rows_computed: u64,
    pub(crate) rows_reused: u64,
}

pub(crate) struct Runner<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) store: &'a Store,
    pub(crate) options: &'a Options<'a>,
    pub(crate) lookup: &'a Lookup,
    /// What the store knows of recipes by now: other processes add to it.
    pub(crate) recipes: Mutex<Recipes>,
    pub(crate) events: &'a (dyn Fn(Event) + Sync),
    pub(crate) committer: Committer<'a>,
    pub(crate) known: RwLock<Known>,
    pub(crate) tables: Tables,
    pub(crate) models: Models,
    /// What must not turn out to be the same rows.
    pub(crate) suspects: Vec<Suspect>,
}

/// Results this run has at hand.
#[derive(Default)]
pub(crate) struct Known {
    /// By node.
    pub(crate) nodes: BTreeMap<NodeIndex, Arc<Trace>>,
    /// By key: two nodes of a run may come to the same.
    pub(crate) keys: BTreeMap<ActionKey, Arc<Trace>>,
}

impl Known {
    pub(crate) fn add(&mut self, node: NodeIndex, trace: &Arc<Trace>) {
        self.nodes.insert(node, trace.clone());
        self.keys.insert(trace.key, trace.clone());
    }
}

/// Runs what `lookup` did not find. Answers with one record a node, in plan order, and warnings. Nodes that are not asked
/// for are skipped.
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
    let runner = Runner::new(plan, store, lookup, options, &events);
    let began = Instant::now();
    events(Event::RunStarted {
        run: options.id.into(),
        experiment: options.experiment.into(),
        nodes: plan.order.len(),
        reused: runner.known().nodes.len(),
    });
    let (outcomes, mut warnings) = runner.drive()?;
    warnings.extend(runner.allowed_leaks());
    warnings.extend(runner.stage_warnings());
    events(Event::RunFinished {
        run: options.id.into(),
        seconds: began.elapsed().as_secs_f64(),
    });
    Ok((runner.records(&outcomes), warnings))
}

impl<'a> Runner<'a> {
    /// A runner that knows what `lookup` found.
    pub(crate) fn new(
        plan: &'a Plan,
        store: &'a Store,
        lookup: &'a Lookup,
        options: &'a Options<'a>,
        events: &'a (dyn Fn(Event) + Sync),
    ) -> Self {
        let mut known = Known::default();
        for (index, decision) in &lookup.decisions {
            if let Decision::Hit { trace, .. } = decision {
                known.add(*index, &Arc::from(trace.clone()));
            }
        }
        Self {
            plan,
            store,
            options,
            suspects: suspects(plan),
            lookup,
            recipes: Mutex::new(lookup.recipes.clone()),
            events,
            committer: Committer::new(store),
            known: RwLock::new(known),
            tables: Tables::default(),
            models: Models::default(),
        }
    }
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
        let mut scheduler = Scheduler::new(self.jobs(&open)?, self.options.capacity);
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
                        Command::Skip(at) => {
                            let reason = match interrupted {
                                true => "interrupted".into(),
                                false => self.cause(open[at], &outcomes),
                            };
                            outcomes.insert(open[at], skipped(&reason));
                        }
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

    /// The nodes that were found at once, but for those that must not be: they fail where they would run.
    fn reuse(&self) -> BTreeMap<NodeIndex, Outcome> {
        let mut outcomes = BTreeMap::new();
        for (index, decision) in &self.lookup.decisions {
            let Decision::Hit { status, trace } = decision else {
                continue;
            };
            if self.refuse_leaks(*index).is_err() {
                continue;
            }
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

    /// What stages warned of, in this run or when their results were computed; of the nodes of a stage each warning once.
    fn stage_warnings(&self) -> Vec<String> {
        let known = self.known();
        let mut found: Vec<(&str, &String, usize)> = Vec::new();
        for (index, trace) in self
            .plan
            .order
            .iter()
            .filter_map(|index| Some((index, known.nodes.get(index)?)))
        {
            let stage = &self.plan.node(*index).stage;
            for warning in &trace.warnings {
                match found
                    .iter_mut()
                    .find(|(other, told, _)| other == stage && *told == warning)
                {
                    Some((.., times)) => *times += 1,
                    None => found.push((stage, warning, 1)),
                }
            }
        }
        let text = |(stage, warning, times): (&str, &String, usize)| match times {
            1 => format!("`{stage}`: {warning}"),
            times => format!("{times} nodes of `{stage}`: {warning}"),
        };
        found.into_iter().map(text).collect()
    }

    /// Why a node cannot run: the producer that failed, or what a skipped one waited for.
    fn cause(&self, index: NodeIndex, outcomes: &BTreeMap<NodeIndex, Outcome>) -> String {
        let producers = self.plan.graph.neighbors_directed(index, Direction::Incoming);
        let cause = |from: NodeIndex| {
            let outcome = outcomes.get(&from)?;
            match outcome.status {
                Status::Failed => Some(format!("`{}` failed", self.plan.node(from).name)),
                Status::Skipped => Some(outcome.reason.clone()),
                _ => None,
            }
        };
        let mut causes = producers.filter_map(cause);
        causes.next().unwrap_or_else(|| "an ancestor failed".into())
    }

    fn records(&self, outcomes: &BTreeMap<NodeIndex, Outcome>) -> Vec<NodeRecord> {
        let left_out = skipped(NOT_ASKED_FOR);
        let record = |index: NodeIndex| {
            let outcome = outcomes.get(&index).unwrap_or(&left_out);
            NodeRecord {
                status: outcome.status,
                key: outcome.key,
                reason: outcome.reason.clone(),
                seconds: outcome.seconds,
                rows_computed: outcome.rows_computed,
                rows_reused: outcome.rows_reused,
                ..NodeRecord::planned(self.plan, index)
            }
        };
        self.plan.graph.node_indices().map(record).collect()
    }
}

fn skipped(reason: &str) -> Outcome {
    Outcome {
        status: Status::Skipped,
        key: None,
        reason: reason.into(),
        seconds: 0.0,
        rows_computed: 0,
        rows_reused: 0,
    }
}

/// The outcome of a node whose result was there.
pub(crate) fn found(status: Status, trace: Arc<Trace>) -> Outcome {
    Outcome {
        status,
        key: Some(trace.key),
        reason: hit_reason(status).into(),
        seconds: 0.0,
        rows_computed: 0,
        rows_reused: rows_of(&trace),
    }
}

pub(crate) fn rows_of(trace: &Trace) -> u64 {
    trace.outputs.iter().filter_map(|output| output.rows).sum()
}

/// What the scheduler is told.
fn report(at: usize, outcome: &Outcome) -> Report {
    match outcome.status {
        Status::Failed | Status::Skipped => Report::Failed(at),
        _ => Report::Succeeded(at),
    }
}
