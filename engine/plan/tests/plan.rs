//! What a sweep comes to: which nodes there are, what they read, and which fold into one.
#![allow(clippy::unwrap_used, clippy::panic)]

use ablate_core::{ArtifactKind as Kind, Input, Io, Of, Output, Places, Stage, StageError, StageKind};
use ablate_plan::{Plan, PlanError, Selection, plan};
use ablate_spec::{Source, load, render};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Number {
    #[serde(default)]
    n: u32,
    #[serde(default)]
    seed: u32,
}

macro_rules! kinds {
    ($($name:ident = $kind:literal [$($input:expr),*] -> $output:expr;)*) => {
        $(
            struct $name;
            impl Stage for $name {
                const NAME: &'static str = $kind;
                const VERSION: u32 = 1;
                const ABOUT: &'static str = "a kind that never runs";
                const INPUTS: &'static [Input] = &[$($input),*];
                const OUTPUTS: &'static [Output] = &[$output];
                type Params = Number;
                fn run(_: &Number, _: &Io<'_>) -> Result<(), StageError> {
                    Ok(())
                }
            }
        )*
        const KINDS: &[&dyn StageKind] = &[$(&Of::<$name>::NEW),*];
    };
}

kinds! {
    Make = "make" [] -> Output::of("corpus", Kind::Corpus);
    Judge = "judge" [] -> Output::of("qrels", Kind::Qrels);
    Step = "step" [Input::of("from", Kind::Corpus)] -> Output::of("corpus", Kind::Corpus);
    Measure = "measure" [Input::of("from", Kind::Corpus), Input::of("qrels", Kind::Qrels)] -> Output::of("scores", Kind::Scores);
}

fn try_plan(text: &str) -> Result<Plan, PlanError> {
    plan_only(text, &[])
}

fn plan_only(text: &str, only: &[(&str, &str)]) -> Result<Plan, PlanError> {
    let source = Source {
        name: "plan.yaml".into(),
        text: text.into(),
    };
    let (experiment, problems) = load(&source, KINDS, &[], &[]);
    let experiment = experiment.unwrap_or_else(|| panic!("{}", render(&problems, &source, false)));
    let only: Vec<_> = only
        .iter()
        .map(|(axis, label)| ((*axis).into(), (*label).into()))
        .collect();
    let selection = Selection::of(&experiment, &only).unwrap_or_else(|error| panic!("{error}"));
    plan(&experiment, &Places::default(), &selection)
}

fn nodes(text: &str) -> Vec<String> {
    nodes_only(text, &[])
}

fn nodes_only(text: &str, only: &[(&str, &str)]) -> Vec<String> {
    let plan = plan_only(text, only).unwrap();
    plan.order.iter().map(|at| plan.node(*at).name.clone()).collect()
}

const CHAIN: &str = "\
experiment: chain
stages:
  b: {use: step, from: a}
  a: {use: make}
  c: {use: step, from: b}
  judged: {use: judge}
  scores: {use: measure, from: c, qrels: judged}
";

#[test]
fn producers_stand_first_whatever_the_order_of_the_file() {
    assert_eq!(nodes(CHAIN), ["a", "b", "c", "judged", "scores"]);
}

#[test]
fn an_axis_multiplies_only_what_it_reaches() {
    let sweep = format!("{CHAIN}sweep: {{axes: {{k: {{b.n: [1, 2]}}, l: {{c.n: [3, 4]}}}}}}\n");
    let expected = [
        "a",
        "b[k=1]",
        "b[k=2]",
        "c[k=1,l=3]",
        "c[k=1,l=4]",
        "c[k=2,l=3]",
        "c[k=2,l=4]",
        "judged",
        "scores[k=1,l=3]",
        "scores[k=1,l=4]",
        "scores[k=2,l=3]",
        "scores[k=2,l=4]",
    ];
    assert_eq!(nodes(&sweep), expected);
}

#[test]
fn nodes_of_equal_structure_are_one_and_arms_stay_apart() {
    let sweep = format!("{CHAIN}sweep: {{axes: {{k: {{one: {{c.n: 5}}, other: {{c.n: 5, c.seed: 0}}}}}}}}\n");
    let plan = try_plan(&sweep).unwrap();
    assert_eq!(plan.order.len(), 5, "{}", plan.outline());
    let arms: Vec<_> = plan.arms.iter().map(|arm| arm.place.point["k"].clone()).collect();
    assert_eq!(arms, ["one", "other"]);
    assert_eq!(plan.arms[0].node, plan.arms[1].node);
}

