//! Runs that are disturbed: writes refused, bits flipped, several runs at once. What comes out is what an undisturbed run gives.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use ablate_cache::{FlushPolicy, OutputRecord, Store, Trace};
use ablate_core::{Places, Seed, Stream};
use ablate_plan::Plan;
use ablate_run::{NodeRecord, Status, lookup};

use crate::{Sums, options, outputs, planned, rows, run, stages, try_run};

/// Refuses the write of this number, or it and all after it.
struct Refusal {
    at: usize,
    and_after: bool,
    error: i32,
    writes: AtomicUsize,
}

impl Refusal {
    fn pass(&self) -> std::io::Result<()> {
        let write = self.writes.fetch_add(1, Ordering::SeqCst);
        match write == self.at || (self.and_after && write > self.at) {
            true => Err(std::io::Error::from_raw_os_error(self.error)),
            false => Ok(()),
        }
    }
}

/// Whichever write of a store is refused, once or from then on: it is told in the system's words, the store stays sound,
/// and the plain run afterwards ends with the rows of an undisturbed one.
#[test]
fn any_write_may_be_refused() {
    const ERRORS: [(i32, &str); 3] = [
        (28, "No space left"),
        (13, "Permission denied"),
        (5, "Input/output error"),
    ];
    let text = format!(
        "{}  model: {{use: weights, text: a}}\n  said: {{use: say, model: model, count: 2}}\n",
        rows(9, "a")
    );
    let (whole, plan) = (tempfile::tempdir().unwrap(), planned(&text));
    let undisturbed = outputs(whole.path(), &run(whole.path(), &text, 1).1);
    let flush = FlushPolicy {
        rows: 3,
        longest: Duration::ZERO,
    };
    for and_after in [false, true] {
        for at in 0.. {
            let (folder, (error, words)) = (tempfile::tempdir().unwrap(), ERRORS[at % 3]);
            let writes = AtomicUsize::new(0);
            let refusal = Arc::new(Refusal {
                at,
                and_after,
                error,
                writes,
            });
            let refuse = refusal.clone();
            let store = Store::open(folder.path())
                .unwrap()
                .guarded(Arc::new(move |_| refuse.pass()));
            let told = match try_run(&store, &plan, 1, flush) {
                Err(error) => error.to_string(),
                Ok(nodes) => nodes.into_iter().map(|node| node.reason).collect(),
            };
            drop(store);
            if refusal.writes.load(Ordering::SeqCst) <= at {
                assert!(at > 15, "the run writes more often than {at} times");
                break;
            }
            assert!(told.contains(words), "write {at}: {told}");
            assert_eq!(
                Store::open(folder.path()).unwrap().verify().unwrap().findings,
                [],
                "write {at}"
            );
            assert_eq!(
                outputs(folder.path(), &run(folder.path(), &text, 1).1),
                undisturbed,
                "write {at}"
            );
        }
    }
}

/// Cold or warm, one node at a time or many, broken off anywhere and gone on with, two runs at once: the same rows.
#[test]
fn however_it_came_about_the_outcome_is_the_same() {
    let mut stream = Seed::root(6).child("variants").stream();
    for _ in 0..8 {
        let (sums, folders) = (
            Sums::random(&mut stream),
            [(); 4].map(|()| tempfile::tempdir().unwrap()),
        );
        let [cold, warm, broken, shared] = folders.each_ref().map(tempfile::TempDir::path);
        let expected = outputs(cold, &run(cold, &sums.yaml(), 1).1);
        run(warm, &sums.yaml(), 8);
        assert_eq!(outputs(warm, &run(warm, &sums.yaml(), 1).1), expected);
        let refusal = Refusal {
            at: stream.below(20),
            and_after: true,
            error: 28,
            writes: AtomicUsize::new(0),
        };
        let store = Store::open(broken)
            .unwrap()
            .guarded(Arc::new(move |_| refusal.pass()));
        try_run(&store, &planned(&sums.yaml()), 2, FlushPolicy::default()).ok();
        drop(store);
        assert_eq!(outputs(broken, &run(broken, &sums.yaml(), 2).1), expected);
        let both = std::thread::scope(|scope| {
            let one = || scope.spawn(|| run(shared, &sums.yaml(), 2).1);
            [one(), one()].map(|run| run.join().unwrap())
        });
        both.iter()
            .for_each(|nodes| assert_eq!(outputs(shared, nodes), expected));
    }
}

