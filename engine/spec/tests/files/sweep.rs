//! Sweeps that cannot be run, and what is said of each.

use insta::assert_snapshot;

use crate::fakes::{and, told, told_with};

fn huge() -> String {
    let values: Vec<_> = (1..=1001).map(|value| value.to_string()).collect();
    let values = values.join(", ");
    and(&format!(
        "sweep: {{axes: {{a: {{docs.count: [{values}]}}, b: {{retriever.seed: [{values}]}}}}}}\n"
    ))
}

#[test]
fn values_that_do_not_fit() {
    assert_snapshot!(told(&and("sweep:\n  axes:\n    k: {docs.count: [10, 0, many]}\n")), @r#"
    error[ablate::spec::out_of_range]: `docs.count`: `count` must be at least 1
       --> study.yaml:16:26
    16 |     k: {docs.count: [10, 0, many]}
       |                          ^

    error[ablate::spec::wrong_type]: `docs.count` takes a whole number from 0, not string "many"
       --> study.yaml:16:29
    16 |     k: {docs.count: [10, 0, many]}
       |                             ^^^^
    "#);
}

#[test]
fn an_unknown_field_is_told_once() {
    assert_snapshot!(told(&and("sweep:\n  axes:\n    k: {docs.cuont: [1, 2, 3]}\n")), @r#"
    error[ablate::spec::unknown_field]: `sample` has no field `cuont`
       --> study.yaml:16:9
    16 |     k: {docs.cuont: [1, 2, 3]}
       |         ^^^^^^^^^^
       help: did you mean `count`?
    "#);
}

#[test]
fn an_unknown_stage() {
    assert_snapshot!(told(&and("sweep:\n  axes:\n    k: {dosc.count: [1, 2, 3]}\n")), @r#"
    error[ablate::spec::unknown_reference]: there is no stage `dosc`
       --> study.yaml:16:9
    16 |     k: {dosc.count: [1, 2, 3]}
       |         ^^^^^^^^^^
       help: did you mean `docs`?
    "#);
}

#[test]
fn a_field_without_a_stage() {
    assert_snapshot!(told(&and("sweep:\n  axes:\n    k: {count: [1, 2, 3]}\n")), @r#"
    error[ablate::spec::bad_axis]: `count` names no field of a stage
       --> study.yaml:16:9
    16 |     k: {count: [1, 2, 3]}
       |         ^^^^^
       help: write `stage.field: VALUE`
    "#);
}

#[test]
fn an_unknown_source_at_one_point() {
    assert_snapshot!(told(&and("sweep:\n  axes:\n    generator: {queries.model: [small, huge]}\n")), @r#"
    error[ablate::spec::unknown_reference]: the input `model` names no model and no stage: `huge`
       --> study.yaml:16:40
    16 |     generator: {queries.model: [small, huge]}
       |                                        ^^^^
       help: one of small, large, or a path
    "#);
}

#[test]
fn fields_that_do_not_go_together() {
    assert_snapshot!(told(&and("sweep:\n  axes:\n    negatives:\n      bm25: {triples.source: bm25}\n      cross: {triples.source: cross_encoder}\n")), @r#"
    error[ablate::spec::out_of_range]: `triples.scorer`: `source: cross_encoder` needs a `scorer`
       --> study.yaml:10:3
    10 |   triples: {use: negatives, pairs: queries, corpus: scifact, source: bm25}
       |   ^^^^^^^
    18 |       cross: {triples.source: cross_encoder}
       |               -------------- where `negatives` is `cross`
    "#);
}

#[test]
fn replicates_of_unequal_length() {
    assert_snapshot!(told(&and("sweep:\n  replicate: {docs.seed: [1, 2, 3], retriever.seed: [1, 2]}\n")), @r#"
    error[ablate::spec::unequal_replicates]: `retriever.seed` has 2 values where `docs.seed` has 3
       --> study.yaml:15:53
    15 |   replicate: {docs.seed: [1, 2, 3], retriever.seed: [1, 2]}
       |                                                     ^
       help: the fields of `replicate` go together, value by value: give each as many
    "#);
}

#[test]
fn labels_that_do_not_exist() {
    assert_snapshot!(told(&and("sweep:\n  axes:\n    generator: {queries.model: [small, large]}\n  exclude: [{generator: smal}, {generators: small}]\nreport: {baseline: {system: score, generator: tiny}}\n")), @r#"
    error[ablate::spec::unknown_label]: `generator` has no `smal`
       --> study.yaml:17:25
    17 |   exclude: [{generator: smal}, {generators: small}]
       |                         ^^^^
       help: did you mean `small`?

    error[ablate::spec::unknown_axis]: there is no axis `generators`
       --> study.yaml:17:33
    17 |   exclude: [{generator: smal}, {generators: small}]
       |                                 ^^^^^^^^^^
       help: did you mean `generator`?

    error[ablate::spec::unknown_label]: `system` has no `score`
       --> study.yaml:18:29
    18 | report: {baseline: {system: score, generator: tiny}}
       |                             ^^^^^
       help: did you mean `scores`?

    error[ablate::spec::unknown_label]: `generator` has no `tiny`
       --> study.yaml:18:47
    18 | report: {baseline: {system: score, generator: tiny}}
       |                                               ^^^^
       help: there is `small`, `large`
    "#);
}

#[test]
fn a_label_twice() {
    assert_snapshot!(told(&and("sweep:\n  axes:\n    k: {docs.count: [1, 2, 1]}\n")), @r#"
    error[ablate::spec::duplicate_label]: the axis `k` has `1` twice
       --> study.yaml:16:28
    16 |     k: {docs.count: [1, 2, 1]}
       |                            ^
       help: keep one of them
    "#);
}

#[test]
fn two_axes_on_one_field() {
    assert_snapshot!(told(&and("sweep:\n  axes:\n    a: {queries.decoding: [{temperature: 1}]}\n    b: {queries.decoding.temperature: [0.5, 1.0]}\n")), @r#"
    error[ablate::spec::conflicting_axes]: `b` and `a` both set `queries.decoding.temperature`
       --> study.yaml:17:9
    17 |     b: {queries.decoding.temperature: [0.5, 1.0]}
       |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    16 |     a: {queries.decoding: [{temperature: 1}]}
       |         ---------------- set here too
       help: set it in one of them
    "#);
}

#[test]
fn an_axis_without_a_field() {
    assert_snapshot!(told(&and("sweep:\n  axes:\n    a: [1, 2]\n    b: {x: 1}\n    c: {docs.count: []}\n")), @r#"
    error[ablate::spec::bad_axis]: the axis `a` does not say which field it varies
       --> study.yaml:16:8
    16 |     a: [1, 2]
       |        ^
       help: write `a: {stage.field: [VALUE, ...]}`, or labels: `a: {LABEL: {stage.field: VALUE}}`

    error[ablate::spec::bad_axis]: `x` in the axis `b` must map fields to values
       --> study.yaml:17:9
    17 |     b: {x: 1}
       |         ^
       help: write a list of values, or a label with `{stage.field: VALUE}`

    error[ablate::spec::bad_axis]: the axis `c` is empty
       --> study.yaml:18:21
    18 |     c: {docs.count: []}
       |                     ^
       help: list at least one value
    "#);
}

#[test]
fn everything_excluded() {
    assert_snapshot!(told(&and("sweep:\n  axes:\n    k: {docs.count: [1]}\n  exclude: [{k: 1}]\n")), @r#"
    error[ablate::spec::empty_sweep]: `exclude` leaves no point of the sweep
      --> study.yaml
      help: exclude less
    "#);
}

#[test]
fn too_many_points() {
    assert_snapshot!(told(&huge()), @r#"
    error[ablate::spec::too_large]: the axes multiply to more than 1000000 points
       --> study.yaml:14:20
    14 | sweep: {axes: {a: {docs.count: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 2...
       |                    ^^^^^^^^^^
       help: vary fewer fields at once, or add single points with `include`
    "#);
}

#[test]
fn an_option_on_a_swept_field() {
    assert_snapshot!(told_with(&and("sweep:\n  axes:\n    k: {docs.count: [1, 2]}\n"), &[("docs.count", "5")]), @r#"
    warning[ablate::spec::overridden_set]: --set docs.count=5: `k` sets this field, so the option does nothing where it does
       --> study.yaml:16:9
    16 |     k: {docs.count: [1, 2]}
       |         ^^^^^^^^^^
    "#);
}

#[test]
fn a_swept_kind() {
    assert_snapshot!(told(&and("sweep:\n  axes:\n    k: {docs.use: [sample, generate]}\n")), @r#"
    error[ablate::spec::bad_axis]: the kind of the stage `docs` cannot be varied
       --> study.yaml:16:9
    16 |     k: {docs.use: [sample, generate]}
       |         ^^^^^^^^
       help: write two stages, and vary the input that reads them
    "#);
}

#[test]
fn axes_within_a_label() {
    let nested = "sweep:\n  axes:\n    n:\n      bm25: {triples.source: bm25}\n      deep:\n        triples.source: bm25\n        \
                  axes: {k: {docs.count: [10, 0]}, n: {docs.seed: [1]}}\n  exclude: [{k: 11}]\n";
    assert_snapshot!(told(&and(nested)), @r"
    error[ablate::spec::out_of_range]: `docs.count`: `count` must be at least 1
       --> study.yaml:20:37
    20 |         axes: {k: {docs.count: [10, 0]}, n: {docs.seed: [1]}}
       |                                     ^

    error[ablate::spec::duplicate_axis]: there is an axis `n` already
       --> study.yaml:20:42
    20 |         axes: {k: {docs.count: [10, 0]}, n: {docs.seed: [1]}}
       |                                          ^
       help: give one of them another name

    error[ablate::spec::unknown_label]: `k` has no `11`
       --> study.yaml:21:17
    21 |   exclude: [{k: 11}]
       |                 ^^
       help: there is `10`, `0`
    ");
}

#[test]
fn overrides_that_do_nothing() {
    let sweep = "sweep:\n  axes:\n    k: {docs.count: [10, 20]}\n    n: {one: {retriever.seed: 5}, two: {axes: {m: {queries.model: [small]}}}}\n  \
                 replicate: {docs.seed: [1, 2]}\n  override:\n    - {where: {k: 30}, docs.count: 0}\n    - {docs.count: 5}\n    \
                 - {where: {n: one, m: 7}, docs.count: 5}\n    - {where: {k: 10}, docs.seed: 5}\n    - {where: {k: 10}, docs.count: 0}\n";
    assert_snapshot!(told(&and(sweep)), @r"
    error[ablate::spec::unknown_label]: `k` has no `30`
       --> study.yaml:20:19
    20 |     - {where: {k: 30}, docs.count: 0}
       |                   ^^
       help: there is `10`, `20`

    error[ablate::spec::bad_axis]: an override says where it holds and what it sets
       --> study.yaml:21:7
    21 |     - {docs.count: 5}
       |       ^
       help: write `{where: {AXIS: LABEL}, stage.field: VALUE}`

    error[ablate::spec::unknown_label]: `m` has no `7`
       --> study.yaml:22:27
    22 |     - {where: {n: one, m: 7}, docs.count: 5}
       |                           ^
       help: there is `small`

    error[ablate::spec::conflicting_axes]: `override` and `replicate` both set `docs.seed`
       --> study.yaml:23:24
    23 |     - {where: {k: 10}, docs.seed: 5}
       |                        ^^^^^^^^^
    18 |   replicate: {docs.seed: [1, 2]}
       |               --------- set here too
       help: set it in one of them

    error[ablate::spec::out_of_range]: `docs.count`: `count` must be at least 1
       --> study.yaml:24:36
    24 |     - {where: {k: 10}, docs.count: 0}
       |                                    ^
    ");
}

#[test]
fn an_included_point_at_a_label_that_does_not_exist() {
    let sweep =
        "sweep:\n  axes:\n    k: {docs.count: [10, 20]}\n  include: [{k: 30}, {kk: 10}, {label: only}]\n";
    assert_snapshot!(told(&and(sweep)), @r"
    error[ablate::spec::unknown_label]: `k` has no `30`
       --> study.yaml:17:17
    17 |   include: [{k: 30}, {kk: 10}, {label: only}]
       |                 ^^
       help: there is `10`, `20`

    error[ablate::spec::unknown_axis]: there is no axis `kk`
       --> study.yaml:17:23
    17 |   include: [{k: 30}, {kk: 10}, {label: only}]
       |                       ^^
       help: did you mean `k`?

    error[ablate::spec::bad_axis]: a point of `include` sets nothing
       --> study.yaml:17:32
    17 |   include: [{k: 30}, {kk: 10}, {label: only}]
       |                                ^
       help: write `{label: NAME, stage.field: VALUE}`, or `{AXIS: LABEL}`
    ");
}

#[test]
fn axes_that_never_stand_together_may_set_the_same_field() {
    let apart = "sweep:\n  axes:\n    n:\n      few: {docs.count: 5}\n      many: {axes: {m: {docs.count: [50, 60]}}}\n";
    assert_snapshot!(told(&and(apart)), @"");
    let clash = "sweep:\n  axes:\n    n:\n      few: {docs.count: 5}\n      many: {docs.count: 7, axes: {m: {docs.count: [50]}}}\n";
    assert_snapshot!(told(&and(clash)), @r"
    error[ablate::spec::conflicting_axes]: `m` and `n` both set `docs.count`
       --> study.yaml:18:40
    18 |       many: {docs.count: 7, axes: {m: {docs.count: [50]}}}
       |                                        ^^^^^^^^^^
    18 |       many: {docs.count: 7, axes: {m: {docs.count: [50]}}}
       |              ---------- set here too
       help: set it in one of them
    ");
}
