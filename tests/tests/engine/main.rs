//! The engine on small graphs of stages made for it: what runs and what does not must be what a naive evaluator says.
#![allow(clippy::unwrap_used, clippy::panic)]

mod disturbed;
mod stages;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use ablate_cache::{FlushPolicy, OutputRecord, Store};
use ablate_core::{DeviceChoice, Places, Seed, StageError, Stream};
use ablate_plan::{Plan, Selection, plan};
use ablate_run::{
    Capacity, Helpers, MachineSlots, NodeRecord, Options, Recomputed, RunError, Status, lookup,
};
use ablate_spec::{Source, load, render};
use stages::{COMPUTED, KINDS, LOADED};

fn planned(text: &str) -> Plan {
    let source = Source {
        name: "test.yaml".into(),
        text: text.into(),
    };
    let (experiment, problems) = load(&source, KINDS, &[], &[]);
    let experiment = experiment.unwrap_or_else(|| panic!("{}\n{text}", render(&problems, &source, false)));
    plan(&experiment, &Places::default(), &Selection::default()).unwrap()
}

fn options<'a>(
    root: &Path,
    places: &'a Places,
    jobs: usize,
    flush: FlushPolicy,
    stop: &'a AtomicBool,
) -> Options<'a> {
    let capacity = Capacity { cpu: jobs, device: 1 };
    Options {
        id: "test",
        experiment: "test",
        log_folder: root.join("runs"),
        places,
        device: DeviceChoice::Cpu,
        helpers: Helpers::default(),
        capacity,
        slots: MachineSlots {
            folder: None,
            capacity,
            device: DeviceChoice::Cpu,
            memory: None,
        },
        allow_leakage: &[],
        host: "test".into(),
        flush,
        stop,
    }
}

fn run_with(root: &Path, text: &str, jobs: usize, flush: FlushPolicy) -> (Plan, Vec<NodeRecord>) {
    let plan = planned(text);
    let nodes = try_run(&Store::open(root).unwrap(), &plan, jobs, flush).unwrap();
    (plan, nodes)
}

fn try_run(store: &Store, plan: &Plan, jobs: usize, flush: FlushPolicy) -> Result<Vec<NodeRecord>, RunError> {
    let (places, stop) = (Places::default(), AtomicBool::new(false));
    let found = lookup(plan, store, &places, &|_| None)?;
    let options = options(store.root(), &places, jobs, flush, &stop);
    Ok(ablate_run::run(plan, store, &found, &options, &|_| {})?.0)
}

/// Computes the node `name` again: what is equal, and what differs.
fn rerun(root: &Path, text: &str, name: &str) -> Result<Vec<Recomputed>, StageError> {
    let (plan, places, stop) = (planned(text), Places::default(), AtomicBool::new(false));
    let store = Store::open(root).unwrap();
    let found = lookup(&plan, &store, &places, &|_| None).unwrap();
    let node = plan
        .order
        .iter()
        .copied()
        .find(|index| plan.node(*index).name == name);
    let options = options(root, &places, 1, FlushPolicy::default(), &stop);
    ablate_run::rerun(&plan, &store, &found, &options, node.unwrap(), &|_| {})
}

fn run(root: &Path, text: &str, jobs: usize) -> (Plan, Vec<NodeRecord>) {
    run_with(root, text, jobs, FlushPolicy::default())
}

fn statuses(nodes: &[NodeRecord]) -> BTreeMap<String, Status> {
    nodes
        .iter()
        .map(|node| (node.name.clone(), node.status))
        .collect()
}

/// A graph of additions: stage `i` adds `k` to what two earlier stages hold, modulo 3, so that changes often vanish.
#[derive(Clone)]
struct Sums(Vec<Sum>);

/// The two stages it adds, and what it adds itself.
type Sum = (Option<(usize, usize)>, u32);

impl Sums {
    fn random(stream: &mut Stream) -> Self {
        let count = 2 + stream.below(7);
        let inputs = |at: usize, stream: &mut Stream| (at > 0).then(|| (stream.below(at), stream.below(at)));
        Self(
            (0..count)
                .map(|at| (inputs(at, stream), stream.below(3) as u32))
                .collect(),
        )
    }

