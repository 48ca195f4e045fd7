//! Broken files get problems, never a panic.

use ablate_spec::{Source, render};

use crate::fakes::{and, read};

fn whole() -> String {
    and(
        "sweep:\n  axes:\n    k: {docs.count: [1, 2]}\n    m: {a: {queries.model: small}, b: &b {queries.model: large}}\n  \
         replicate: {docs.seed: [1, 2], retriever.seed: [3, 4]}\n  exclude: [{k: 1, m: a}]\n  include: [{label: é, docs.count: 3}]\n\
         report: {measure: nDCG@10, baseline: {system: scores}, test: wilcoxon, interval: t, confidence: 0.9, equivalence: 0.01}\nexpect: [{where: {k: 1}, nDCG@10: 0.5, tolerance: 1e-3}]\n",
    )
}

/// Every problem must be printable, with its place inside the text.
fn survives(text: &str) {
    let (experiment, problems) = read(text);
    let source = Source {
        name: "study.yaml".into(),
        text: text.into(),
    };
    assert!(
        experiment.is_some() || !render(&problems, &source, true).is_empty(),
        "{text}"
    );
    for span in problems.iter().filter_map(|problem| problem.at) {
        assert!(
            span.offset <= text.len() && span.line >= 1 && span.column >= 1,
            "{text}"
        );
    }
}

#[test]
fn every_beginning_of_a_file_is_survived() {
    let text = whole();
    assert_eq!(read(&text).1, []);
    for (end, _) in text.char_indices() {
        survives(&text[..end]);
    }
}

#[test]
fn every_changed_character_is_survived() {
    let text = whole();
    for (at, old) in text.char_indices() {
        for new in [
            "", "\t", "{", "]", ":", "\n", "&", "*", "'", "é", "\0", "0", "- ", "null",
        ] {
            survives(&format!("{}{new}{}", &text[..at], &text[at + old.len_utf8()..]));
        }
    }
}

#[test]
fn every_missing_line_is_survived() {
    let text = whole();
    let lines: Vec<_> = text.lines().collect();
    for missing in 0..lines.len() {
        let rest: Vec<_> = lines[..missing]
            .iter()
            .chain(&lines[missing + 1..])
            .copied()
            .collect();
        survives(&rest.join("\n"));
    }
}

#[test]
fn deep_nesting_is_refused() {
    survives(&"[".repeat(100_000));
    survives(&"- ".repeat(10_000));
    survives(&format!("{}x", "a: {".repeat(1_000)));
}

#[test]
fn a_long_chain_of_stages_is_read() {
    let link = |at: usize| format!("  s{}: {{use: sample, documents: s{at}, count: 1}}\n", at + 1);
    let chain = (0..2_000).map(link).collect::<Vec<_>>().concat();
    let (_, problems) = read(&and(&format!(
        "{chain}  s0: {{use: sample, documents: s2000, count: 1}}\n"
    )));
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].code, "ablate::spec::cycle");
}

#[test]
fn an_axis_of_a_thousand_values_is_read() {
    let values: Vec<_> = (1..=1000).map(|value| value.to_string()).collect();
    let text = and(&format!(
        "sweep:\n  axes:\n    k: {{docs.seed: [{}]}}\n",
        values.join(", ")
    ));
    let (experiment, _) = read(&text);
    assert_eq!(experiment.unwrap().sweep.axes[0].points.len(), 1000);
}
