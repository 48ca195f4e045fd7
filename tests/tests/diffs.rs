//! `diff` through the command line: between runs, points and files, down to rows and texts.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use ablate_core::{check_rows, rows::Pair};
use ablate_e2e::program::{LEXICAL, ablate, answer, folder, run, told, write};
use parquet::arrow::ArrowWriter;
use serde_json::Value;

/// Queries made from documents by a program, kept by a filter, and judged by whether BM25 finds their documents again.
const PAIRS: &str = "\
experiment: made
stages:
  data:   {use: collection, source: demo}
  made:   {use: command, run: [sh, -c, 'cp {files} $ABLATE_OUT_PAIRS'], files: pairs.parquet, outputs: [pairs], version: 1}
  kept:   {use: filter, pairs: made.pairs, by: mean_logprob, top: 10000}
  asked:  {use: queries, pairs: kept}
  run:    {use: retrieve/bm25, corpus: data.corpus, queries: asked.queries}
  scores: {use: evaluate, run: run, qrels: asked.qrels, measures: [RR@10]}
";

fn names(diff: &Value) -> Vec<&str> {
    let changed = diff["changed"].as_array().unwrap();
    changed
        .iter()
        .map(|node| node["name"].as_str().unwrap())
        .collect()
}

#[test]
fn runs_are_compared_down_to_the_query() {
    let folder = folder("");
    let one = LEXICAL.split("sweep:").next().unwrap();
    run(folder.path(), one);
    let fewer = one.replace("count: 1000", "count: 12");
    let report = "report: {test: wilcoxon, correction: none}\n";
    run(folder.path(), &format!("{fewer}{report}"));
    let runs = answer(folder.path(), &["runs"]);
    let id = |at: usize| runs[at]["run"].as_str().unwrap().to_owned();
    let diff = answer(folder.path(), &["diff", &id(0), &id(1)]);
    assert_eq!(names(&diff), ["docs", "run", "scores"]);
    assert_eq!(diff["changed"][0]["fields"][0]["path"], "params.count");
    let rows = &diff["changed"][0]["rows"]["documents"];
    assert_eq!(rows["after"], 12);
    assert_eq!(
        rows["dropped"].as_u64().unwrap(),
        rows["before"].as_u64().unwrap() - 12
    );
    let mover = &diff["figures"][0]["movers"][0];
    assert!(mover["text"].as_str().unwrap().contains(' '), "{mover}");
    assert!(
        diff["test"].as_str().unwrap().contains("Wilcoxon"),
        "{}",
        diff["test"]
    );
    let shown = ablate(folder.path(), &["diff", &id(0), &id(1)]);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(
        text.contains("params.count: 1000 → 12") && text.contains("rows: 0 added"),
        "{text}"
    );
    let checked = ablate(folder.path(), &["diff", &id(0), &id(1), "--check"]);
    assert_eq!(checked.status.code(), Some(4), "{}", told(&checked));
    let same = ablate(folder.path(), &["diff", &id(0), &id(0), "--check"]);
    assert_eq!(same.status.code(), Some(0));
}

