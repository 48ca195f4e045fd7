//! `why`, `plan`'s forecast, `gc`, pins and Ctrl-C, through the command line.
#![allow(clippy::unwrap_used)]

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use ablate_e2e::program::{ablate, answer, begun, command, run, write};
use serde_json::Value;

const EXPERIMENT: &str = "\
experiment: lexical
stages:
  data:   {use: collection, source: demo}
  docs:   {use: sample, documents: data.corpus, count: 100, seed: 1}
  run:    {use: retrieve/bm25, corpus: docs, queries: data.queries.test, depth: 100}
  scores: {use: evaluate, run: run, qrels: data.qrels.test, measures: [nDCG@10]}
";

fn texts(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap())
        .collect()
}

#[test]
fn why_names_the_field_that_changed() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), EXPERIMENT);
    run(
        folder.path(),
        &EXPERIMENT.replace("depth: 100", "depth: 7, k1: 1.2"),
    );
    write(folder.path(), &EXPERIMENT.replace("depth: 100", "depth: 50"));
    let told = answer(folder.path(), &["why", "e.yaml", "run"]);
    assert_eq!(
        texts(&told["changes"]),
        ["depth: 100 → 50"],
        "the nearest key is that of depth 100: {told}"
    );
    let told = answer(folder.path(), &["why", "e.yaml", "docs"]);
    assert!(
        told["decision"].as_str().unwrap().starts_with("reuse, computed "),
        "{told}"
    );
    let unknown = ablate(folder.path(), &["why", "e.yaml", "scroes"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("did you mean `scores`?"));
}

#[test]
fn a_change_is_tried_without_running_it() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), EXPERIMENT);
    let names = |change: &str| {
        let told = answer(folder.path(), &["why", "e.yaml", "--if", change]);
        let nodes = told["nodes"].as_array().unwrap().iter();
        nodes
            .map(|node| node["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("run.depth=9"), ["run", "scores"]);
    assert_eq!(names("docs.count=90"), ["docs", "run", "scores"]);
    assert_eq!(names("scores.measures=[AP]"), ["scores"]);
    assert_eq!(names("docs.seed=1"), [""; 0]);
}

#[test]
fn the_forecast_comes_from_past_traces() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), EXPERIMENT);
    let before = answer(folder.path(), &["plan", "e.yaml"]);
    assert!(
        before["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .all(|node| node["seconds"].is_null())
    );
    run(folder.path(), EXPERIMENT);
    write(folder.path(), &EXPERIMENT.replace("depth: 100", "depth: 50"));
    let plan = answer(folder.path(), &["plan", "e.yaml"]);
    let open: Vec<_> = plan["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|node| node["decision"] != "reuse")
        .collect();
    assert_eq!(open.len(), 2);
    assert!(
        open.iter()
            .all(|node| node["seconds"].as_f64().is_some() && node["bytes"].as_u64() > Some(0))
    );
}

/// The forecast of a node of `plan`.
fn planned(folder: &Path, node: &str) -> Value {
    let plan = answer(folder, &["plan", "e.yaml"]);
    let mut nodes = plan["nodes"].as_array().unwrap().iter();
    nodes.find(|row| row["name"] == node).unwrap().clone()
}

#[test]
fn what_reads_twice_the_rows_is_likely_to_take_twice_as_much() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    run(folder, &EXPERIMENT.replace("count: 100", "count: 50"));
    let deeper = |count: &str| {
        EXPERIMENT
            .replace("count: 100", count)
            .replace("depth: 100", "depth: 99")
    };
    write(folder, &deeper("count: 50"));
    let before = planned(folder, "run");
    let larger = deeper("count: 100");
    let (docs, _) = larger.split_once("  run: ").unwrap();
    run(folder, docs);
    write(folder, &larger);
    let after = planned(folder, "run");
    assert_eq!(after["decision"], "run");
    assert_eq!(
        after["bytes"].as_u64(),
        before["bytes"].as_u64().map(|bytes| 2 * bytes)
    );
    assert_eq!(
        after["seconds"].as_f64(),
        before["seconds"].as_f64().map(|seconds| 2.0 * seconds)
    );
}