    fn edit(&mut self, stream: &mut Stream) {
        let at = stream.below(self.0.len());
        match stream.below(3) {
            0 if at > 0 => self.0[at].0 = Some((stream.below(at), at - 1)),
            _ => self.0[at].1 = stream.below(3) as u32,
        }
    }

    fn yaml(&self) -> String {
        let stage = |(at, (inputs, k)): (usize, &Sum)| match inputs {
            Some((a, b)) => format!("  s{at}: {{use: add, a: s{a}, b: s{b}, k: {k}}}\n"),
            None => format!("  s{at}: {{use: make, k: {k}}}\n"),
        };
        let stages: String = self.0.iter().enumerate().map(stage).collect();
        format!("experiment: sums\nstages:\n{stages}")
    }

    fn values(&self) -> Vec<u32> {
        let mut values: Vec<u32> = Vec::new();
        for (inputs, k) in &self.0 {
            values.push(inputs.map_or(*k, |(a, b)| (values[a] + values[b] + k) % 3));
        }
        values
    }
}

/// What is known: actions by what they read, and which recipe led to which action.
#[derive(Default)]
struct Naive {
    actions: BTreeSet<String>,
    recipes: BTreeSet<(String, String)>,
}

impl Naive {
    /// The status of every distinct node, by the name of its first stage.
    fn run(&mut self, sums: &Sums) -> BTreeMap<String, Status> {
        let values = sums.values();
        let (mut recipes, mut expected): (Vec<String>, BTreeMap<String, Status>) = (vec![], BTreeMap::new());
        let mut folded = BTreeSet::new();
        for (at, (inputs, k)) in sums.0.iter().enumerate() {
            let (recipe, action) = match inputs {
                Some((a, b)) => (
                    format!("add({},{},{k})", recipes[*a], recipes[*b]),
                    format!("add({},{},{k})", values[*a], values[*b]),
                ),
                None => (format!("make({k})"), format!("make({k})")),
            };
            recipes.push(recipe.clone());
            if !folded.insert(recipe.clone()) {
                continue;
            }
            let pair = (recipe, action.clone());
            let status = match (self.actions.contains(&action), self.recipes.contains(&pair)) {
                (false, _) => Status::Ran,
                (true, true) => Status::Reused,
                (true, false) => Status::Cutoff,
            };
            self.actions.insert(action);
            self.recipes.insert(pair);
            expected.insert(format!("s{at}"), status);
        }
        expected
    }
}

/// Random graphs, edited again and again on one store, one node at a time.
#[test]
fn what_runs_is_what_the_naive_evaluator_says() {
    let mut stream = Seed::root(3).child("differential").stream();
    for _ in 0..25 {
        let folder = tempfile::tempdir().unwrap();
        let (mut sums, mut naive) = (Sums::random(&mut stream), Naive::default());
        for edit in 0..8 {
            let expected = naive.run(&sums);
            let (plan, nodes) = run(folder.path(), &sums.yaml(), 1);
            assert_eq!(statuses(&nodes), expected, "edit {edit} of\n{}", sums.yaml());
            check_values(folder.path(), &plan, &nodes, &sums);
            sums.edit(&mut stream);
        }
        assert!(
            Store::open(folder.path())
                .unwrap()
                .verify()
                .unwrap()
                .findings
                .is_empty()
        );
    }
}

fn check_values(root: &Path, plan: &Plan, nodes: &[NodeRecord], sums: &Sums) {
    let (store, values) = (Store::open(root).unwrap(), sums.values());
    for (index, node) in plan.order.iter().zip(nodes) {
        let at: usize = plan.node(*index).stage[1..].parse().unwrap();
        let trace = store.trace(node.key.unwrap()).unwrap().unwrap();
        assert_eq!(stages::value(&store, &trace), values[at], "{}", node.name);
    }
}