#[test]
fn points_of_one_run_are_compared() {
    let folder = folder("");
    run(folder.path(), LEXICAL);
    let diff = answer(folder.path(), &["diff", "latest[k1=0.9]", "latest[k1=1.2]"]);
    assert_eq!(names(&diff), ["run", "scores"]);
    assert_eq!(diff["changed"][0]["fields"][0]["path"], "params.k1");
    assert_eq!(diff["warnings"].as_array().unwrap().len(), 0, "{diff}");
    let unknown = ablate(folder.path(), &["diff", "latest[k1=0.9]", "latest[k1=7]"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(told(&unknown).contains("has no point k1=7"));
}

#[test]
fn files_are_compared_by_what_the_store_holds() {
    let folder = folder("");
    run(folder.path(), LEXICAL);
    fs_err::write(
        folder.path().join("new.yaml"),
        LEXICAL.replace("depth: 100", "depth: 5"),
    )
    .unwrap();
    let before = answer(folder.path(), &["diff", "e.yaml", "new.yaml"]);
    assert_eq!(names(&before)[0], "run[k1=0.9]");
    assert!(
        before["figures"].as_array().unwrap().is_empty(),
        "it was never computed"
    );
    write(folder.path(), &LEXICAL.replace("depth: 100", "depth: 5"));
    assert!(ablate(folder.path(), &["run", "e.yaml"]).status.success());
    write(folder.path(), LEXICAL);
    let after = answer(folder.path(), &["diff", "e.yaml", "new.yaml"]);
    assert_eq!(after["changed"][0]["fields"][0]["path"], "params.depth");
    assert!(after["unchanged"].as_u64().unwrap() + after["figures"].as_array().unwrap().len() as u64 > 0);
}

/// Twelve queries of documents of the collection, the first `words` words of each.
fn make(folder: &Path, words: usize) {
    let pair = |at: usize| {
        let text = format!("query number {at} of a handful made for this test");
        Pair {
            query_id: format!("d{at}#0"),
            query: text.split(' ').take(words).collect::<Vec<_>>().join(" "),
            doc_id: format!("d{at}"),
            text,
            mean_logprob: Some(-(at as f32)),
            score: None,
            reasoning: None,
            prompt_tokens: 1,
            new_tokens: 1,
            finish: "stop".into(),
        }
    };
    let mut pairs: Vec<_> = (0..12).map(pair).collect();
    let batch = check_rows(&mut pairs).unwrap();
    let file = fs_err::File::create(folder.join("pairs.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn warnings(answer: &Value) -> Vec<&str> {
    let warnings = answer["warnings"].as_array().unwrap().iter();
    warnings.map(|warning| warning.as_str().unwrap()).collect()
}

#[test]
fn a_filter_that_keeps_everything_is_told_in_every_run() {
    let folder = folder("");
    make(folder.path(), 3);
    let told = "`kept`: the filter kept all 12 pairs: it is an identity here, and so no factor";
    for _ in 0..2 {
        let (answer, _) = run(folder.path(), PAIRS);
        assert_eq!(warnings(&answer), [told]);
    }
    let (answer, _) = run(folder.path(), &PAIRS.replace("top: 10000", "top: 11"));
    assert!(warnings(&answer).is_empty(), "{answer}");
}

#[test]
fn changed_queries_are_shown_and_a_change_without_effect_is_known() {
    let folder = folder("");
    make(folder.path(), 3);
    run(folder.path(), PAIRS);
    make(folder.path(), 4);
    run(folder.path(), &PAIRS.replace("top: 10000", "top: 20000"));
    let runs = answer(folder.path(), &["runs"]);
    let id = |at: usize| runs[at]["run"].as_str().unwrap();
    let diff = answer(folder.path(), &["diff", id(0), id(1)]);
    let made = &diff["changed"][0];
    assert_eq!(
        (&made["name"], &made["rows"]["pairs"]["changed"]),
        (&"made".into(), &12.into())
    );
    let example = &made["rows"]["pairs"]["examples"][0];
    assert_eq!(
        (&example[0]["query"], &example[1]["query"]),
        (&"query number 0".into(), &"query number 0 of".into())
    );
    // The same pairs again, through another filter that keeps them all.
    run(folder.path(), &PAIRS.replace("top: 10000", "top: 30000"));
    let runs = answer(folder.path(), &["runs"]);
    let id = |at: usize| runs[at]["run"].as_str().unwrap();
    let diff = answer(folder.path(), &["diff", id(1), id(2)]);
    assert_eq!(names(&diff), ["kept"]);
    assert_eq!(diff["changed"][0]["same_result"], true);
    let shown = ablate(folder.path(), &["diff", id(1), id(2)]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("the same result: nothing moved because of it"));
}