#[test]
fn what_servers_will_be_asked_is_told_before() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (docs, _) = EXPERIMENT.split_once("  run: ").unwrap();
    let docs = docs.replace("count: 100", "count: 20");
    let asking = |price: &str| {
        format!(
            "{docs}  queries: {{use: generate, documents: docs, prompt: ablate/vanilla, per_document: 3, decoding: {{temperature: 1, \
             max_new_tokens: 10}}, model: {{endpoint: \"http://127.0.0.1:9/v1\", name: big{price}}}}}\n"
        )
    };
    write(folder, &asking(""));
    assert!(
        planned(folder, "queries")["expense"].is_null(),
        "no document is known"
    );
    run(folder, &docs);
    write(folder, &asking(""));
    let expense = planned(folder, "queries")["expense"].take();
    assert_eq!(
        (&expense["written"], &expense["cost"]),
        (&600.into(), &Value::Null)
    );
    // The examples alone have more than 100 tokens, and no document of the demo has 300.
    let read = expense["read"].as_u64().unwrap();
    assert!((60 * 100..60 * 600).contains(&read), "{read}");
    write(folder, &asking(", price: {prompt: 1000, completion: 10000}"));
    let cost = planned(folder, "queries")["expense"]["cost"].as_f64().unwrap();
    assert!(
        (cost - (read as f64 * 1e-3 + 600.0 * 1e-2)).abs() < 1e-9,
        "{cost}"
    );
    let output = ablate(folder, &["plan", "e.yaml"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = format!("; servers read about {read} tokens and write at most 600, for at most {cost:.2}");
    assert!(text.contains(&told), "{text}");
}

#[test]
fn gc_takes_rows_nobody_asked_for_lately() {
    let folder = tempfile::tempdir().unwrap();
    let namespace = folder.path().join("store/memo/0000");
    run(folder.path(), EXPERIMENT);
    fs_err::create_dir_all(&namespace).unwrap();
    fs_err::write(namespace.join("a.parquet"), [0; 1000]).unwrap();
    let note = fs_err::File::create(namespace.join("namespace.json")).unwrap();
    let long_ago = std::time::SystemTime::now() - Duration::from_hours(48);
    note.file().set_modified(long_ago).unwrap();
    answer(folder.path(), &["gc", "--memo-older-than", "3", "--delete"]);
    assert!(namespace.exists(), "two days are not three");
    answer(folder.path(), &["gc", "--memo-older-than", "1"]);
    assert!(namespace.exists(), "dry by default");
    let gone = answer(folder.path(), &["gc", "--memo-older-than", "1", "--delete"]);
    assert_eq!(gone["bytes"], 1000, "{gone}");
    assert!(!namespace.exists());
}

#[test]
fn gc_is_dry_by_default_and_never_takes_what_a_kept_run_leads_to() {
    let folder = tempfile::tempdir().unwrap();
    let (first, _) = run(folder.path(), EXPERIMENT);
    let changed = EXPERIMENT.replace("depth: 100", "depth: 50");
    run(folder.path(), &changed);
    let nothing = answer(folder.path(), &["gc", "--delete"]);
    assert_eq!(nothing["bytes"], 0, "all runs are kept");
    let dry = answer(folder.path(), &["gc", "--keep-last", "1"]);
    assert!(dry["bytes"].as_u64() > Some(0) && dry["deleted"] == false);
    let id = first["run"].as_str().unwrap();
    assert!(ablate(folder.path(), &["pin", id]).status.success());
    assert_eq!(
        answer(folder.path(), &["gc", "--keep-last", "1"])["bytes"],
        0,
        "the first is pinned"
    );
    assert!(ablate(folder.path(), &["unpin", id]).status.success());
    assert!(answer(folder.path(), &["gc", "--keep-last", "1", "--delete"])["bytes"].as_u64() > Some(0));
    let (again, _) = run(folder.path(), &changed);
    assert!(
        again["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .all(|node| node["status"] == "reused")
    );
    assert!(ablate(folder.path(), &["verify"]).status.success());
    // What went is computed again, and comes to the same.
    let (redone, _) = run(folder.path(), EXPERIMENT);
    assert_eq!(redone["table"], first["table"]);
}

#[test]
fn ctrl_c_keeps_what_is_finished_and_the_next_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let slow = format!(
        "{EXPERIMENT}  slow: {{use: command, ranking: run, run: [sh, -c, 'sleep $SECONDS_TO_SLEEP; cp $ABLATE_IN_RANKING $ABLATE_OUT_RUN'], outputs: [run], version: 1}}\n"
    );
    write(folder.path(), &slow);
    let started = |seconds: &str| {
        let mut command = command(folder.path(), &["run", "e.yaml", "--json"]);
        command
            .env("SECONDS_TO_SLEEP", seconds)
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command
    };
    let child = begun(folder.path(), &mut started("100"));
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap()
            .success()
    );
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let again: Value = serde_json::from_slice(&started("0").output().unwrap().stdout).unwrap();
    let status = |name: &str| {
        let nodes = again["nodes"].as_array().unwrap();
        nodes.iter().find(|node| node["name"] == name).unwrap()["status"].clone()
    };
    assert_eq!(["run", "slow"].map(status), ["reused", "ran"]);
}