#[test]
fn replicates_are_zipped_and_no_axis() {
    let sweep = format!("{CHAIN}sweep: {{replicate: {{b.seed: [1, 2], c.seed: [8, 9]}}}}\n");
    let expected = [
        "a",
        "b[seed=1]",
        "b[seed=2]",
        "c[seed=1]",
        "c[seed=2]",
        "judged",
        "scores[seed=1]",
        "scores[seed=2]",
    ];
    assert_eq!(nodes(&sweep), expected);
    let plan = try_plan(&sweep).unwrap();
    assert!(plan.arms.iter().all(|arm| arm.place.point.is_empty()));
}

#[test]
fn an_axis_called_seed_is_not_taken_for_the_replicates() {
    let sweep = format!("{CHAIN}sweep: {{axes: {{seed: {{b.n: [1, 2]}}}}, replicate: {{c.seed: [1, 2]}}}}\n");
    assert_eq!(
        nodes(&sweep).iter().filter(|name| name.starts_with("b[")).count(),
        2
    );
    let plan = try_plan(&sweep).unwrap();
    let places: Vec<_> = plan
        .arms
        .iter()
        .map(|arm| (&arm.place.point["seed"], &arm.place.replicate))
        .collect();
    assert_eq!(places.len(), 4);
    assert!(places.iter().all(|(_, replicate)| replicate.is_some()));
}

#[test]
fn excluded_points_leave_no_node_and_included_ones_add_theirs() {
    let sweep = format!(
        "{CHAIN}sweep:\n  axes: {{k: {{b.n: [1, 2]}}, l: {{c.n: [3, 4]}}}}\n  exclude: [{{k: 2, l: 4}}]\n  \
         include: [{{label: wide, b.n: 9, c.n: 9}}]\n"
    );
    let names = nodes(&sweep);
    assert!(!names.contains(&"c[k=2,l=4]".to_owned()), "{names:?}");
    assert!(names.contains(&"c[include=wide]".to_owned()), "{names:?}");
    assert_eq!(names.iter().filter(|name| name.starts_with("scores")).count(), 4);
}

#[test]
fn an_axis_over_a_port_rewires() {
    let text = "\
experiment: rewired
stages:
  x: {use: make, n: 1}
  y: {use: make, n: 2}
  c: {use: step, from: x}
  judged: {use: judge}
  scores: {use: measure, from: c, qrels: judged}
sweep: {axes: {k: {c.from: [x, y]}}}
";
    let plan = try_plan(text).unwrap();
    let lines = plan.outline();
    assert!(lines.contains("c[k=x] <- from: x.corpus"), "{lines}");
    assert!(lines.contains("c[k=y] <- from: y.corpus"), "{lines}");
}

#[test]
fn names_and_order_of_stages_do_not_reach_a_recipe() {
    let renamed = CHAIN
        .replace(" b", " second")
        .replace(" a}", " first}")
        .replace("  a:", "  first:");
    let recipes = |text: &str| {
        let plan = try_plan(text).unwrap();
        let mut all: Vec<_> = plan.order.iter().map(|at| plan.node(*at).recipe).collect();
        all.sort();
        all
    };
    assert_eq!(recipes(CHAIN), recipes(&renamed));
    assert_ne!(
        recipes(CHAIN),
        recipes(&CHAIN.replace("from: a}", "from: a, n: 1}"))
    );
}

#[test]
fn an_axis_within_a_label_varies_there_alone() {
    let sweep = format!(
        "{CHAIN}sweep:\n  axes:\n    k:\n      plain: {{b.n: 1}}\n      long: {{b.n: 2, axes: {{m: {{c.n: [3, 4]}}}}}}\n"
    );
    let expected = [
        "a",
        "b[k=plain]",
        "b[k=long]",
        "c[k=plain]",
        "c[k=long,m=3]",
        "c[k=long,m=4]",
        "judged",
        "scores[k=plain]",
        "scores[k=long,m=3]",
        "scores[k=long,m=4]",
    ];
    assert_eq!(nodes(&sweep), expected);
    let without = format!("{sweep}  exclude: [{{k: long, m: 4}}]\n");
    assert!(!nodes(&without).contains(&"scores[k=long,m=4]".to_owned()));
}

fn n_of(plan: &Plan, name: &str) -> i64 {
    let at = plan.order.iter().find(|at| plan.node(**at).name == name);
    let params = plan.node(*at.unwrap()).bound.params();
    params["n"].as_i64().unwrap()
}

