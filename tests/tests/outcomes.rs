//! What the command line answers where something is missing: a figure, a record, a run.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use ablate_e2e::program::{LEXICAL, ablate, answer, folder, run, told, write};
use serde_json::Value;

/// One system that is evaluated, and one that fails: the measure and the baseline of the report.
const HALF: &str = "\
experiment: half
stages:
  data:   {use: collection, source: demo}
  run:    {use: retrieve/bm25, corpus: data.corpus, queries: data.queries.test, depth: 100}
  ap:     {use: evaluate, run: run, qrels: data.qrels.test, measures: [AP]}
  broken: {use: command, queries: data.queries.test, run: [sh, -c, 'exit 3'], outputs: [run], version: 1}
  scores: {use: evaluate, run: broken.run, qrels: data.qrels.test, measures: [nDCG@10]}
report: {measure: nDCG@10, baseline: {system: scores}}
";

fn code(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let output = ablate(folder, arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &told(&output);
    (output.status.code().unwrap(), text)
}

#[test]
fn a_run_without_its_measure_has_a_record_and_a_table_of_what_there_is() {
    let folder = folder(HALF);
    let (status, text) = code(folder.path(), &["run", "e.yaml"]);
    assert_eq!(status, 1, "{text}");
    for line in [
        "AP",
        "no arm was evaluated by `nDCG@10`",
        "nothing is compared",
        "· run 2",
        "error: stage `broken` failed",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let runs = answer(folder.path(), &["runs"]);
    assert_eq!(runs.as_array().unwrap().len(), 1);
    assert_eq!(code(folder.path(), &["table"]).0, 0);
}

#[test]
fn replicates_over_other_queries_are_averaged_and_told() {
    let folder = folder("");
    let text = "\
experiment: uneven
stages:
  data:   {use: collection, source: demo}
  judged: {use: pairs, queries: data.queries.test, qrels: data.qrels.test, corpus: data.corpus}
  kept:   {use: filter, pairs: judged, by: score, min_chars: 1}
  asked:  {use: queries, pairs: kept}
  run:    {use: retrieve/bm25, corpus: data.corpus, queries: asked.queries}
  scores: {use: evaluate, run: run, qrels: asked.qrels, measures: [RR@10]}
sweep: {replicate: {kept.min_chars: [1, 35]}}
";
    let (answer, _) = run(folder.path(), text);
    let figure = &answer["table"][0]["scores"]["RR@10"];
    assert_eq!(figure["n"], 2, "{answer}");
    assert!(figure["mean"].as_f64() > Some(0.0) && figure["sd"].is_f64());
    let told = answer["warnings"].to_string();
    assert!(
        told.contains("means are averaged, queries are not compared"),
        "{told}"
    );
}

#[test]
fn counts_are_totals_as_trec_eval_has_them() {
    let text = LEXICAL.replace("[nDCG@10]", "[nDCG@10, NumQ, NumRet]");
    let folder = folder("");
    let (answer, _) = run(folder.path(), &text);
    let scores = &answer["table"][1]["scores"];
    assert_eq!(
        scores["NumQ"]["mean"],
        scores["nDCG@10"]["n_queries"].as_f64().unwrap()
    );
    assert!(scores["NumRet"]["mean"].as_f64() > scores["NumQ"]["mean"].as_f64());
    assert!(scores["nDCG@10"]["delta"].is_f64() && scores["NumQ"]["delta"].is_null());
    let shown = code(folder.path(), &["table"]).1;
    let total = format!(" {} ", scores["NumRet"]["mean"].as_f64().unwrap());
    assert!(shown.contains(&total), "{total}: {shown}");
}

#[test]
fn the_only_run_of_an_experiment_stays_though_it_was_killed() {
    let folder = folder("");
    let other = LEXICAL
        .replace("experiment: lexical", "experiment: other")
        .replace("1000", "20");
    run(folder.path(), LEXICAL);
    run(folder.path(), &other);
    let records = fs_err::read_dir(folder.path().join("store/runs")).unwrap();
    for record in records {
        // What a kill leaves: the log without the record.
        fs_err::remove_file(record.unwrap().path().join("run.json")).unwrap();
    }
    let kept = answer(folder.path(), &["gc", "--keep-last", "1"]);
    let runs: Vec<_> = kept["runs"].as_array().unwrap().iter().collect();
    let names: Vec<_> = runs
        .iter()
        .map(|run| run["experiment"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["lexical", "other"]);
    assert!(runs.iter().all(|run| run["kept"] == true), "{kept}");
}

/// `expect` entries for points of LEXICAL with the figures of a run, the second off by `off`.
fn committed(answer: &Value, off: f64) -> String {
    let mean = |at: usize| answer["table"][at]["scores"]["nDCG@10"]["mean"].as_f64().unwrap();
    format!(
        "{LEXICAL}expect:\n  - {{where: {{k1: 0.9}}, nDCG@10: {}, tolerance: 0}}\n  \
         - {{where: {{k1: 1.2}}, nDCG@10: {}, tolerance: 0}}\n",
        mean(0),
        mean(1) + off
    )
}

#[test]
fn committed_figures_are_those_of_the_file_whatever_ran_last() {
    let folder = folder("");
    let (first, _) = run(folder.path(), LEXICAL);
    write(folder.path(), &committed(&first, 0.0));
    let (status, _) = code(folder.path(), &["run", "e.yaml", "--set", "run.depth=1"]);
    assert_eq!(status, 0);
    let (status, text) = code(folder.path(), &["check-results", "e.yaml"]);
    assert_eq!(status, 0, "{text}");
    let (status, text) = code(
        folder.path(),
        &["check-results", "e.yaml", "--set", "run.depth=7"],
    );
    assert_eq!(status, 4, "never computed: {text}");
    assert!(text.contains("2 of 2 figures are not there in e.yaml"), "{text}");
    write(folder.path(), &committed(&first, 0.1));
    let only = |label: &str| code(folder.path(), &["check-results", "e.yaml", "--only", label]).0;
    assert_eq!([only("k1=0.9"), only("k1=1.2")], [0, 4]);
}

#[test]
fn a_comparison_of_nothing_is_no_success() {
    let folder = folder("");
    run(folder.path(), LEXICAL);
    fs_err::write(folder.path().join("new.yaml"), LEXICAL.replace("100}", "5}")).unwrap();
    let (status, text) = code(folder.path(), &["diff", "e.yaml", "new.yaml", "--check"]);
    assert_eq!(status, 4, "{text}");
    assert!(
        text.contains("nothing to compare: not computed (4): run[k1=0.9]"),
        "{text}"
    );
    let ran = ablate(folder.path(), &["run", "new.yaml", "--only", "k1=0.9"]);
    assert!(ran.status.success(), "{}", told(&ran));
    let (status, text) = code(folder.path(), &["diff", "e.yaml", "new.yaml", "--check"]);
    assert_eq!(status, 4, "{text}");
    assert!(text.contains("1 rows have figures on one side only"), "{text}");
    assert_eq!(code(folder.path(), &["diff", "e.yaml", "e.yaml", "--check"]).0, 0);
}
