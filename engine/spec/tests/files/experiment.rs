//! What a good file means.

use ablate_core::{ArtifactKind, Input};
use ablate_spec::{InputRef, resolve, split};
use ablate_stats::{Correction, Interval, Test};
use serde_json::{Value, json};

use crate::fakes::{KINDS, STUDY, and, read, read_with};

fn labels(points: &[ablate_spec::Point]) -> Vec<&str> {
    points.iter().map(|point| point.label.as_str()).collect()
}

#[test]
fn the_study_reads_without_a_word() {
    let (experiment, problems) = read(STUDY);
    assert_eq!(problems, []);
    let experiment = experiment.unwrap();
    let names: Vec<_> = experiment
        .stages
        .iter()
        .map(|stage| stage.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "scifact",
            "docs",
            "queries",
            "triples",
            "retriever",
            "run",
            "scores"
        ]
    );
    assert_eq!(experiment.stages[1].kind.name(), "sample");
    assert_eq!(
        Value::Object(experiment.stages[1].fields.clone()),
        json!({"documents": "scifact.corpus", "count": 100, "seed": 1})
    );
}

#[test]
fn whole_numbers_stay_whole_and_exponents_are_numbers() {
    let fields = &read(STUDY).0.unwrap().stages[4].fields;
    assert!(fields["lr"].is_f64());
    assert_eq!(fields["lr"].as_f64(), Some(0.000_02));
    assert!(fields["seed"].is_u64());
}

#[test]
fn a_seed_may_fill_64_bits() {
    let (experiment, _) = read_with(STUDY, &[("docs.seed", "18446744073709551615")]);
    assert_eq!(experiment.unwrap().stages[1].fields["seed"], json!(u64::MAX));
}

#[test]
fn options_reach_nested_fields() {
    let sets = [("queries.decoding.max_new_tokens", "32"), ("docs.count", "7")];
    let stages = read_with(STUDY, &sets).0.unwrap().stages;
    assert_eq!(
        stages[2].fields["decoding"],
        json!({"temperature": 0.7, "max_new_tokens": 32})
    );
    assert_eq!(stages[1].fields["count"], json!(7));
}

#[test]
fn an_axis_is_a_list_for_one_field_or_labels_for_several() {
    let text = and(
        "sweep:\n  axes:\n    lr: {retriever.lr: [2e-5, 2.0e-4, 1]}\n    negatives:\n      \
                    bm25: {triples.source: bm25}\n      cross: {triples.source: cross_encoder, triples.scorer: m}\n",
    );
    let (experiment, problems) = read(&text);
    assert_eq!(problems, []);
    let sweep = experiment.unwrap().sweep;
    assert_eq!(sweep.axes[0].name, "lr");
    assert_eq!(labels(&sweep.axes[0].points), ["0.00002", "0.0002", "1"]);
    assert_eq!(labels(&sweep.axes[1].points), ["bm25", "cross"]);
    let set = &sweep.axes[1].points[1].sets[1];
    assert_eq!(
        (set.stage.as_str(), set.path.join("."), &set.value),
        ("triples", "scorer".to_owned(), &json!("m"))
    );
    assert_eq!(&text[set.span.offset..set.span.offset + set.span.length], "m");
}

#[test]
fn replicates_go_together_value_by_value() {
    let text = and("sweep: {replicate: {docs.seed: [1, 2], retriever.seed: [10, 20]}}\n");
    let sweep = read(&text).0.unwrap().sweep;
    assert_eq!(labels(&sweep.replicate), ["1", "2"]);
    let values: Vec<_> = sweep.replicate[1].sets.iter().map(|set| &set.value).collect();
    assert_eq!(values, [&json!(2), &json!(20)]);
}

#[test]
fn exclusions_and_single_points() {
    let text = and(
        "sweep:\n  axes: {k: {docs.count: [1, 2]}}\n  exclude: [{k: 2}]\n  include:\n    \
                    - {label: big, docs.count: 900}\n    - {docs.count: 901}\n",
    );
    let sweep = read(&text).0.unwrap().sweep;
    assert_eq!(sweep.exclude[0]["k"], "2");
    let included: Vec<_> = sweep.include.iter().map(|one| one.point.clone()).collect();
    assert_eq!(labels(&included), ["big", "2"]);
}

#[test]
fn a_value_every_point_gives_need_not_stand_in_the_stage() {
    let text = and("sweep:\n  axes:\n    k: {docs.count: [1, 2]}\n").replace("count: 100, ", "");
    assert_eq!(read(&text).1, []);
}

#[test]
fn an_excluded_combination_is_not_looked_at() {
    let axes = "sweep:\n  axes:\n    scorer: {triples.scorer: [null, m]}\n    miner: {triples.source: [bm25, cross_encoder]}\n";
    let excluded = format!("{axes}  exclude: [{{scorer: \"null\", miner: cross_encoder}}]\n");
    assert_eq!(read(&and(axes)).1.len(), 1);
    assert_eq!(read(&and(&excluded)).1, []);
}

#[test]
fn report_and_expect() {
    let text = and(
        "sweep: {axes: {k: {docs.count: [1, 2]}}}\nreport:\n  measure: nDCG@10\n  \
                    baseline: {system: scores, k: 1}\n  test: randomization\n  correction: none\n  interval: bootstrap\n  \
                    confidence: 0.9\n  equivalence: 0.01\nexpect:\n  \
                    - {where: {k: 2}, nDCG@10: 0.5, tolerance: 0.01}\n",
    );
    let (experiment, problems) = read(&text);
    assert_eq!(problems, []);
    let experiment = experiment.unwrap();
    assert_eq!(experiment.report.test, Test::Randomization);
    assert_eq!(experiment.report.correction, Correction::None);
    assert_eq!(experiment.report.interval, Some(Interval::Bootstrap));
    assert_eq!(experiment.report.confidence, Some(0.9));
    assert_eq!(experiment.report.equivalence, Some(0.01));
    assert_eq!(experiment.report.baseline["k"], "1");
    assert_eq!(
        experiment.expect[0].figures["nDCG@10"].to_bits(),
        0.5_f64.to_bits()
    );
}

#[test]
fn a_name_is_a_stage_before_it_is_a_source() {
    let stages = read(STUDY).0.unwrap().stages;
    let model = KINDS
        .iter()
        .find(|kind| kind.name() == "retrieve/dense")
        .unwrap()
        .inputs()[2];
    let stage = |stage: &str, port: &str| InputRef::Stage {
        stage: stage.into(),
        port: port.into(),
    };
    assert_eq!(
        resolve(&stages, &model, "retriever"),
        Ok(stage("retriever", "model"))
    );
    assert_eq!(
        resolve(&stages, &model, "small"),
        Ok(InputRef::Source("small".into()))
    );
    assert_eq!(
        resolve(&stages, &model, "./a.b/c"),
        Ok(InputRef::Source("./a.b/c".into()))
    );
    let queries = Input::of("queries", ArtifactKind::Queries);
    assert_eq!(
        resolve(&stages, &queries, "scifact.queries.test"),
        Ok(stage("scifact", "queries.test"))
    );
}

#[test]
fn fields_split_into_inputs_and_parameters() {
    let stages = read(STUDY).0.unwrap().stages;
    let (ports, params) = split(stages[1].kind, &stages[1].fields);
    assert_eq!(ports.len(), 1);
    assert_eq!(
        (ports[0].0.name, &ports[0].1),
        ("documents", &json!("scifact.corpus"))
    );
    assert_eq!(Value::Object(params), json!({"count": 100, "seed": 1}));
}
