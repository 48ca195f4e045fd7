//! The scheduler as a pure state machine: told what happened, it answers what to do. No threads, no clock.

use std::collections::BTreeSet;

use ablate_core::Slot;

/// How many nodes may run at once, by slot.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// CPU nodes.
    pub cpu: usize,
    /// Nodes on the compute device.
    pub device: usize,
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

/// Which nodes run, wait, and are over.
#[derive(Debug)]
pub struct Scheduler {
    states: Vec<State>,
    slots: Vec<Slot>,
    consumers: Vec<Vec<usize>>,
    ready: BTreeSet<usize>,
    free: Capacity,
    interrupted: bool,
}

impl Scheduler {
    /// A scheduler over nodes with the `producers` each waits for. Nodes of equal readiness start in index order.
    pub fn new(producers: &[Vec<usize>], slots: Vec<Slot>, capacity: Capacity) -> Self {
        let mut consumers = vec![vec![]; producers.len()];
        for (node, from) in producers.iter().enumerate() {
            from.iter().for_each(|producer| consumers[*producer].push(node));
        }
        let state = |from: &Vec<usize>| {
            if from.is_empty() {
                State::Ready
            } else {
                State::Waiting(from.len())
            }
        };
        let states: Vec<_> = producers.iter().map(state).collect();
        let ready = (0..states.len()).filter(|n| states[*n] == State::Ready).collect();
        Self {
            states,
            slots,
            consumers,
            ready,
            free: capacity,
            interrupted: false,
        }
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
        for node in self.ready.clone() {
            let free = self.free_slots(node);
            if *free == 0 {
                continue;
            }
            *free -= 1;
            self.ready.remove(&node);
            self.states[node] = State::Running;
            commands.push(Command::Start(node));
        }
        commands
    }

    fn free_slots(&mut self, node: usize) -> &mut usize {
        match self.slots[node] {
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
                    self.ready.insert(consumer);
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
            self.ready.remove(node);
        }
        nodes.into_iter().map(Command::Skip).collect()
    }
}

#[cfg(test)]
#[allow(clippy::type_complexity)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A random DAG (edges point to lower numbers), slots and, per node, whether it fails.
    fn cases() -> impl Strategy<Value = (Vec<Vec<usize>>, Vec<bool>, Vec<bool>, Vec<usize>, Option<usize>)> {
        (1usize..14).prop_flat_map(|n| {
            let producers =
                prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..4), n);
            let producers = producers.prop_map(|all| {
                let edges = |(node, from): (usize, Vec<prop::sample::Index>)| {
                    let set: BTreeSet<usize> = from
                        .iter()
                        .filter(|_| node > 0)
                        .map(|i| i.index(node.max(1)))
                        .collect();
                    set.into_iter().collect()
                };
                all.into_iter().enumerate().map(edges).collect()
            });
            let bits = || prop::collection::vec(any::<bool>(), n);
            (
                producers,
                bits(),
                bits(),
                prop::collection::vec(0usize..100, 64),
                prop::option::of(0usize..20),
            )
        })
    }

    proptest! {
        #[test]
        fn every_order_of_events_ends_right((producers, device, fails, picks, stop) in cases()) {
            let slot = |d: &bool| if *d { Slot::Device } else { Slot::Cpu };
            let mut scheduler =
                Scheduler::new(&producers, device.iter().map(slot).collect(), Capacity { cpu: 2, device: 1 });
            let (mut running, mut succeeded, mut failed, mut skipped) =
                (vec![], BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
            let mut commands = scheduler.start();
            for turn in 0.. {
                for command in commands.drain(..) {
                    match command {
                        Command::Start(node) => {
                            prop_assert!(producers[node].iter().all(|p| succeeded.contains(p)));
                            running.push(node);
                        }
                        Command::Skip(node) => prop_assert!(skipped.insert(node)),
                    }
                }
                prop_assert!(running.iter().filter(|n| device[**n]).count() <= 1);
                prop_assert!(running.iter().filter(|n| !device[**n]).count() <= 2);
                if stop == Some(turn) {
                    commands = scheduler.handle(Report::Interrupt);
                    prop_assert!(commands.iter().all(|c| matches!(c, Command::Skip(_))));
                } else if running.is_empty() {
                    break;
                } else {
                    let node = running.swap_remove(picks[turn % picks.len()] % running.len());
                    let report = if fails[node] { Report::Failed(node) } else { Report::Succeeded(node) };
                    if fails[node] { failed.insert(node); } else { succeeded.insert(node); }
                    commands = scheduler.handle(report);
                }
            }
            prop_assert!(scheduler.is_over());
            prop_assert_eq!(succeeded.len() + failed.len() + skipped.len(), producers.len());
            if stop.is_none() {
                for node in &skipped {
                    prop_assert!(producers[*node].iter().any(|p| failed.contains(p) || skipped.contains(p)));
                }
            }
        }
    }
}
