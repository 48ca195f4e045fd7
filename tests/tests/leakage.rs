//! Models that are judged by what they have learnt from, under one name or two.
#![allow(clippy::unwrap_used)]

#[path = "../../stages/models/tests/common/generator.rs"]
mod generator;

use std::path::Path;

use ablate_e2e::program::{ablate, answer, folder, statuses, told, write};
use generator::tiny_generator;

fn code(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let output = ablate(folder, arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &told(&output);
    (output.status.code().unwrap(), text)
}

/// A retriever trained on one collection and judged by another; `first` and `second` name them.
fn two_collections(first: &str, second: &str) -> String {
    format!(
        "experiment: leaky\nstages:\n  c: {{use: collection, source: {first}}}\n  \
         c2: {{use: collection, source: {second}}}\n  \
         judged: {{use: pairs, queries: c2.queries.test, qrels: c2.qrels.test, corpus: c2.corpus}}\n  \
         hard: {{use: negatives, pairs: judged, corpus: c.corpus, source: random}}\n  \
         model: {{use: train/biencoder, data: hard, base: all-minilm-l6-v2}}\n  \
         run: {{use: retrieve/dense, corpus: c.corpus, queries: c.queries.test, model: model}}\n  \
         scores: {{use: evaluate, run: run, qrels: c.qrels.test, measures: [AP]}}\n"
    )
}

#[test]
fn a_split_of_a_collection_is_the_collection_where_leaks_are_looked_for() {
    let folder = folder(&two_collections("beir/nfcorpus", "beir/nfcorpus/test"));
    let (status, text) = code(folder.path(), &["check", "e.yaml"]);
    assert_eq!(status, 3, "{text}");
    assert!(
        text.contains("`model` learns from `c2.queries.test`, and `scores` judges it"),
        "{text}"
    );
    write(
        folder.path(),
        &two_collections("beir/nfcorpus", "beir/scifact/test"),
    );
    assert_eq!(code(folder.path(), &["check", "e.yaml"]).0, 0);
}

/// A collection of three documents, each with its query.
fn collection(folder: &Path) {
    fs_err::create_dir_all(folder.join("qrels")).unwrap();
    let (mut corpus, mut queries, mut qrels) = (
        String::new(),
        String::new(),
        "query-id\tcorpus-id\tscore\n".to_owned(),
    );
    for (at, word) in ["honey", "wasps", "clover"].iter().enumerate() {
        corpus += &format!("{{\"_id\": \"d{at}\", \"title\": \"\", \"text\": \"all about {word}\"}}\n");
        queries += &format!("{{\"_id\": \"q{at}\", \"text\": \"{word}\"}}\n");
        qrels += &format!("q{at}\td{at}\t1\n");
    }
    fs_err::write(folder.join("corpus.jsonl"), corpus).unwrap();
    fs_err::write(folder.join("queries.jsonl"), queries).unwrap();
    fs_err::write(folder.join("qrels/test.tsv"), qrels).unwrap();
}

#[test]
fn the_same_rows_under_two_names_are_refused_before_the_trainer_starts() {
    let folder = folder(&two_collections("./one", "./two"));
    collection(&folder.path().join("one"));
    collection(&folder.path().join("two"));
    assert_eq!(code(folder.path(), &["check", "e.yaml"]).0, 0);
    let (status, text) = code(folder.path(), &["run", "e.yaml"]);
    assert_eq!(status, 1, "{text}");
    let told =
        "stage `model` failed: `model` learns from `c2.qrels.test`, and `scores` judges it by the same rows";
    assert!(text.contains(told), "{text}");
}

/// A generator tuned on the judged pairs of `two`, whose queries a ranking of `one` hangs on; what is allowed stands at
/// the end.
fn tuned(model: &Path, allowed: &str) -> String {
    let model = model.display();
    format!(
        "\
experiment: tuned
stages:
  c: {{use: collection, source: ./one}}
  c2: {{use: collection, source: ./two}}
  judged: {{use: pairs, queries: c2.queries.test, qrels: c2.qrels.test, corpus: c2.corpus}}
  asking: {{use: prompt, template: \"Of {{document}}:\"}}
  model: {{use: train/sft, data: judged, prompt: asking, base: {model}, batch: 2, lora: {{rank: 2}}}}
  made: {{use: generate, documents: c.corpus, prompt: asking, model: {model}, adapter: model, decoding: {{max_new_tokens: 4}}}}
  words: {{use: retrieve/bm25, corpus: c.corpus, queries: c.queries.test}}
  own: {{use: command, pairs: made, ranking: words, run: [sh, -c, 'cp $ABLATE_IN_RANKING $ABLATE_OUT_RUN'], outputs: [run], version: 1}}
  scores: {{use: evaluate, run: own.run, qrels: c.qrels.test, measures: [AP]}}
{allowed}"
    )
}

#[test]
fn a_leak_that_was_allowed_is_told_and_what_came_of_it_is_refused_once_it_is_not() {
    let generator = tiny_generator();
    let folder = folder("");
    collection(&folder.path().join("one"));
    collection(&folder.path().join("two"));
    let allowed = "allow_leakage: [c2.queries.test, c2.qrels.test]\n";
    write(folder.path(), &tuned(generator.path(), allowed));
    let (status, text) = code(folder.path(), &["run", "e.yaml"]);
    assert_eq!(status, 0, "{text}");
    let leak = "`model` learns from `c2.qrels.test`, and `scores` judges it by the same rows";
    assert!(
        text.contains(&format!("{leak}: `allow_leakage` allows it")),
        "{text}"
    );

    write(folder.path(), &tuned(generator.path(), ""));
    let output = ablate(folder.path(), &["run", "e.yaml", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let statuses = statuses(&serde_json::from_slice(&output.stdout).unwrap());
    assert_eq!((&*statuses["model"], &*statuses["scores"]), ("failed", "failed"));
    assert_eq!((&*statuses["judged"], &*statuses["own"]), ("reused", "reused"));
}

/// A retriever trained on queries made of `split` of the collection that judges it by `test`.
fn trained_on(split: &str, more: &str) -> String {
    format!(
        "experiment: leaky\nstages:\n  data: {{use: collection, source: demo}}\n  \
         mined: {{use: command, queries: data.queries.{split}, run: [make-triples], outputs: [triples], version: 1}}\n  \
         model: {{use: train/biencoder, data: mined.triples, base: all-minilm-l6-v2}}\n  \
         run: {{use: retrieve/dense, corpus: data.corpus, queries: data.queries.test, model: model}}\n  \
         scores: {{use: evaluate, run: run, qrels: data.qrels.test, measures: [nDCG@10]}}\n{more}"
    )
}

#[test]
fn a_model_judged_by_what_it_has_learnt_from_is_an_error() {
    let folder = folder(&trained_on("test", ""));
    let leaky = ablate(folder.path(), &["check", "e.yaml"]);
    assert_eq!(leaky.status.code(), Some(3));
    let message = told(&leaky);
    assert!(
        message.contains("`model` learns from `data.queries.test`, and `scores` judges it by that split"),
        "{message}"
    );
    assert!(
        message.contains("allow_leakage: [data.queries.test]") && message.contains("e.yaml:5:"),
        "{message}"
    );
    write(
        folder.path(),
        &trained_on("test", "allow_leakage: data.queries.test\n"),
    );
    let allowed = answer(folder.path(), &["check", "e.yaml"]);
    assert_eq!(allowed["warnings"].as_array().unwrap().len(), 1, "{allowed}");
    write(folder.path(), &trained_on("train", ""));
    let clean = answer(folder.path(), &["check", "e.yaml"]);
    assert_eq!(clean["warnings"].as_array().unwrap().len(), 0, "{clean}");
    write(
        folder.path(),
        &trained_on("train", "allow_leakage: data.queries.test\n"),
    );
    let idle = told(&ablate(folder.path(), &["check", "e.yaml"]));
    assert!(idle.contains("which no model learns from"), "{idle}");
}

/// A retriever trained on queries of a prompt whose demonstrations may be those of `split`.
fn prompted_by(split: &str) -> String {
    let found = format!(
        "  asked: {{use: pairs, queries: data.queries.{split}, qrels: data.qrels.{split}, corpus: data.corpus}}\n  \
         found: {{use: prompt/optimise, documents: data.corpus, corpus: data.corpus, model: smollm2-135m-instruct, prompt: ablate/vanilla, \
         examples: asked}}\n  \
         written: {{use: generate, documents: data.corpus, model: smollm2-135m-instruct, prompt: found}}\n  \
         mined: {{use: negatives, pairs: written, corpus: data.corpus}}\n"
    );
    let trained = trained_on(split, "").replace("mined.triples", "mined");
    let (head, tail) = trained.split_once("  mined: ").unwrap();
    let (_, tail) = tail.split_once('\n').unwrap();
    format!("{head}{found}{tail}")
}

#[test]
fn a_prompt_searched_with_the_judged_queries_is_a_leak() {
    let folder = folder(&prompted_by("test"));
    let leaky = ablate(folder.path(), &["check", "e.yaml"]);
    assert_eq!(leaky.status.code(), Some(3));
    let message = told(&leaky);
    for source in ["data.queries.test", "data.qrels.test"] {
        let expected = format!("`model` learns from `{source}`, and `scores` judges it by that split");
        assert!(message.contains(&expected), "{message}");
    }
    write(folder.path(), &prompted_by("train"));
    let clean = answer(folder.path(), &["check", "e.yaml"]);
    assert_eq!(clean["warnings"].as_array().unwrap().len(), 0, "{clean}");
}
