//! The scheduler as a pure state machine: told what happened, it answers what to do. No threads, no clock.
//!
//! Of the nodes that are ready, those start first that the longest chain of work waits for (the critical path). On the
//! compute device, nodes of the model that is loaded come before all others, so that a model is loaded once for all that
//! is ready for it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use ablate_core::Slot;

/// How many nodes may run at once, by slot.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// CPU nodes.
    pub cpu: usize,
    /// Nodes on the compute device.
    pub device: usize,
}

/// A node to schedule.
#[derive(Clone, Debug)]
pub struct Job {
    /// The jobs it waits for, by their places in the list.
    pub producers: Vec<usize>,
    /// Where it runs.
    pub slot: Slot,
    /// The model it loads onto the device, as a number of its own.
    pub model: Option<usize>,
    /// Seconds it is likely to take.
    pub seconds: f64,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// The node is finished.
    Succeeded(usize),
    /// The node failed; its descendants cannot run.
    Failed(usize),
    /// Start nothing more.
    Interrupt,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Start the node now.
    Start(usize),
    /// The node will not run: an ancestor failed or the run was interrupted.
    Skip(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting(usize),
    Ready,
    Running,
    Over,
}

/// Ready jobs of a slot and a model.
type Queue = (Slot, Option<usize>);

/// Microseconds of the chain a job begins, longest first.
type Urgency = Reverse<u64>;

/// Which nodes run, wait, and are over.
#[derive(Debug)]
pub struct Scheduler {
    jobs: Vec<Job>,
    states: Vec<State>,
    consumers: Vec<Vec<usize>>,
    /// Seconds from the start of each job to the end of the longest chain it begins.
    chains: Vec<f64>,
    ready: BTreeMap<Queue, BTreeSet<(Urgency, usize)>>,
    free: Capacity,
    /// The model on the device.
    loaded: Option<usize>,
    interrupted: bool,
}

impl Scheduler {
    /// A scheduler over jobs, producers before consumers. Of equal ones the first starts first.
    pub fn new(jobs: Vec<Job>, capacity: Capacity) -> Self {
        let mut consumers = vec![vec![]; jobs.len()];
        for (at, job) in jobs.iter().enumerate() {
            job.producers.iter().for_each(|from| consumers[*from].push(at));
        }
        let state = |job: &Job| match job.producers.len() {
            0 => State::Ready,
            waits => State::Waiting(waits),
        };
        let states: Vec<_> = jobs.iter().map(state).collect();
        let mut scheduler = Self {
            chains: chains(&jobs, &consumers),
            jobs,
            states,
            consumers,
            ready: BTreeMap::new(),
            free: capacity,
            loaded: None,
            interrupted: false,
        };
        let ready = (0..scheduler.jobs.len()).filter(|at| scheduler.states[*at] == State::Ready);
        ready
            .collect::<Vec<_>>()
            .into_iter()
            .for_each(|at| scheduler.enqueue(at));
        scheduler
    }

    /// The first commands.
    pub fn start(&mut self) -> Vec<Command> {
        self.fill()
    }

    /// Takes a report in; answers with what to do next.
    pub fn handle(&mut self, report: Report) -> Vec<Command> {
        let mut commands = match report {
            Report::Succeeded(node) => {
                self.release(node);
                self.wake_consumers(node);
                vec![]
            }
            Report::Failed(node) => {
                self.release(node);
                self.skip_descendants(node)
            }
            Report::Interrupt => {
                self.interrupted = true;
                self.skip_idle()
            }
        };
        commands.extend(self.fill());
        commands
    }

    /// Whether nothing runs and nothing will.
    pub fn is_over(&self) -> bool {
        self.states.iter().all(|state| *state == State::Over)
    }

    fn fill(&mut self) -> Vec<Command> {
        if self.interrupted {
            return vec![];
        }
        let mut commands = Vec::new();
        while let Some(node) = self.next() {
            *self.free_slots(node) -= 1;
            self.dequeue(node);
            self.states[node] = State::Running;
            self.loaded = self.jobs[node].model.or(self.loaded);
            commands.push(Command::Start(node));
        }
        commands
    }

