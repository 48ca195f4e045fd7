//! Sweeps through the command line: what runs, what is reused, what of it a user asks for, what the table says.
#![allow(clippy::unwrap_used)]

use ablate_e2e::program::{LEXICAL, ablate, answer, folder, having, run, statuses, told, write};
use serde_json::Value;

/// Two generators × three thresholds × three sources of negatives × three seeds, made of stages that need no model:
/// samples stand for generators and filters, parameters of BM25 for sources of negatives.
const GRID: &str = "\
experiment: grid
stages:
  data:    {use: collection, source: demo}
  docs:    {use: sample, documents: data.corpus, count: 30, seed: 1}
  kept:    {use: sample, documents: docs, count: 15, seed: 1}
  run:     {use: retrieve/bm25, corpus: kept, queries: data.queries.test, depth: 100}
  scores:  {use: evaluate, run: run, qrels: data.qrels.test, measures: [nDCG@10]}
  lexical: {use: retrieve/bm25, corpus: data.corpus, queries: data.queries.test}
  bm25:    {use: evaluate, run: lexical, qrels: data.qrels.test, measures: [nDCG@10]}
sweep:
  axes:
    generator: {docs.count: [30, 20]}
    threshold: {kept.count: [15, 14, 13]}
    negatives: {k: {run.k1: 0.9}, b: {run.b: 0.5}, both: {run.k1: 1.2, run.b: 0.75}}
  replicate: {docs.seed: [1, 2, 3], kept.seed: [4, 5, 6]}
report: {measure: nDCG@10, baseline: {system: scores, negatives: k}}
";

/// The nodes there are: shared ones once, and one for each point that reaches a stage.
const DISTINCT: usize = 1 + (2 * 3) + (2 * 3 * 3) + 2 * (2 * 3 * 3 * 3) + 2;

#[test]
fn every_distinct_node_of_a_grid_runs_once() {
    let folder = folder("");
    let (answer, first) = run(folder.path(), GRID);
    assert_eq!(
        having(&first, "ran").len() + having(&first, "cutoff").len(),
        DISTINCT
    );
    assert_eq!(first.len(), DISTINCT);
    let rows = answer["table"].as_array().unwrap();
    assert_eq!(rows.len(), 2 * 3 * 3 + 1, "BM25 stands once");
    let figures = |row: &Value| row["scores"]["nDCG@10"]["n"].as_u64().unwrap();
    assert!(rows[..18].iter().all(|row| figures(row) == 3), "{rows:?}");
    let (_, again) = run(folder.path(), GRID);
    assert_eq!(having(&again, "reused").len(), DISTINCT);
}

#[test]
fn a_value_more_runs_its_points_and_one_less_runs_nothing() {
    let folder = folder("");
    run(folder.path(), GRID);
    let (_, more) = run(folder.path(), &GRID.replace("[15, 14, 13]", "[15, 14, 13, 12]"));
    let ran = having(&more, "ran");
    assert!(ran.iter().all(|name| name.contains("threshold=12")), "{ran:?}");
    assert_eq!(ran.len(), 2 * 3 + 2 * (2 * 3 * 3));
    let (_, less) = run(folder.path(), &GRID.replace("[15, 14, 13]", "[15, 13]"));
    assert_eq!(having(&less, "reused").len(), less.len());
}

