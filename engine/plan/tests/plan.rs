//! What a sweep comes to: which nodes there are, what they read, and which fold into one.
#![allow(clippy::unwrap_used, clippy::panic)]

use ablate_core::{ArtifactKind as Kind, Input, Io, Of, Output, Places, Stage, StageError, StageKind};
use ablate_plan::{Plan, PlanError, plan};
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
    let source = Source {
        name: "plan.yaml".into(),
        text: text.into(),
    };
    let (experiment, problems) = load(&source, KINDS, &[], &[]);
    let experiment = experiment.unwrap_or_else(|| panic!("{}", render(&problems, &source, false)));
    plan(&experiment, &Places::default())
}

fn nodes(text: &str) -> Vec<String> {
    let plan = try_plan(text).unwrap();
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
