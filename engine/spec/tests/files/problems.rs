//! Experiments that cannot be run, and what is said of each.

use insta::assert_snapshot;

use crate::fakes::{STUDY, and, told, told_with, with};

#[test]
fn an_unknown_stage_kind() {
    assert_snapshot!(told(&with("use: sample", "use: sampel")), @r#"
    error[ablate::spec::unknown_stage]: there is no stage kind `sampel`
      --> study.yaml:4:15
    4 |   docs: {use: sampel, documents: scifact.corpus, count: 100, seed: 1}
      |               ^^^^^^
      help: did you mean `sample`?
    "#);
}

#[test]
fn an_unknown_field() {
    assert_snapshot!(told(&with("count: 100", "cuont: 100, count: 100")), @r#"
    error[ablate::spec::unknown_field]: `sample` has no field `cuont`
      --> study.yaml:4:50
    4 |   docs: {use: sample, documents: scifact.corpus, cuont: 100, count: 100, seed: 1}
      |                                                  ^^^^^
      help: did you mean `count`?
    "#);
}

#[test]
fn an_unknown_field_may_be_a_port() {
    assert_snapshot!(told(&with("documents: scifact.corpus", "document: scifact.corpus")), @r#"
    error[ablate::spec::missing_input]: the stage `docs` needs the input `documents`
      --> study.yaml:4:3
    4 |   docs: {use: sample, document: scifact.corpus, count: 100, seed: 1}
      |   ^^^^
      help: give it `documents: NAME`, a stage that makes corpus

    error[ablate::spec::unknown_field]: `sample` has no field `document`
      --> study.yaml:4:23
    4 |   docs: {use: sample, document: scifact.corpus, count: 100, seed: 1}
      |                       ^^^^^^^^
      help: did you mean `documents`?
    "#);
}

#[test]
fn an_unknown_field_within() {
    assert_snapshot!(told(&with("temperature: 0.7", "temprature: 0.7")), @r#"
    error[ablate::spec::unknown_field]: `generate` has no field `decoding.temprature`
      --> study.yaml:9:16
    9 |     decoding: {temprature: 0.7}
      |                ^^^^^^^^^^
      help: did you mean `temperature`?
    "#);
}

#[test]
fn a_wrong_type() {
    assert_snapshot!(told(&with("count: 100", "count: many")), @r#"
    error[ablate::spec::wrong_type]: `docs.count` takes a whole number from 0, not string "many"
      --> study.yaml:4:57
    4 |   docs: {use: sample, documents: scifact.corpus, count: many, seed: 1}
      |                                                         ^^^^
    "#);
}

#[test]
fn a_number_in_quotes() {
    assert_snapshot!(told(&with("lr: 2e-5", "lr: \"2e-5\"")), @r#"
    error[ablate::spec::wrong_type]: `retriever.lr` takes a number, not string "2e-5"
       --> study.yaml:11:69
    11 |   retriever: {use: train/biencoder, data: triples, base: small, lr: "2e-5", seed: 7}
       |                                                                     ^^^^^^
       help: write `2e-5` without quotes
    "#);
}

#[test]
fn a_number_where_text_is_wanted() {
    assert_snapshot!(told(&with("model: small", "model: small\n    prompt: 12")), @r#"
    error[ablate::spec::wrong_type]: `queries.prompt` takes a string, not integer `12`
      --> study.yaml:9:13
    9 |     prompt: 12
      |             ^^
      help: quote it: `"12"`
    "#);
}

#[test]
fn yes_is_text() {
    assert_snapshot!(told(&with("lr: 2e-5", "dropout: yes")), @r#"
    error[ablate::spec::wrong_type]: `retriever.dropout` takes `true` or `false`, not string "yes"
       --> study.yaml:11:74
    11 |   retriever: {use: train/biencoder, data: triples, base: small, dropout: yes, seed: 7}
       |                                                                          ^^^
       help: write `true` or `false`
    "#);
}

#[test]
fn an_unknown_value() {
    assert_snapshot!(told(&with("source: bm25", "source: bm_25")), @r#"
    error[ablate::spec::unknown_value]: `triples.source` takes one of `bm25`, `cross_encoder`, `llm`, not `bm_25`
       --> study.yaml:10:70
    10 |   triples: {use: negatives, pairs: queries, corpus: scifact, source: bm_25}
       |                                                                      ^^^^^
       help: did you mean `bm25`?
    "#);
}

#[test]
fn a_value_out_of_range() {
    assert_snapshot!(told(&with("count: 100", "count: 0")), @r#"
    error[ablate::spec::out_of_range]: `docs.count`: `count` must be at least 1
      --> study.yaml:4:57
    4 |   docs: {use: sample, documents: scifact.corpus, count: 0, seed: 1}
      |                                                         ^
    "#);
}

#[test]
fn a_value_out_of_range_within() {
    assert_snapshot!(told(&with("temperature: 0.7", "temperature: -0.7")), @r#"
    error[ablate::spec::out_of_range]: `queries.decoding.temperature`: -0.7 is below 0
      --> study.yaml:9:29
    9 |     decoding: {temperature: -0.7}
      |                             ^^^^
    "#);
}

#[test]
fn a_negative_count() {
    assert_snapshot!(told(&with("count: 100", "count: -4")), @r#"
    error[ablate::spec::out_of_range]: `docs.count` takes a whole number from 0, not integer `-4`
      --> study.yaml:4:57
    4 |   docs: {use: sample, documents: scifact.corpus, count: -4, seed: 1}
      |                                                         ^^
    "#);
}

#[test]
fn an_unknown_reference() {
    assert_snapshot!(told(&with("pairs: queries", "pairs: querys")), @r#"
    error[ablate::spec::unknown_reference]: the input `pairs` names no stage: `querys`
       --> study.yaml:10:36
    10 |   triples: {use: negatives, pairs: querys, corpus: scifact, source: bm25}
       |                                    ^^^^^^
       help: did you mean `queries`?
    "#);
}

#[test]
fn an_unknown_output() {
    assert_snapshot!(told(&with("scifact.queries.test", "scifact.queries.tset")), @r#"
    error[ablate::spec::unknown_reference]: the stage `scifact` has no output `queries.tset`
       --> study.yaml:12:63
    12 | ...dense, corpus: scifact.corpus, queries: scifact.queries.tset, model: retriever}
       |                                            ^^^^^^^^^^^^^^^^^^^^
     3 |   scifact: {use: collection, source: beir/scifact}
       |   ------- made here, by `collection`
       help: did you mean `scifact.queries.test`?
    "#);
}

#[test]
fn an_unknown_source() {
    assert_snapshot!(told(&with("model: small", "model: smoll")), @r#"
    error[ablate::spec::unknown_reference]: the input `model` names no model and no stage: `smoll`
      --> study.yaml:8:12
    8 |     model: smoll
      |            ^^^^^
      help: one of small, large, or a path
    "#);
}

#[test]
fn a_wrong_port_type() {
    assert_snapshot!(told(&with("data: triples", "data: queries")), @r#"
    error[ablate::spec::wrong_port]: the input `data` takes triples, but `queries.pairs` is pairs
       --> study.yaml:11:43
    11 |   retriever: {use: train/biencoder, data: queries, base: small, lr: 2e-5, seed: 7}
       |                                           ^^^^^^^
     5 |   queries:
       |   ------- made here, by `generate`
       help: `generate` makes no triples: name another stage
    "#);
}

#[test]
fn a_missing_input() {
    assert_snapshot!(told(&with("run: run, qrels", "qrels")), @r#"
    error[ablate::spec::missing_input]: the stage `scores` needs the input `run`
       --> study.yaml:13:3
    13 |   scores: {use: evaluate, qrels: scifact.qrels.test, measures: [nDCG@10]}
       |   ^^^^^^
       help: give it `run: NAME`, a stage that makes run
    "#);
}

#[test]
fn a_missing_parameter() {
    assert_snapshot!(told(&with("count: 100, ", "")), @r#"
    error[ablate::spec::missing_field]: the stage `docs`: missing field `count`
      --> study.yaml:4:3
    4 |   docs: {use: sample, documents: scifact.corpus, seed: 1}
      |   ^^^^
    "#);
}

#[test]
fn a_cycle() {
    assert_snapshot!(told(&with("model: small", "model: retriever")), @r#"
    error[ablate::spec::cycle]: stages read each other in a circle: `queries` <- `retriever` <- `triples` <- `queries`
       --> study.yaml:5:3
     5 |   queries:
       |   ^^^^^^^
    11 |   retriever: {use: train/biencoder, data: triples, base: small, lr: 2e-5, seed: 7}
       |   --------- reads `triples`
    10 |   triples: {use: negatives, pairs: queries, corpus: scifact, source: bm25}
       |   ------- reads `queries`
       help: let one of them read something else
    "#);
}

#[test]
fn an_unused_stage() {
    assert_snapshot!(told(&and("  more: {use: sample, documents: scifact, count: 5}\n")), @r#"
    warning[ablate::spec::unused_stage]: no stage uses `more`; it runs all the same
       --> study.yaml:14:3
    14 |   more: {use: sample, documents: scifact, count: 5}
       |   ^^^^
       help: connect it, or remove it
    "#);
}

#[test]
fn a_stage_named_as_a_model() {
    assert_snapshot!(told(&and("  large: {use: sample, documents: scifact, count: 5}\n")), @r#"
    error[ablate::spec::reserved_name]: the stage `large` has the name of a catalogue model
       --> study.yaml:14:3
    14 |   large: {use: sample, documents: scifact, count: 5}
       |   ^^^^^
       help: rename the stage: `model:` could mean either

    warning[ablate::spec::unused_stage]: no stage uses `large`; it runs all the same
       --> study.yaml:14:3
    14 |   large: {use: sample, documents: scifact, count: 5}
       |   ^^^^^
       help: connect it, or remove it
    "#);
}

#[test]
fn a_stage_without_use() {
    assert_snapshot!(told(&with("use: sample, ", "")), @r#"
    error[ablate::spec::missing_field]: the stage `docs` does not say what it is
      --> study.yaml:4:3
    4 |   docs: {documents: scifact.corpus, count: 100, seed: 1}
      |   ^^^^
      help: give it `use: KIND`; `ablate stages` lists the kinds
    "#);
}

#[test]
fn a_stage_that_is_no_mapping() {
    assert_snapshot!(told(&with("{use: collection, source: beir/scifact}", "collection")), @r#"
    error[ablate::spec::wrong_type]: the stage `scifact` must be a mapping, not text
      --> study.yaml:3:12
    3 |   scifact: collection
      |            ^^^^^^^^^^
      help: write `{use: KIND, ...}`
    "#);
}

#[test]
fn an_unknown_section_and_missing_ones() {
    assert_snapshot!(told("experimnt: x\n"), @r#"
    error[ablate::spec::unknown_field]: there is no section `experimnt`
      --> study.yaml:1:1
    1 | experimnt: x
      | ^^^^^^^^^
      help: did you mean `experiment`?

    error[ablate::spec::missing_field]: the section `experiment` is missing
      --> study.yaml:1:1
    1 | experimnt: x
      | ^
      help: begin with `experiment: NAME`

    error[ablate::spec::missing_field]: the section `stages` is missing
      --> study.yaml:1:1
    1 | experimnt: x
      | ^
      help: write `stages:` and, indented below, `NAME: {use: KIND, ...}`
    "#);
}

#[test]
fn two_problems_at_once() {
    assert_snapshot!(told(&with("use: sample", "use: sampel").replace("lr: 2e-5", "lr: fast")), @r#"
    error[ablate::spec::unknown_stage]: there is no stage kind `sampel`
      --> study.yaml:4:15
    4 |   docs: {use: sampel, documents: scifact.corpus, count: 100, seed: 1}
      |               ^^^^^^
      help: did you mean `sample`?

    error[ablate::spec::wrong_type]: `retriever.lr` takes a number, not string "fast"
       --> study.yaml:11:69
    11 |   retriever: {use: train/biencoder, data: triples, base: small, lr: fast, seed: 7}
       |                                                                     ^^^^
    "#);
}

#[test]
fn an_option_that_does_not_fit() {
    assert_snapshot!(told_with(STUDY, &[("docs.count", "none"), ("queries.decoding.temprature", "1"), ("dosc.count", "1"), ("docs", "1")]), @r#"
    error[ablate::spec::unknown_reference]: --set dosc.count=1: there is no stage `dosc`
      --> study.yaml
      help: did you mean `docs`?

    error[ablate::spec::bad_set]: --set docs=1: names no field of a stage
      --> study.yaml
      help: write `--set stage.field=VALUE`

    error[ablate::spec::wrong_type]: --set docs.count=none: `docs.count` takes a whole number from 0, not string "none"
      --> study.yaml

    error[ablate::spec::unknown_field]: --set queries.decoding.temprature=1: `generate` has no field `decoding.temprature`
      --> study.yaml
      help: did you mean `temperature`?
    "#);
}

#[test]
fn report_and_expect() {
    assert_snapshot!(told(&and("report: {test: t-test, baseline: {sytem: scores}}\nexpect:\n  - {where: {a: b}, tolerance: 1}\n")), @r#"
    error[ablate::spec::unknown_value]: `report.test` cannot be `t-test`
       --> study.yaml:14:16
    14 | report: {test: t-test, baseline: {sytem: scores}}
       |                ^^^^^^
       help: there is `paired-t`, `wilcoxon`, `randomization`

    error[ablate::spec::unknown_axis]: there is no axis `sytem`
       --> study.yaml:14:35
    14 | report: {test: t-test, baseline: {sytem: scores}}
       |                                   ^^^^^
       help: did you mean `system`?

    error[ablate::spec::missing_field]: this expectation names no measure
       --> study.yaml:16:5
    16 |   - {where: {a: b}, tolerance: 1}
       |     ^
       help: write `MEASURE: VALUE`, as in `nDCG@10: 0.65`

    error[ablate::spec::unknown_axis]: there is no axis `a`
       --> study.yaml:16:14
    16 |   - {where: {a: b}, tolerance: 1}
       |              ^
       help: there is `system`
    "#);
}

#[test]
fn intervals_and_margins() {
    let report = "report: {interval: boostrap, confidence: 95, equivalence: -0.01}\n";
    assert_snapshot!(told(&and(report)), @r"
    error[ablate::spec::unknown_value]: `report.interval` cannot be `boostrap`
       --> study.yaml:14:20
    14 | report: {interval: boostrap, confidence: 95, equivalence: -0.01}
       |                    ^^^^^^^^
       help: did you mean `bootstrap`?

    error[ablate::spec::out_of_range]: `report.confidence` must be a number between 0 and 1, not `95`
       --> study.yaml:14:42
    14 | report: {interval: boostrap, confidence: 95, equivalence: -0.01}
       |                                          ^^

    error[ablate::spec::out_of_range]: `report.equivalence` must be a number above 0, not `-0.01`
       --> study.yaml:14:59
    14 | report: {interval: boostrap, confidence: 95, equivalence: -0.01}
       |                                                           ^^^^^
    ");
}

#[test]
fn a_measure_nobody_computes() {
    let report = "report: {measure: nDCG@1O}\nexpect:\n  - {where: {system: scores}, ndcg@10: 0.6}\n";
    assert_snapshot!(told(&and(report)), @r"
    error[ablate::spec::unknown_measure]: no stage measures `nDCG@1O`
       --> study.yaml:14:19
    14 | report: {measure: nDCG@1O}
       |                   ^^^^^^^
       help: did you mean `nDCG@10`?

    error[ablate::spec::unknown_measure]: no stage measures `ndcg@10`
       --> study.yaml:16:31
    16 |   - {where: {system: scores}, ndcg@10: 0.6}
       |                               ^^^^^^^
       help: did you mean `nDCG@10`?
    ");
}

#[test]
fn a_measure_of_the_stages_default_or_varied_is_not_refused() {
    let varied = "sweep: {axes: {m: {scores.measures: [[AP], [nDCG@10]]}}}\nreport: {measure: AP}\n";
    assert_eq!(told(&and(varied)), "");
}