/// However many nodes run at once, the same actions run, once each, and hold the same rows.
#[test]
fn jobs_do_not_change_what_runs_or_what_comes_out() {
    let mut stream = Seed::root(4).child("jobs").stream();
    for _ in 0..12 {
        let sums = Sums::random(&mut stream);
        let outcome = |jobs| {
            let folder = tempfile::tempdir().unwrap();
            let (plan, nodes) = run(folder.path(), &sums.yaml(), jobs);
            check_values(folder.path(), &plan, &nodes, &sums);
            let keys: BTreeMap<_, _> = nodes.iter().map(|node| (node.name.clone(), node.key)).collect();
            let ran = nodes.iter().filter(|node| node.status == Status::Ran);
            (keys, ran.map(|node| node.key).collect::<BTreeSet<_>>().len())
        };
        assert_eq!(outcome(1), outcome(8), "{}", sums.yaml());
    }
}

fn rows(count: u32, text: &str) -> String {
    format!(
        "experiment: rows\nstages:\n  docs: {{use: documents, count: {count}}}\n  rows: {{use: shout, documents: docs, text: {text}}}\n"
    )
}

/// A larger count computes the new rows only, in this experiment and in others that read the same rows.
#[test]
fn rows_that_were_computed_are_not_computed_again() {
    let folder = tempfile::tempdir().unwrap();
    let counts = |nodes: &[NodeRecord]| {
        let node = nodes.iter().find(|node| node.name == "rows").unwrap();
        (node.rows_computed, node.rows_reused)
    };
    assert_eq!(counts(&run(folder.path(), &rows(100, "a"), 2).1), (100, 0));
    assert_eq!(counts(&run(folder.path(), &rows(120, "a"), 2).1), (20, 100));
    assert_eq!(counts(&run(folder.path(), &rows(120, "b"), 2).1), (120, 0));
    assert_eq!(counts(&run(folder.path(), &rows(50, "a"), 2).1), (0, 50));
    assert_eq!(
        counts(&run(folder.path(), &rows(50, "a"), 2).1),
        (0, 50),
        "reused whole"
    );
}

/// A stage that breaks off at any row loses what was not written yet, and nothing else; the next run ends with the rows
/// of one that was never broken off.
#[test]
fn a_run_that_broke_off_goes_on_where_it_was() {
    let whole = tempfile::tempdir().unwrap();
    let (_, undisturbed) = run(whole.path(), &rows(60, "a"), 1);
    for fatal in [0, 1, 30, 59] {
        let folder = tempfile::tempdir().unwrap();
        let flush = FlushPolicy {
            rows: 10,
            longest: Duration::ZERO,
        };
        let failing = rows(60, "a").replace("text: a", &format!("text: a, fatal: {fatal}"));
        let (_, nodes) = run_with(folder.path(), &failing, 1, flush);
        let failed = &nodes[1];
        assert_eq!(failed.status, Status::Failed);
        assert!(
            failed.reason.contains("panicked: no paper left"),
            "{}",
            failed.reason
        );
        let (_, nodes) = run(folder.path(), &rows(60, "a"), 1);
        assert_eq!((nodes[1].status, nodes[1].rows_reused), (Status::Ran, fatal));
        assert_eq!(nodes[1].key, undisturbed[1].key);
        let outputs = |root: &Path| {
            let store = Store::open(root).unwrap();
            store.trace(nodes[1].key.unwrap()).unwrap().unwrap().outputs
        };
        assert_eq!(outputs(folder.path()), outputs(whole.path()));
    }
}

/// What each node came to, by name.
fn outputs(root: &Path, nodes: &[NodeRecord]) -> BTreeMap<String, Vec<OutputRecord>> {
    let store = Store::open(root).unwrap();
    let output = |node: &NodeRecord| {
        let trace = store.trace(node.key.unwrap()).unwrap().unwrap();
        (node.name.clone(), trace.outputs)
    };
    nodes.iter().map(output).collect()
}