#[test]
fn only_what_is_asked_for_runs() {
    let folder = folder(GRID);
    let only = [
        "run",
        "e.yaml",
        "--only",
        "negatives=both",
        "--only",
        "threshold=15",
        "--only",
        "seed=2",
    ];
    let asked = answer(folder.path(), &only);
    let found = statuses(&asked);
    let ran: Vec<_> = having(&found, "ran")
        .into_iter()
        .filter(|name| name.starts_with("scores"))
        .collect();
    let expected = [
        "scores[generator=20,negatives=both,threshold=15,seed=2]",
        "scores[generator=30,negatives=both,threshold=15,seed=2]",
    ];
    assert_eq!(ran, expected);
    assert_eq!(found.len(), DISTINCT, "the others are listed");
    let left_out = asked["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|node| node["reason"] == "not asked for");
    assert!(
        left_out
            .clone()
            .all(|node| node["status"] == "skipped" && node["key"].is_null())
    );
    assert_eq!(asked["table"].as_array().unwrap().len(), 3);
    let unknown = ablate(folder.path(), &["plan", "e.yaml", "--only", "negative=both"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(told(&unknown).contains("the sweep has no axis `negative`: did you mean `negatives`?"));
    let (_, whole) = run(folder.path(), GRID);
    assert!(having(&whole, "reused").len() > 4, "what was asked for is kept");
}

#[test]
fn a_point_that_fails_leaves_the_others_and_the_table_says_so() {
    let folder = folder(&GRID.replace("docs.count: [30, 20]", "docs.min_chars: [0, 999999]"));
    let output = ablate(folder.path(), &["run", "e.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    let first = "missing: scores[generator=999999,negatives=k,seed=1,threshold=15] on demo: \
                 `docs[generator=999999,seed=1]` failed";
    assert!(table.contains(first), "{table}");
    assert!(table.contains("missing: 17 more"), "{table}");
    assert_eq!(table.matches("│ scores").count(), 9, "{table}");
    let markdown = ablate(folder.path(), &["table", "--format", "markdown"]);
    assert!(String::from_utf8_lossy(&markdown.stdout).contains("missing: scores"));
}

#[test]
fn tables_are_written_by_the_ending_of_the_file() {
    let folder = folder("");
    run(folder.path(), LEXICAL);
    for (name, start) in [
        ("t.tex", "\\begin{table}"),
        ("t.md", "| system"),
        ("t.csv", "system,"),
        ("t.parquet", "PAR1"),
    ] {
        let written = ablate(folder.path(), &["table", "-o", name]);
        assert!(written.status.success(), "{}", told(&written));
        let bytes = fs_err::read(folder.path().join(name)).unwrap();
        assert!(bytes.starts_with(start.as_bytes()), "{name}");
    }
    let unknown = ablate(folder.path(), &["table", "-o", "t.doc"]);
    assert_eq!(unknown.status.code(), Some(2));
    let details = ablate(folder.path(), &["table", "--details"]);
    assert!(String::from_utf8_lossy(&details.stdout).contains("wins/losses/ties"));
}

#[test]
fn committed_figures_are_held_against_results() {
    let folder = folder("");
    let (answer, _) = run(folder.path(), LEXICAL);
    let mean = answer["table"][0]["scores"]["nDCG@10"]["mean"].as_f64().unwrap();
    let with = |value: f64, tolerance: f64| {
        let expect = format!("expect: [{{where: {{k1: 0.9}}, nDCG@10: {value}, tolerance: {tolerance}}}]\n");
        write(folder.path(), &format!("{LEXICAL}{expect}"));
        let output = ablate(folder.path(), &["check-results", "e.yaml"]);
        let word = String::from_utf8_lossy(&output.stdout)
            .split(' ')
            .next()
            .unwrap()
            .to_owned();
        (word, output.status.code().unwrap())
    };
    assert_eq!(with(mean, 0.0), ("OK".into(), 0));
    assert_eq!(with(mean - 0.01, 0.02), ("OKish".into(), 0));
    assert_eq!(with(mean - 0.01, 0.001), ("FAIL".into(), 4));
    let warned = ablate(folder.path(), &["run", "e.yaml"]);
    assert!(warned.status.success());
    assert!(
        told(&warned)
            .contains("warning: the result contradicts `expect`: nDCG@10 of scores[k1=0.9] on demo: ")
    );
    with(mean, 0.0);
    assert!(!told(&ablate(folder.path(), &["run", "e.yaml"])).contains("contradicts"));
}
