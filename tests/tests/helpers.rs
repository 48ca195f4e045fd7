//! Rows of a node over several processes: what comes out, what a dead helper costs, and that none outlives its run.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

#[path = "../../stages/models/tests/common/generator.rs"]
mod generator;

use std::{
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use ablate_e2e::program::{answer, command, folder, statuses, told};
use generator::tiny_generator;

/// Texts of `new` tokens for the documents of the demo collection, by the generator in `model`.
fn experiment(model: &Path, new: usize) -> String {
    format!(
        "\
experiment: shared
stages:
  data:    {{use: collection, source: demo}}
  docs:    {{use: sample, documents: data.corpus, count: 60, seed: 1}}
  asking:  {{use: prompt, template: \"{{document}}\\nA question it answers:\"}}
  queries:
    use: generate
    documents: docs
    prompt: asking
    model: {}
    max_document_tokens: 64
    decoding: {{temperature: 1.0, max_new_tokens: {new}}}
    seed: 1
",
        model.display()
    )
}

/// A run on `devices`, with slots of its own: tests beside it take none of its CPU's.
fn on(devices: &str, folder: &Path) -> Command {
    let mut run = command(folder, &["run", "e.yaml", "--device", devices]);
    run.env("TMPDIR", folder);
    run
}

/// A search for a prompt: map after map, each over what the one before gave.
fn search(model: &Path) -> String {
    let begun = experiment(model, 8);
    let stages = begun.split("  asking:").next().unwrap();
    format!(
        "\
{stages}  asking:
    use: prompt
    template: \"Summarise.\\n{{examples}}D: {{document}}\\nQ:\"
    layout: \"D: {{document}}\\nQ: {{query}}\\n\"
  queries:
    use: prompt/optimise
    documents: docs
    corpus: data.corpus
    prompt: asking
    threshold: 0.0
    model: {}
    instructions: [Write a question., Ask for what the document says.]
    train: 12
    dev: 12
    minibatch: 6
    trials: 6
    max_document_tokens: 32
    max_prompt_tokens: 400
    decoding: {{temperature: 1.0, max_new_tokens: 8}}
    seed: 1
",
        model.display()
    )
}

fn ended(output: Output) -> Output {
    assert!(output.status.success(), "{}", told(&output));
    output
}

/// The queries of the last run.
fn queries(folder: &Path) -> serde_json::Value {
    answer(folder, &["show", "latest", "queries", "--rows", "1000"])["rows"].take()
}

/// Files that hold rows: a process writes one of its own.
fn segments(folder: &Path) -> usize {
    let below = |path: &Path| fs_err::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let files = below(&folder.join("store/memo")).flat_map(|namespace| below(&namespace).collect::<Vec<_>>());
    files
        .filter(|file| file.extension().is_some_and(|end| end == "parquet"))
        .count()
}

/// A run on three processes, with the first of its helpers once there is one.
fn with_helper(folder: &Path) -> (Child, u32) {
    let mut run = on("cpu,cpu,cpu", folder).stderr(Stdio::piped()).spawn().unwrap();
    let started = Instant::now();
    loop {
        if let Some(helper) = children(run.id()).first() {
            return (run, *helper);
        }
        assert!(run.try_wait().unwrap().is_none(), "it ended alone");
        assert!(started.elapsed() < Duration::from_mins(1), "nobody helps");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The processes that any thread of a process started.
fn children(parent: u32) -> Vec<u32> {
    let threads = fs_err::read_dir(format!("/proc/{parent}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let listed =
        threads.map(|thread| fs_err::read_to_string(thread.path().join("children")).unwrap_or_default());
    let listed: Vec<String> = listed.collect();
    listed
        .join(" ")
        .split_whitespace()
        .map(|id| id.parse().unwrap())
        .collect()
}

fn kill(process: u32) {
    let killed = Command::new("kill")
        .args(["-9", &process.to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
}

#[test]
fn rows_do_not_depend_on_how_many_processes_compute_them() {
    let model = tiny_generator();
    let text = experiment(model.path(), 24);
    let (alone, shared) = (folder(&text), folder(&text));
    ended(on("cpu", alone.path()).output().unwrap());
    ended(on("cpu,cpu,cpu", shared.path()).output().unwrap());
    assert_eq!(queries(alone.path()), queries(shared.path()));
    assert_eq!([segments(alone.path()), segments(shared.path())], [1, 3]);
    let again = answer(shared.path(), &["run", "e.yaml", "--device", "cpu,cpu,cpu"]);
    let statuses = statuses(&again);
    assert_eq!(statuses.len(), 4, "{statuses:?}");
    assert!(statuses.values().all(|status| status == "reused"), "{statuses:?}");
}

#[test]
fn a_search_of_many_maps_is_the_same_on_several_processes() {
    let model = tiny_generator();
    let text = search(model.path());
    let (alone, shared) = (folder(&text), folder(&text));
    ended(on("cpu", alone.path()).output().unwrap());
    let output = ended(on("cpu,cpu,cpu", shared.path()).output().unwrap());
    let notes = told(&output);
    assert!(notes.contains("rows are computed by 3 processes"), "{notes}");
    assert!(!notes.contains("a helper left rows"), "{notes}");
    let trials = |folder: &Path| {
        answer(
            folder,
            &["show", "latest", "queries", "--port", "trials", "--rows", "1000"],
        )
    };
    let (found, wanted) = (trials(shared.path()), trials(alone.path()));
    assert!(
        wanted["rows"].as_array().is_some_and(|rows| rows.len() > 6),
        "{wanted}"
    );
    assert_eq!(found["rows"], wanted["rows"]);
}

#[test]
fn devices_and_files_that_cannot_be_shared_are_refused() {
    let folder = folder("experiment: none");
    let refused = |arguments: &[&str], why: &str| {
        let output = command(folder.path(), arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
        assert!(told(&output).contains(why), "{}", told(&output));
    };
    refused(
        &["run", "e.yaml", "--device", "cuda:0,cuda:0"],
        "names cuda:0 twice",
    );
    refused(
        &["run", "/dev/stdin", "--device", "cpu,cpu"],
        "a file that can be read again",
    );
}

#[test]
fn a_helper_that_dies_costs_no_row() {
    let model = tiny_generator();
    let text = experiment(model.path(), 400);
    let (alone, shared) = (folder(&text), folder(&text));
    let (run, helper) = with_helper(shared.path());
    kill(helper);
    let output = ended(run.wait_with_output().unwrap());
    assert!(
        told(&output).contains("a helper left rows to this process"),
        "{}",
        told(&output)
    );
    ended(on("cpu", alone.path()).output().unwrap());
    assert_eq!(queries(alone.path()), queries(shared.path()));
}

#[test]
fn no_helper_outlives_its_run() {
    let model = tiny_generator();
    let folder = folder(&experiment(model.path(), 400));
    let (mut run, helper) = with_helper(folder.path());
    kill(run.id());
    run.wait().unwrap();
    let started = Instant::now();
    while Path::new(&format!("/proc/{helper}")).exists() {
        assert!(
            started.elapsed() < Duration::from_mins(1),
            "the helper goes on alone"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