/// Any bit of any object, trace, memo segment or log may flip: `verify` names it, every value that comes out is right, and
/// the next run computes anew what was damaged.
#[test]
fn flipped_bits_never_reach_a_result() {
    let mut stream = Seed::root(5).child("flips").stream();
    let folder = tempfile::tempdir().unwrap();
    let sums = Sums(vec![
        (None, 1),
        (None, 2),
        (Some((0, 1)), 1),
        (Some((2, 0)), 0),
        (Some((3, 1)), 2),
    ]);
    let text = |sums: &Sums, documents: u32| {
        let rows = rows(documents, "a");
        format!("{}{}", sums.yaml(), rows.split_once("stages:\n").unwrap().1)
    };
    let shouted: Vec<_> = (12..15).map(shouted).collect();
    run(folder.path(), &text(&sums, 12), 1);
    // More of them on request: `ABLATE_FLIPS=10000`.
    let flips = std::env::var("ABLATE_FLIPS").map_or(300, |count| count.parse().unwrap());
    for _ in 0..flips {
        flip(folder.path(), &mut stream);
        // A new leaf and new rows read what may be damaged: they fail or are right, and the next run mends what it named.
        let (mut more, documents) = (sums.clone(), stream.below(3));
        more.0.push((Some((4, 3)), stream.below(3) as u32));
        for _ in 0..3 {
            let (plan, nodes) = run(folder.path(), &text(&more, 12 + documents as u32), 1);
            if nodes
                .iter()
                .all(|node| !matches!(node.status, Status::Failed | Status::Skipped))
            {
                check_whole(folder.path(), &plan, &nodes, &more);
                let rows = nodes.iter().find(|node| node.name == "rows").unwrap();
                let trace = Store::open(folder.path())
                    .unwrap()
                    .trace(rows.key.unwrap())
                    .ok()
                    .flatten();
                assert!(trace.is_none_or(|trace| trace.outputs == shouted[documents]));
            }
        }
        mend(folder.path());
        run(folder.path(), &text(&sums, 12), 1);
    }
}

/// What `rows` comes to with so many documents.
fn shouted(count: u32) -> Vec<OutputRecord> {
    let folder = tempfile::tempdir().unwrap();
    let (_, nodes) = run(folder.path(), &rows(count, "a"), 1);
    outputs(folder.path(), &nodes).remove("rows").unwrap()
}

/// Flips one bit; `verify` names the file, and nothing else.
fn flip(root: &Path, stream: &mut Stream) {
    let files = stored(root);
    let path = &files[stream.below(files.len())];
    let mut bytes = fs_err::read(path).unwrap();
    let bit = stream.below(8 * bytes.len());
    // The break at the end of a log tells a whole line from one that a kill cut: without it the line is passed over.
    let log = path.extension().is_some_and(|extension| extension == "jsonl");
    if log && bit / 8 + 1 == bytes.len() {
        return;
    }
    bytes[bit / 8] ^= 1 << (bit % 8);
    fs_err::write(path, bytes).unwrap();
    let findings = Store::open(root).unwrap().verify().unwrap().findings;
    let named: Vec<_> = findings.iter().map(|finding| &finding.path).collect();
    assert_eq!(named, [path]);
}

/// Values of the nodes whose objects can be read.
fn check_whole(root: &Path, plan: &Plan, nodes: &[NodeRecord], sums: &Sums) {
    let (store, values) = (Store::open(root).unwrap(), sums.values());
    for (index, node) in plan.order.iter().zip(nodes) {
        let Ok(at) = plan.node(*index).stage[1..].parse::<usize>() else {
            continue;
        };
        let trace: Option<Trace> = store.trace(node.key.unwrap()).ok().flatten();
        if let Some(value) = trace.and_then(|trace| stages::try_value(&store, &trace)) {
            assert_eq!(value, values[at], "{}", node.name);
        }
    }
}

/// Objects, traces, segments of the memo and event logs.
fn stored(root: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for folder in ["objects", "traces", "memo", "runs"] {
        for shard in fs_err::read_dir(root.join(folder)).unwrap() {
            let entries = fs_err::read_dir(shard.unwrap().path()).unwrap();
            files.extend(entries.map(|entry| entry.unwrap().path()));
        }
    }
    // Written for people: the meaning of a memo's folder, and its lock.
    files.retain(|path| !path.ends_with("namespace.json") && !path.ends_with("lock"));
    files.sort();
    files
}

/// Takes out what `verify` names.
fn mend(root: &Path) {
    for finding in Store::open(root).unwrap().verify().unwrap().findings {
        fs_err::remove_file(finding.path).ok();
    }
}

#[test]
fn what_another_process_computed_meanwhile_is_reused() {
    let root = tempfile::tempdir().unwrap();
    let plan = planned(&Sums(vec![(None, 1), (Some((0, 0)), 2)]).yaml());
    let (store, places, stop) = (
        Store::open(root.path()).unwrap(),
        Places::default(),
        AtomicBool::new(false),
    );
    let before = lookup(&plan, &store, &places, &|_| None).unwrap();
    try_run(&store, &plan, 1, FlushPolicy::default()).unwrap();
    let options = options(root.path(), &places, 1, FlushPolicy::default(), &stop);
    let (nodes, _) = ablate_run::run(&plan, &store, &before, &options, &|_| {}).unwrap();
    assert!(
        nodes.iter().all(|node| node.status == Status::Reused),
        "{nodes:?}"
    );
}
