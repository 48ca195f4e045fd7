//! The program as its users run it: in a folder that holds `e.yaml`, on the store `store` beside it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Child, Command, Output},
    time::{Duration, Instant},
};

use serde_json::Value;

/// An experiment on the embedded collection that needs no model.
pub const LEXICAL: &str = "\
experiment: lexical
stages:
  data:   {use: collection, source: demo}
  docs:   {use: sample, documents: data.corpus, count: 1000, seed: 1}
  run:    {use: retrieve/bm25, corpus: docs, queries: data.queries.test, depth: 100}
  scores: {use: evaluate, run: run, qrels: data.qrels.test, measures: [nDCG@10]}
sweep: {axes: {k1: {run.k1: [0.9, 1.2]}}}
report: {measure: nDCG@10, baseline: {k1: 0.9}}
";

/// Node name → status.
pub type Statuses = BTreeMap<String, String>;

/// The program: it lies two folders above the tests of the workspace.
pub fn binary() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.parent().unwrap().parent().unwrap().join("ablate")
}

/// The program with `arguments`, in `folder`.
pub fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command
        .args(arguments)
        .args(["--store", "store"])
        .current_dir(folder);
    command
}

/// What it prints and ends with.
pub fn ablate(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

/// Everything it says to standard error.
pub fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Its answer as JSON, whatever it ends with.
pub fn answer(folder: &Path, arguments: &[&str]) -> Value {
    let output = ablate(folder, &[arguments, &["--json"]].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", told(&output)))
}

/// Writes the experiment.
pub fn write(folder: &Path, text: &str) {
    fs_err::write(folder.join("e.yaml"), text).unwrap();
}

/// A new folder with an experiment.
pub fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), text);
    folder
}

/// Runs an experiment that ends well.
pub fn run(folder: &Path, text: &str) -> (Value, Statuses) {
    write(folder, text);
    let output = ablate(folder, &["run", "e.yaml", "--json"]);
    assert!(output.status.success(), "{}", told(&output));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let statuses = statuses(&answer);
    (answer, statuses)
}

/// The statuses of `run --json`.
pub fn statuses(answer: &Value) -> Statuses {
    let text = |node: &Value, field: &str| node[field].as_str().unwrap().to_owned();
    let nodes = answer["nodes"].as_array().unwrap().iter();
    nodes
        .map(|node| (text(node, "name"), text(node, "status")))
        .collect()
}

/// The names of the nodes with this status.
pub fn having<'a>(statuses: &'a Statuses, status: &str) -> Vec<&'a str> {
    let with = statuses.iter().filter(|(_, own)| *own == status);
    with.map(|(name, _)| name.as_str()).collect()
}

/// Starts `command`, a run with a `command` stage, and waits until that stage has begun.
pub fn begun(folder: &Path, command: &mut Command) -> Child {
    let child = command.spawn().unwrap();
    let (partial, started) = (folder.join("store/partial"), Instant::now());
    let folders = |path: &Path| {
        let entries = fs_err::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    // Its manifest is the last thing written before the child starts.
    let begun = || {
        let mut works = folders(&partial).into_iter().flat_map(|path| folders(&path));
        works.any(|work| work.join("manifest.json").exists())
    };
    while !begun() {
        let waited = started.elapsed();
        assert!(waited < Duration::from_mins(1), "the command never began");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}