#[test]
fn an_override_holds_where_its_labels_do_and_wins() {
    let sweep = format!(
        "{CHAIN}sweep:\n  axes: {{k: {{b.n: [1, 2]}}, l: {{c.n: [3, 4]}}}}\n  override:\n    \
         - {{where: {{k: 2, l: 4}}, c.n: 9}}\n    - {{where: {{k: 2, l: 4}}, c.n: 10, c.seed: 1}}\n"
    );
    let plan = try_plan(&sweep).unwrap();
    let found = ["c[k=1,l=3]", "c[k=1,l=4]", "c[k=2,l=3]", "c[k=2,l=4]"].map(|name| n_of(&plan, name));
    assert_eq!(found, [3, 4, 3, 10]);
}

#[test]
fn an_override_of_a_stage_the_axis_does_not_move_splits_it() {
    let sweep = format!(
        "{CHAIN}sweep:\n  axes: {{k: {{c.n: [1, 2, 3]}}}}\n  override: {{where: {{k: 3}}, a.n: 7}}\n"
    );
    let names = nodes(&sweep);
    let of_a: Vec<_> = names.iter().filter(|name| name.starts_with('a')).collect();
    assert_eq!(of_a, ["a[k=1]", "a[k=3]"], "equal ones are one");
}

#[test]
fn an_included_point_stands_at_labels() {
    let sweep = format!(
        "{CHAIN}sweep:\n  axes: {{k: {{b.n: [1, 2]}}, l: {{c.n: [3, 4]}}}}\n  exclude: {{k: 2}}\n  include:\n    \
         - {{k: 2, l: 4}}\n    - {{k: 2, label: deep, c.n: 9}}\n"
    );
    let plan = try_plan(&sweep).unwrap();
    assert_eq!(n_of(&plan, "c[k=2,l=4]"), 4);
    assert_eq!(n_of(&plan, "c[include=deep,k=2]"), 9);
    assert_eq!(plan.arms.len(), 4, "{}", plan.outline());
}

#[test]
fn only_the_points_asked_for_are_in_order_and_what_leads_to_no_result_is_not() {
    let text = "\
experiment: chosen
stages:
  a: {use: make}
  mined: {use: step, from: a, n: 1}
  written: {use: step, from: a, n: 2}
  c: {use: step, from: mined}
  d: {use: step, from: a, n: 8}
  judged: {use: judge}
  scores: {use: measure, from: c, qrels: judged}
  lexical: {use: measure, from: d, qrels: judged}
sweep:
  axes: {negatives: {c.from: [mined, written]}}
  replicate: {c.seed: [1, 2]}
";
    let whole = nodes(text);
    let written = nodes_only(text, &[("negatives", "written")]);
    let expected = [
        "a",
        "written",
        "c[negatives=written,seed=1]",
        "c[negatives=written,seed=2]",
        "d",
        "judged",
        "scores[negatives=written,seed=1]",
        "scores[negatives=written,seed=2]",
        "lexical",
    ];
    assert_eq!(written, expected);
    assert_eq!(
        nodes_only(text, &[("negatives", "written"), ("negatives", "mined")]),
        whole
    );
    let one = plan_only(text, &[("negatives", "mined"), ("seed", "2")]).unwrap();
    let arms: Vec<_> = one
        .arms
        .iter()
        .map(|arm| format!("{}{}", arm.system, arm.place.suffix()))
        .collect();
    assert_eq!(arms, ["scores[negatives=mined,seed=2]", "lexical"]);
    assert_eq!(
        one.graph.node_count(),
        whole.len(),
        "the others are known, and left out"
    );
}

#[test]
fn points_that_do_not_exist_are_told() {
    let sweep = format!("{CHAIN}sweep: {{axes: {{colour: {{b.n: [1, 2]}}}}}}\n");
    let source = Source {
        name: "plan.yaml".into(),
        text: sweep,
    };
    let experiment = load(&source, KINDS, &[], &[]).0.unwrap();
    let told = |axis: &str, label: &str| {
        let wanted = [(axis.to_owned(), label.to_owned())];
        Selection::of(&experiment, &wanted).unwrap_err().to_string()
    };
    assert_eq!(
        told("color", "1"),
        "the sweep has no axis `color`: did you mean `colour`?"
    );
    assert_eq!(told("colour", "77"), "the axis `colour` has no `77`: it has 1, 2");
}