    /// The ready job to start next, if one has a free slot.
    fn next(&self) -> Option<usize> {
        let startable = |slot: Slot| match slot {
            Slot::Cpu => self.free.cpu > 0,
            Slot::Device => self.free.device > 0,
        };
        let queues = self.ready.iter().filter(|((slot, _), _)| startable(*slot));
        let heads = queues.filter_map(|((_, model), queue)| Some((*model, queue.first()?)));
        let loads = |model: Option<usize>| model.is_some() && model != self.loaded;
        let next = heads.min_by_key(|(model, head)| (loads(*model), **head));
        next.map(|(_, (_, at))| *at)
    }

    fn place(&self, at: usize) -> (Queue, (Urgency, usize)) {
        let job = &self.jobs[at];
        let urgency = Reverse((self.chains[at] * 1e6) as u64);
        ((job.slot, job.model), (urgency, at))
    }

    fn enqueue(&mut self, at: usize) {
        let (queue, entry) = self.place(at);
        self.ready.entry(queue).or_default().insert(entry);
    }

    fn dequeue(&mut self, at: usize) {
        let (queue, entry) = self.place(at);
        if let Some(jobs) = self.ready.get_mut(&queue) {
            jobs.remove(&entry);
            if jobs.is_empty() {
                self.ready.remove(&queue);
            }
        }
    }

    fn free_slots(&mut self, node: usize) -> &mut usize {
        match self.jobs[node].slot {
            Slot::Cpu => &mut self.free.cpu,
            Slot::Device => &mut self.free.device,
        }
    }

    fn release(&mut self, node: usize) {
        self.states[node] = State::Over;
        *self.free_slots(node) += 1;
    }

    fn wake_consumers(&mut self, node: usize) {
        for consumer in self.consumers[node].clone() {
            if let State::Waiting(left) = self.states[consumer] {
                self.states[consumer] = if left == 1 {
                    State::Ready
                } else {
                    State::Waiting(left - 1)
                };
                if left == 1 {
                    self.enqueue(consumer);
                }
            }
        }
    }

    fn skip_descendants(&mut self, node: usize) -> Vec<Command> {
        let mut skipped = BTreeSet::new();
        let mut open = self.consumers[node].clone();
        while let Some(next) = open.pop() {
            if self.states[next] != State::Over && skipped.insert(next) {
                open.extend(&self.consumers[next]);
            }
        }
        self.skip(skipped)
    }

    fn skip_idle(&mut self) -> Vec<Command> {
        let idle = |n: &usize| matches!(self.states[*n], State::Waiting(_) | State::Ready);
        self.skip((0..self.states.len()).filter(idle).collect())
    }

    fn skip(&mut self, nodes: BTreeSet<usize>) -> Vec<Command> {
        for node in &nodes {
            self.states[*node] = State::Over;
            self.dequeue(*node);
        }
        nodes.into_iter().map(Command::Skip).collect()
    }
}

/// The longest chain each job begins. Consumers stand behind their producers.
fn chains(jobs: &[Job], consumers: &[Vec<usize>]) -> Vec<f64> {
    let mut chains = vec![0.0_f64; jobs.len()];
    for at in (0..jobs.len()).rev() {
        let longest = consumers[at].iter().map(|next| chains[*next]).fold(0.0, f64::max);
        chains[at] = jobs[at].seconds + longest;
    }
    chains
}

#[cfg(test)]
#[allow(clippy::type_complexity)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A random DAG (edges point to lower numbers) of jobs on both slots, some with one of three models.
    fn jobs() -> impl Strategy<Value = Vec<Job>> {
        let job = (
            prop::collection::vec(any::<prop::sample::Index>(), 0..4),
            any::<bool>(),
            prop::option::of(0usize..3),
            0.0..100.0,
        );
        prop::collection::vec(job, 1..14).prop_map(|all| {
            let job =
                |(at, (from, device, model, seconds)): (usize, (Vec<prop::sample::Index>, bool, _, f64))| {
                    let producers: BTreeSet<usize> = from
                        .iter()
                        .filter(|_| at > 0)
                        .map(|from| from.index(at.max(1)))
                        .collect();
                    Job {
                        producers: producers.into_iter().collect(),
                        slot: if device { Slot::Device } else { Slot::Cpu },
                        model: if device { model } else { None },
                        seconds,
                    }
                };
            all.into_iter().enumerate().map(job).collect()
        })
    }

    /// What happens outside: which running job ends next, which jobs fail, when the run is interrupted.
    #[derive(Debug)]
    struct World {
        picks: Vec<usize>,
        fails: Vec<bool>,
        stop: Option<usize>,
    }