/// A failed node fails what needs it; everything else is kept and not computed again.
#[test]
fn a_failure_costs_its_descendants_only() {
    let text = "\
experiment: failing
stages:
  docs: {use: documents, count: 3}
  bad: {use: shout, documents: docs, text: a, fatal: 1}
  below: {use: shout, documents: bad, text: b}
  other: {use: shout, documents: docs, text: c}
";
    let folder = tempfile::tempdir().unwrap();
    let (_, nodes) = run(folder.path(), text, 4);
    let expected = [
        ("bad", Status::Failed),
        ("below", Status::Skipped),
        ("docs", Status::Ran),
        ("other", Status::Ran),
    ];
    assert_eq!(
        statuses(&nodes),
        expected.map(|(name, status)| (name.to_owned(), status)).into()
    );
    let (_, nodes) = run(folder.path(), &text.replace(", fatal: 1", ""), 4);
    assert_eq!(statuses(&nodes)["other"], Status::Reused);
    assert_eq!(statuses(&nodes)["below"], Status::Ran);
}

/// Several runs on one store at once: each node is computed by one of them, and all end well.
#[test]
fn processes_on_one_store_share_the_work() {
    let text = "\
experiment: shared
stages:
  docs: {use: documents, count: 40}
  slow: {use: shout, documents: docs, text: shared, count: true}
  more: {use: shout, documents: slow, text: shared too, count: true}
";
    let folder = tempfile::tempdir().unwrap();
    let before = COMPUTED.load(Ordering::SeqCst);
    let all: Vec<Vec<NodeRecord>> = std::thread::scope(|scope| {
        let one = |_| scope.spawn(|| run(folder.path(), text, 2).1);
        let runs: Vec<_> = (0..8).map(one).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert_eq!(COMPUTED.load(Ordering::SeqCst) - before, 80);
    let ran = |name: &str| {
        all.iter()
            .flatten()
            .filter(|n| n.name == name && n.status == Status::Ran)
            .count()
    };
    assert_eq!(["docs", "slow", "more"].map(ran), [1, 1, 1]);
    assert!(
        all.iter()
            .flatten()
            .all(|node| matches!(node.status, Status::Ran | Status::Reused | Status::Cutoff))
    );
}

/// Nodes of two models in turn: each model is loaded once for all of them, and dropped when its nodes are done.
#[test]
fn a_model_is_loaded_once_for_all_nodes_that_are_ready() {
    let says = |at: u32, model: &str| format!("  s{at}: {{use: say, model: {model}, count: {at}}}\n");
    let turns: String = (1..=6)
        .map(|at| says(at, if at % 2 == 0 { "large" } else { "small" }))
        .collect();
    let text = format!(
        "experiment: models\nstages:\n  large: {{use: weights, text: large}}\n  small: {{use: weights, text: small}}\n{turns}"
    );
    let folder = tempfile::tempdir().unwrap();
    let (_, nodes) = run(folder.path(), &text, 2);
    assert!(nodes.iter().all(|node| node.status == Status::Ran));
    let mut loaded = LOADED.lock().unwrap().clone();
    loaded.sort();
    assert_eq!(loaded, ["large", "small"]);
}

#[test]
fn a_node_computed_again_is_compared_row_by_row() {
    let text = "experiment: again\nstages:\n  docs: {use: documents, count: 3}\n  toss: {use: toss}\n  rows: {use: shout, documents: docs, text: again, count: true}\n";
    let folder = tempfile::tempdir().unwrap();
    assert!(
        rerun(folder.path(), text, "docs")
            .unwrap_err()
            .to_string()
            .contains("no result")
    );
    run(folder.path(), text, 1);
    let before = COMPUTED.load(Ordering::SeqCst);
    assert!(rerun(folder.path(), text, "rows").unwrap()[0].equal);
    assert!(
        COMPUTED.load(Ordering::SeqCst) >= before + 3,
        "memoised rows are computed again"
    );
    let tossed = rerun(folder.path(), text, "toss").unwrap();
    let difference = tossed[0].difference.clone().unwrap();
    assert_eq!(
        (tossed[0].equal, difference.rows, difference.different),
        (false, 2, 1)
    );
    let (_, nodes) = run(folder.path(), text, 1);
    assert!(
        nodes.iter().all(|node| node.status == Status::Reused),
        "what was kept stays"
    );
}
