//! Files that are no YAML, or YAML that says something else than it seems to.

use ablate_spec::{Source, render};
use insta::assert_snapshot;

use crate::fakes::{and, told, with};

/// Nine lists of nine: 9^6 values if they were written out.
fn bomb() -> String {
    let line = |to: char, from: &str| format!("{to}: &{to} [{}]\n", [from; 9].join(", "));
    let head = line('a', "x");
    let rest: String = ["ab", "bc", "cd", "de", "ef"]
        .iter()
        .map(|pair| line(pair.chars().nth(1).unwrap(), &format!("*{}", &pair[..1])))
        .collect();
    format!("{head}{rest}")
}

fn not_utf8() -> String {
    let problem = Source::decode("study.yaml", b"experiment: x\nabout: caf\xe9\n".to_vec()).unwrap_err();
    let source = Source {
        name: "study.yaml".into(),
        text: String::new(),
    };
    render(&[problem], &source, false)
}

#[test]
fn a_tab_in_the_indentation() {
    assert_snapshot!(told("experiment: x\nstages:\n\tdocs: {use: sample}\n"), @r#"
    error[ablate::spec::yaml]: a tab stands in the indentation
      --> study.yaml:3:2
    3 |  docs: {use: sample}
      |  ^
      help: indent with spaces
    "#);
}

#[test]
fn a_bracket_that_is_never_closed() {
    assert_snapshot!(told(&with("measures: [nDCG@10]}", "measures: [nDCG@10\nreport: {measure: nDCG@10}")), @r#"
    error[ablate::spec::yaml]: this `[` is never closed
       --> study.yaml:13:74
    13 |   scores: {use: evaluate, run: run, qrels: scifact.qrels.test, measures: [nDCG@10
       |                                                                          ^
    14 | report: {measure: nDCG@10}
       |       - `]` or `,` expected before this
       help: add a `]`
    "#);
}

#[test]
fn a_bracket_that_is_never_closed_at_the_end() {
    assert_snapshot!(told("experiment: x\nstages: {a: {use: sample}\n"), @r#"
    error[ablate::spec::yaml]: this `{` is never closed
      --> study.yaml:2:9
    2 | stages: {a: {use: sample}
      |         ^
    2 | stages: {a: {use: sample}
      |         - `}` or `,` expected before this
      help: add a `}`
    "#);
}

#[test]
fn a_bracket_closed_by_another() {
    assert_snapshot!(told("experiment: x\nstages: {a: [1, 2}\n"), @r#"
    error[ablate::spec::yaml]: `[` is closed by `}`
      --> study.yaml:2:13
    2 | stages: {a: [1, 2}
      |             ^
      help: close it with its own bracket
    "#);
}

#[test]
fn a_quote_that_is_never_closed() {
    assert_snapshot!(told("experiment: 'x\nstages: {}\n"), @r#"
    error[ablate::spec::yaml]: a quoted text is never closed before here
      --> study.yaml:2:1
    2 | stages: {}
      | ^
      help: close the quote
    "#);
}

#[test]
fn a_colon_in_plain_text() {
    assert_snapshot!(told("experiment: one: two\n"), @r#"
    error[ablate::spec::yaml]: a `:` cannot stand here
      --> study.yaml:1:16
    1 | experiment: one: two
      |                ^
      help: indent the key like its neighbours, or quote text that holds `: `
    "#);
}

#[test]
fn a_key_that_stands_twice() {
    assert_snapshot!(told(&with("count: 100, seed: 1", "count: 100, seed: 1, count: 5")), @r#"
    error[ablate::spec::duplicate_key]: the key `count` stands twice, first on line 4
      --> study.yaml:4:71
    4 |   docs: {use: sample, documents: scifact.corpus, count: 100, seed: 1, count: 5}
      |                                                                       ^^^^^
    4 |   docs: {use: sample, documents: scifact.corpus, count: 100, seed: 1, count: 5}
      |                                                  ----- first here
      help: keep one of them
    "#);
}

#[test]
fn an_alias_bomb() {
    assert_snapshot!(told(&bomb()), @r#"
    error[ablate::spec::too_large]: the aliases of this file expand to too much
      --> study.yaml:6:8
    6 | f: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e]
      |        ^^
      help: write the values out instead of nesting aliases
    "#);
}

#[test]
fn an_empty_file() {
    assert_snapshot!(told(""), @r#"
    error[ablate::spec::empty_file]: there is nothing in this file
      --> study.yaml
      help: begin with `experiment: NAME` and `stages:`
    "#);
}

#[test]
fn a_file_of_comments() {
    assert_snapshot!(told("# to do\n"), @r#"
    error[ablate::spec::empty_file]: there is nothing in this file
      --> study.yaml
      help: begin with `experiment: NAME` and `stages:`
    "#);
}

#[test]
fn a_file_that_is_not_utf8() {
    assert_snapshot!(not_utf8(), @r#"
    error[ablate::spec::not_utf8]: the byte at offset 24 is not UTF-8
      --> study.yaml:2:11
      help: save the file as UTF-8
    "#);
}

#[test]
fn two_documents() {
    assert_snapshot!(told(&and("---\nexperiment: other\n")), @r#"
    error[ablate::spec::yaml]: a second document begins here
       --> study.yaml:14:1
    14 | ---
       | ^^^
       help: keep one experiment in a file, and drop the `---`
    "#);
}

#[test]
fn numbers_that_read_two_ways() {
    assert_snapshot!(told(&with("count: 100, seed: 1", "count: 0100, seed: 99999999999999999999")), @r#"
    error[ablate::spec::ambiguous_number]: `0100` begins with 0: octal to some parsers, decimal to others
      --> study.yaml:4:57
    4 |   docs: {use: sample, documents: scifact.corpus, count: 0100, seed: 99999999999999999999}
      |                                                         ^^^^
      help: drop the 0, or quote it if it is a name

    error[ablate::spec::ambiguous_number]: `99999999999999999999` does not fit in 64 bits
      --> study.yaml:4:69
    4 |   docs: {use: sample, documents: scifact.corpus, count: 0100, seed: 99999999999999999999}
      |                                                                     ^^^^^^^^^^^^^^^^^^^^
      help: quote it if it is a name
    "#);
}

#[test]
fn no_number() {
    assert_snapshot!(told(&with("lr: 2e-5", "lr: .nan")), @r#"
    error[ablate::spec::out_of_range]: `.nan` is no number an experiment can use
       --> study.yaml:11:69
    11 |   retriever: {use: train/biencoder, data: triples, base: small, lr: .nan, seed: 7}
       |                                                                     ^^^^
       help: write a finite number
    "#);
}

#[test]
fn a_terminal_escape_is_not_passed_on() {
    assert_snapshot!(told("experiment: x\nstages: {a: {use: \"\\e[31m\"}}\n"), @r#"
    error[ablate::spec::unknown_stage]: there is no stage kind `�[31m`
      --> study.yaml:2:19
    2 | stages: {a: {use: "\e[31m"}}
      |                   ^^^^^^^^
      help: there is `collection`, `sample`, `generate`, `negatives`, `train/biencoder`, `retrieve/dense`, `evaluate`
    "#);
}