    fn worlds() -> impl Strategy<Value = World> {
        let parts = (
            prop::collection::vec(0usize..100, 64),
            prop::collection::vec(prop::bool::weighted(0.2), 14),
            prop::option::of(0usize..20),
        );
        parts.prop_map(|(picks, fails, stop)| World { picks, fails, stop })
    }

    const CAPACITY: Capacity = Capacity { cpu: 2, device: 1 };

    /// What became of the jobs.
    #[derive(Debug, Default)]
    struct Ends {
        started: Vec<usize>,
        running: Vec<usize>,
        succeeded: BTreeSet<usize>,
        failed: BTreeSet<usize>,
        skipped: BTreeSet<usize>,
    }

    impl Ends {
        fn take(&mut self, commands: Vec<Command>, jobs: &[Job]) {
            for command in commands {
                match command {
                    Command::Start(at) => {
                        assert!(
                            jobs[at]
                                .producers
                                .iter()
                                .all(|from| self.succeeded.contains(from))
                        );
                        self.running.push(at);
                        self.started.push(at);
                    }
                    Command::Skip(at) => assert!(self.skipped.insert(at)),
                }
            }
            let running = |slot: Slot| self.running.iter().filter(|at| jobs[**at].slot == slot).count();
            assert!(running(Slot::Device) <= CAPACITY.device && running(Slot::Cpu) <= CAPACITY.cpu);
        }

        fn end(&mut self, pick: usize, world: &World) -> Report {
            let at = self.running.swap_remove(pick % self.running.len());
            let (into, report) = match world.fails[at] {
                true => (&mut self.failed, Report::Failed(at)),
                false => (&mut self.succeeded, Report::Succeeded(at)),
            };
            into.insert(at);
            report
        }
    }

    fn simulate(jobs: &[Job], world: &World) -> Ends {
        let mut scheduler = Scheduler::new(jobs.to_vec(), CAPACITY);
        let mut ends = Ends::default();
        ends.take(scheduler.start(), jobs);
        for turn in 0.. {
            let report = if world.stop == Some(turn) {
                Report::Interrupt
            } else if ends.running.is_empty() {
                break;
            } else {
                ends.end(world.picks[turn % world.picks.len()], world)
            };
            let commands = scheduler.handle(report);
            let skips_only = || commands.iter().all(|command| matches!(command, Command::Skip(_)));
            assert!(report != Report::Interrupt || skips_only());
            ends.take(commands, jobs);
        }
        assert!(scheduler.is_over());
        ends
    }

    /// Models loaded when jobs of the device start in this order.
    fn loads(jobs: &[Job], started: &[usize]) -> usize {
        let mut models: Vec<usize> = started.iter().filter_map(|at| jobs[*at].model).collect();
        models.dedup();
        models.len()
    }

    proptest! {
        #[test]
        fn every_order_of_events_ends_right((jobs, world) in (jobs(), worlds())) {
            let ends = simulate(&jobs, &world);
            prop_assert_eq!(ends.succeeded.len() + ends.failed.len() + ends.skipped.len(), jobs.len());
            prop_assert_eq!(ends.started.len(), ends.succeeded.len() + ends.failed.len(), "none starts twice");
            if world.stop.is_none() {
                for at in &ends.skipped {
                    let lost = |from: &usize| ends.failed.contains(from) || ends.skipped.contains(from);
                    prop_assert!(jobs[*at].producers.iter().any(lost));
                }
            }
        }

        /// Jobs that wait for nothing load each model once, however they end.
        #[test]
        fn a_loaded_model_serves_all_that_is_ready((mut jobs, world) in (jobs(), worlds())) {
            jobs.iter_mut().for_each(|job| job.producers.clear());
            let world = World { stop: None, ..world };
            let models: BTreeSet<_> = jobs.iter().filter_map(|job| job.model).collect();
            prop_assert_eq!(loads(&jobs, &simulate(&jobs, &world).started), models.len());
        }
    }

    fn job(producers: &[usize], seconds: f64) -> Job {
        Job {
            producers: producers.to_vec(),
            slot: Slot::Device,
            model: None,
            seconds,
        }
    }

    #[test]
    fn the_longest_chain_goes_first() {
        // 0 is long by itself; 1 is short, and a longer chain waits for it.
        let jobs = [job(&[], 10.0), job(&[], 1.0), job(&[1], 20.0)];
        let quiet = World {
            picks: vec![0],
            fails: vec![false; 3],
            stop: None,
        };
        assert_eq!(simulate(&jobs, &quiet).started, [1, 2, 0]);
    }
}
