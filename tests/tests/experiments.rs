//! The command line on the demo collection: what ran, what was reused, exit codes. No model is needed.
#![allow(clippy::unwrap_used)]

use ablate_e2e::program::{LEXICAL as EXPERIMENT, Statuses, ablate, run};
use serde_json::Value;

fn all(statuses: &Statuses, expected: &str) -> bool {
    statuses.values().all(|status| status == expected)
}

#[test]
fn the_second_run_and_cosmetic_edits_compute_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (first, statuses) = run(folder.path(), EXPERIMENT);
    assert!(all(&statuses, "ran"), "{statuses:?}");
    assert_eq!(statuses.len(), 6);
    let (second, statuses) = run(folder.path(), EXPERIMENT);
    assert!(all(&statuses, "reused"), "{statuses:?}");
    assert_eq!(first["table"], second["table"]);
    let edited = format!(
        "# a comment\n{}",
        EXPERIMENT
            .replace("data", "corpus_of_mine")
            .replace("depth: 100}", "depth: 100, b: 0.4}")
    );
    let (third, statuses) = run(
        folder.path(),
        &edited
            .replace("run: run, qrels: corpus_of_mine", "qrels: corpus_of_mine")
            .replace("measures", "run: run, measures"),
    );
    assert!(all(&statuses, "reused"), "{statuses:?}");
    assert_eq!(first["table"][0]["scores"], third["table"][0]["scores"]);
}

#[test]
fn a_change_without_effect_stops_where_it_is_made() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), EXPERIMENT);
    // Both counts exceed the collection, so the sample holds the same documents.
    let (_, statuses) = run(folder.path(), &EXPERIMENT.replace("count: 1000", "count: 2000"));
    assert_eq!(
        (statuses["data"].as_str(), statuses["docs"].as_str()),
        ("reused", "ran")
    );
    assert_eq!(
        (
            statuses["run[k1=0.9]"].as_str(),
            statuses["scores[k1=1.2]"].as_str()
        ),
        ("cutoff", "cutoff")
    );
}

#[test]
fn one_more_value_computes_one_more_arm() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), EXPERIMENT);
    let (answer, statuses) = run(
        folder.path(),
        &EXPERIMENT.replace("[0.9, 1.2]", "[0.9, 1.2, 1.5]"),
    );
    let ran: Vec<_> = statuses
        .iter()
        .filter(|(_, status)| *status == "ran")
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(ran, ["run[k1=1.5]", "scores[k1=1.5]"]);
    assert_eq!(answer["table"].as_array().unwrap().len(), 3);
    assert!(answer["table"][0]["scores"]["nDCG@10"]["delta"].is_null());
    assert!(answer["table"][1]["scores"]["nDCG@10"]["p"].is_number());
}

#[test]
fn a_failed_stage_fails_its_descendants_only() {
    let folder = tempfile::tempdir().unwrap();
    let extra = "  other:  {use: sample, documents: data.corpus, count: 5, min_chars: 999999}\n  \
                 lost:   {use: retrieve/bm25, corpus: other, queries: data.queries.test}\n  \
                 none:   {use: evaluate, run: lost, qrels: data.qrels.test}\nsweep";
    fs_err::write(folder.path().join("e.yaml"), EXPERIMENT.replace("sweep", extra)).unwrap();
    let output = ablate(folder.path(), &["run", "e.yaml", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("stage `other` failed: no document fits"), "{told}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let status = |name: &str| {
        answer["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .find(|n| n["name"] == name)
            .unwrap()["status"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        ["other", "lost", "none", "scores[k1=0.9]"].map(status),
        ["failed", "skipped", "skipped", "ran"]
    );
}

#[test]
fn damage_is_named_and_the_next_run_repairs_it() {
    let folder = tempfile::tempdir().unwrap();
    let (first, _) = run(folder.path(), EXPERIMENT);
    for shard in fs_err::read_dir(folder.path().join("store/traces")).unwrap() {
        for trace in fs_err::read_dir(shard.unwrap().path()).unwrap() {
            fs_err::write(trace.unwrap().path(), "cut").unwrap();
        }
    }
    assert_eq!(ablate(folder.path(), &["verify"]).status.code(), Some(5));
    let (second, statuses) = run(folder.path(), EXPERIMENT);
    assert!(all(&statuses, "ran"), "{statuses:?}");
    assert_eq!(first["table"], second["table"]);
    assert_eq!(ablate(folder.path(), &["verify"]).status.code(), Some(0));
}

#[test]
fn bad_files_and_bad_commands_have_their_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(
        folder.path().join("e.yaml"),
        EXPERIMENT.replace("depth: 100", "dpeth: 100"),
    )
    .unwrap();
    let output = ablate(folder.path(), &["run", "e.yaml"]);
    assert_eq!(output.status.code(), Some(3));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("e.yaml:5:") && told.contains("`depth`"), "{told}");
    assert_eq!(
        ablate(folder.path(), &["run", "absent.yaml"]).status.code(),
        Some(2)
    );
    assert_eq!(
        ablate(folder.path(), &["table", "nothing"]).status.code(),
        Some(2)
    );
}

#[test]
fn eval_reads_trec_files() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("run"), "q1 Q0 a 1 2.0 t\nq1 Q0 b 2 1.0 t\n").unwrap();
    fs_err::write(folder.path().join("qrels"), "q1 0 b 1\n").unwrap();
    let output = ablate(
        folder.path(),
        &[
            "eval", "run", "qrels", "-m", "RR", "-m", "nDCG@10", "-q", "--json",
        ],
    );
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["mean"]["RR"], 0.5);
    assert!((answer["queries"]["q1"]["nDCG@10"].as_f64().unwrap() - 1.0 / 3f64.log2()).abs() < 1e-12);
}

const QUERIES: &str = "\
experiment: queries
stages:
  data:   {use: collection, source: demo}
  judged: {use: pairs, queries: data.queries.train, qrels: data.qrels.train, corpus: data.corpus}
  best:   {use: filter, pairs: judged, max_chars: 60}
  all:    {use: evaluate/pairs, pairs: judged, documents: data.corpus, measures: [words]}
  short:  {use: evaluate/pairs, pairs: best, documents: data.corpus, measures: [words]}
report: {measure: words, baseline: {system: all}}
";

/// Documents without a query count as 0, so that what is left out is seen in the mean over all documents of the collection.
#[test]
fn queries_are_measured_document_by_document() {
    let folder = tempfile::tempdir().unwrap();
    let (answer, _) = run(folder.path(), QUERIES);
    let rows = answer["table"].as_array().unwrap();
    let words = |at: usize| &rows[at]["scores"]["words"];
    assert_eq!(rows[0]["collection"], "demo");
    assert_eq!(words(0)["n_queries"], words(1)["n_queries"]);
    let mean = |at: usize| words(at)["mean"].as_f64().unwrap();
    assert!(0.0 < mean(1) && mean(1) < mean(0), "{} {}", mean(1), mean(0));
    assert!(words(1)["p"].is_number());
}
