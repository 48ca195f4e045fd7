//! Runs, judgements and collections of other systems, in and out.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use ablate_e2e::program::{ablate, answer, run, told, write};
use serde_json::Value;

const EXPERIMENT: &str = "\
experiment: exchange
stages:
  data:   {use: collection, source: demo}
  run:    {use: retrieve/bm25, corpus: data.corpus, queries: data.queries.test, depth: 100}
  scores: {use: evaluate, run: run, qrels: data.qrels.test, measures: [nDCG@10, map]}
";

/// Writes an output of the last run.
fn export(folder: &Path, node: &str, more: &[&str], file: &str) {
    let arguments = [&["export", "latest", node, "-o", file], more].concat();
    let output = ablate(folder, &arguments);
    assert!(output.status.success(), "{}", told(&output));
}

/// The figures of `eval`, by measure.
fn evaluated(folder: &Path, run: &str, qrels: &str) -> Value {
    answer(folder, &["eval", run, qrels, "-c", "-m", "nDCG@10", "-m", "map"])["mean"].clone()
}

/// nDCG@10 and AP in the table of the last run, to the last digit.
fn means(folder: &Path) -> [String; 2] {
    let rows = answer(folder, &["table"]);
    ["nDCG@10", "map"].map(|name| rows[0]["scores"][name]["mean"].to_string())
}

#[test]
fn a_run_goes_out_and_comes_in_with_the_same_figures() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    run(folder, EXPERIMENT);
    let before = means(folder);
    export(folder, "run", &["--tag", "our bm25"], "ours.trec.zst");
    export(folder, "data", &["--port", "qrels.test"], "qrels.trec.gz");
    let figures = evaluated(folder, "ours.trec.zst", "qrels.trec.gz");
    let figures = ["nDCG@10", "map"].map(|name| figures[name].to_string());
    assert_eq!(figures, before);
    let back = format!("{EXPERIMENT}  theirs: {{use: run, source: ./ours.trec.zst}}\n")
        .replace("run: run, qrels", "run: theirs, qrels");
    run(folder, &back);
    assert_eq!(means(folder), before);
    export(folder, "theirs", &[], "theirs.trec");
    let lines = fs_err::read_to_string(folder.join("theirs.trec")).unwrap();
    assert!(lines.lines().next().unwrap().ends_with(" theirs"), "{lines}");
}

#[test]
fn a_collection_goes_out_in_beir_layout() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    run(folder, EXPERIMENT);
    let before = means(folder);
    fs_err::create_dir_all(folder.join("own/qrels")).unwrap();
    export(folder, "data", &[], "own/corpus.jsonl.gz");
    export(folder, "data", &["--port", "queries"], "own/queries.jsonl");
    export(folder, "data", &["--port", "qrels.test"], "own/qrels/test.tsv");
    run(folder, &EXPERIMENT.replace("source: demo", "source: ./own"));
    assert_eq!(means(folder), before);
    export(folder, "run", &[], "run.parquet");
    assert!(
        fs_err::read(folder.join("run.parquet"))
            .unwrap()
            .starts_with(b"PAR1")
    );
}

#[test]
fn what_cannot_be_written_says_what_can() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    run(folder, EXPERIMENT);
    let refused = ablate(folder, &["export", "latest", "scores", "-o", "scores.trec"]);
    assert_eq!(refused.status.code(), Some(2));
    let message = told(&refused);
    assert!(
        message.contains("of the kind scores is not written as .trec")
            && message.contains(".jsonl or .parquet"),
        "{message}"
    );
    let packed = ablate(folder, &["export", "latest", "run", "-o", "run.parquet.gz"]);
    assert!(
        told(&packed).contains("Parquet is packed already"),
        "{}",
        told(&packed)
    );
    write(
        folder,
        &format!("{EXPERIMENT}  index: {{use: index/bm25, corpus: data.corpus}}\n"),
    );
    assert!(ablate(folder, &["run", "e.yaml"]).status.success());
    let tree = ablate(folder, &["export", "latest", "index", "-o", "index.parquet"]);
    assert!(
        told(&tree).contains("this index is a folder and stays one"),
        "{}",
        told(&tree)
    );
}

#[test]
fn infinite_scores_have_no_json() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs_err::write(folder.join("own.trec"), "q Q0 d 1 inf t\n").unwrap();
    run(
        folder,
        "experiment: own\nstages:\n  own: {use: run, source: ./own.trec}\n",
    );
    let refused = ablate(folder, &["export", "latest", "own", "-o", "own.jsonl"]);
    assert!(
        told(&refused).contains("a `score` is inf, which JSON has no number for"),
        "{}",
        told(&refused)
    );
    assert!(!folder.join("own.jsonl").exists() && !folder.join("own.jsonl.partial").exists());
    assert_eq!(
        answer(folder, &["show", "latest", "own"])["rows"][0]["score"],
        "inf"
    );
}

/// A query finds itself, and must not count (ArguAna).
#[test]
fn a_hit_that_is_the_query_is_dropped_before_the_depth_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs_err::write(folder.join("r.trec"), "q Q0 q 1 2.0 t\nq Q0 d 2 1.0 t\n").unwrap();
    fs_err::write(folder.join("qrels"), "q 0 d 1\n").unwrap();
    let at_one = |more: &[&str]| {
        let arguments = [&["eval", "r.trec", "qrels", "-m", "P@1", "-M", "1"], more].concat();
        answer(folder, &arguments)["mean"]["P@1"].to_string()
    };
    assert_eq!(at_one(&[]), "0.0");
    assert_eq!(at_one(&["--drop-self"]), "1.0");
}

/// Documents that were judged and are not in the corpus count as not found, in a run and in trec_eval with -c alike.
#[test]
fn judged_documents_that_the_corpus_lacks_count() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs_err::create_dir_all(folder.join("own/qrels")).unwrap();
    let put = |name: &str, text: &str| fs_err::write(folder.join("own").join(name), text).unwrap();
    put(
        "corpus.jsonl",
        "{\"_id\":\"a\",\"text\":\"red apples\"}\n{\"_id\":\"b\",\"text\":\"green pears\"}\n",
    );
    put(
        "queries.jsonl",
        "{\"_id\":\"q1\",\"text\":\"apples\"}\n{\"_id\":\"q2\",\"text\":\"pears\"}\n",
    );
    put("qrels/test.tsv", "q1\ta\t1\nq1\tgone\t1\nq2\tb\t1\n");
    let (answer, _) = run(folder, &EXPERIMENT.replace("source: demo", "source: ./own"));
    let warnings = answer["warnings"].to_string();
    assert!(
        warnings.contains("1 of 3 judgements name a document that is not there"),
        "{answer}"
    );
    // q1 has AP 1/2, q2 has 1.
    assert_eq!(means(folder)[1], "0.75");
}

#[test]
fn a_run_of_other_queries_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let text = EXPERIMENT.replace("queries: data.queries.test", "queries: data.queries.train");
    write(folder, &text);
    let output = ablate(folder, &["run", "e.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        told(&output).contains("run and qrels share no query"),
        "{}",
        told(&output)
    );
}
