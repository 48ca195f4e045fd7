//! What editors, shells and readers are given is made of the stage declarations, and says what `check` says.
#![allow(clippy::unwrap_used)]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use ablate_e2e::program::{LEXICAL as STUDY, binary};
use ablate_spec::Source;
use jsonschema::Validator;
use serde_json::Value;

fn ablate(arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).output().unwrap()
}

fn printed(arguments: &[&str]) -> String {
    let output = ablate(arguments);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {told}");
    String::from_utf8(output.stdout).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn validator() -> Validator {
    let schema: Value = serde_json::from_str(&printed(&["schema"])).unwrap();
    jsonschema::draft7::new(&schema).unwrap()
}

fn tree(text: &str) -> Value {
    let source = Source {
        name: "e.yaml".into(),
        text: text.to_owned(),
    };
    source.json().unwrap_or_else(|| panic!("no YAML: {text}"))
}

/// What the schema says against a text.
fn errors(validator: &Validator, text: &str) -> Vec<String> {
    let tree = tree(text);
    let told = validator.iter_errors(&tree);
    told.map(|error| format!("{} at {}", error, error.instance_path()))
        .collect()
}

/// The code `check` ends with, and what it says.
fn checked(text: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("e.yaml");
    fs_err::write(&file, text).unwrap();
    let output = ablate(&["check", file.to_str().unwrap()]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), told)
}

#[test]
fn committed_files_are_what_is_generated() {
    for (path, arguments) in [
        ("docs/schema/experiment.json", ["schema"].as_slice()),
        ("docs/stages.md", &["stages", "--markdown"]),
    ] {
        let committed = fs_err::read_to_string(root().join(path)).unwrap();
        let command = arguments.join(" ");
        assert!(
            committed == printed(arguments),
            "{path} is old: `cargo run --release -- {command} > {path}`"
        );
    }
}

#[test]
fn every_experiment_names_the_schema_and_validates() {
    let validator = validator();
    let mut seen = 0;
    for entry in fs_err::read_dir(root().join("experiments")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "yaml") {
            seen += 1;
            let text = fs_err::read_to_string(&path).unwrap();
            let line = "# yaml-language-server: $schema=../docs/schema/experiment.json\n";
            assert!(text.starts_with(line), "{}: begin with `{line}`", path.display());
            assert_eq!(errors(&validator, &text), [""; 0], "{}", path.display());
        }
    }
    assert!(seen >= 2);
}

#[test]
fn the_examples_of_all_kinds_are_one_experiment() {
    let kinds: Value = serde_json::from_str(&printed(&["stages", "--json"])).unwrap();
    let lines = kinds.as_array().unwrap().iter();
    let lines: Vec<_> = lines
        .map(|kind| format!("  {}\n", kind["example"].as_str().unwrap()))
        .collect();
    let lines = lines.concat();
    let text = format!("experiment: examples\nstages:\n{lines}");
    let (code, told) = checked(&text);
    assert_eq!(code, Some(0), "{text}{told}");
    assert_eq!(errors(&validator(), &text), [""; 0], "{text}");
}

/// Edits of the study, as what is replaced by what.
fn edited(edits: &[(&str, &str)]) -> Vec<String> {
    let edit = |(old, new): &(&str, &str)| {
        assert!(STUDY.contains(old), "{old}");
        STUDY.replacen(old, new, 1)
    };
    edits.iter().map(edit).collect()
}

#[test]
fn what_check_takes_the_schema_takes() {
    let more = |more: &str| format!("{STUDY}{more}");
    let mut fine = edited(&[
        ("lexical", "2026"),
        ("seed: 1", "seed: 1, min_chars: null"),
        ("source: demo", "source: ./mine"),
        (
            "axes: {k1: {run.k1: [0.9, 1.2]}}",
            "axes: {k1: {0.9: {run.k1: 0.9}, long: {run.k1: 1.2, run.b: 1}}}",
        ),
        (
            "{run.k1: [0.9, 1.2]}}",
            "{run.k1: [0.9, 1.2]}}, replicate: {docs.seed: 1}",
        ),
        (
            "{run.k1: [0.9, 1.2]}}",
            "{run.k1: [0.9, 1.2]}}, include: {label: deep, run.depth: 9}",
        ),
        (
            "{run.k1: [0.9, 1.2]}}",
            "{run.k1: [0.9, 1.2]}}, exclude: {k1: 1.2}",
        ),
        (
            "axes: {k1: {run.k1: [0.9, 1.2]}}",
            "axes: {a: {plain: {run.k1: 0.9}, deep: {run.depth: 9, axes: {b: {run.b: [0, 1]}}}, k1: {axes: {k1: {run.k1: \
             [0.9]}}}}}",
        ),
        (
            "{run.k1: [0.9, 1.2]}}",
            "{run.k1: [0.9, 1.2]}}, include: [{k1: 1.2}, {k1: 1.2, label: deep, run.depth: 9}]",
        ),
        (
            "{run.k1: [0.9, 1.2]}}",
            "{run.k1: [0.9, 1.2]}}, override: [{where: {k1: 1.2}, run.depth: 9}]",
        ),
        ("baseline:", "test: wilcoxon, correction: none, baseline:"),
    ]);
    // What a stage lacks, the sweep may give.
    let lacking = STUDY.replace("count: 1000, ", "");
    fine.push(lacking.replace("axes: {", "axes: {n: {docs.count: [5, 6]}, "));
    fine.push(more("about: A question?\n"));
    fine.push(more("allow_leakage: data.qrels.test\n"));
    fine.push(more(
        "expect: [{where: {k1: 0.9, system: scores}, nDCG@10: 0.5, tolerance: 0.1}]\n",
    ));
    let validator = validator();
    for text in fine {
        let (code, told) = checked(&text);
        assert_eq!(code, Some(0), "{text}{told}");
        assert_eq!(errors(&validator, &text), [""; 0], "{text}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_check_refuses_for_its_shape_the_schema_refuses() {
    let more = |more: &str| format!("{STUDY}{more}");
    let without_sweep = |text: &str| text.split("sweep:").next().unwrap().to_owned();
    let mut bad = edited(&[
        ("experiment: lexical\n", ""),
        ("experiment: lexical", "experiment: ' '"),
        ("stages:\n", "stages: []\nother:\n"),
        ("docs:   ", "all-minilm-l6-v2: "),
        ("docs:   ", "my docs: "),
        ("use: sample", "use: smaple"),
        ("use: sample, ", ""),
        ("use: sample", "use: 3"),
        ("depth", "dpeth"),
        ("depth: 100", "measures: [AP]"),
        ("depth: 100", "depth: many"),
        ("depth: 100", "depth: 1.5"),
        ("depth: 100", "depth: -1"),
        ("depth: 100", "depth: 0"),
        ("depth: 100", "depth: null"),
        ("depth: 100", "b: 1.5"),
        ("depth: 100", "analyser: lucene_english"),
        ("corpus: docs", "corpus: [docs]"),
        ("[nDCG@10]}\nsweep", "[]}\nsweep"),
        ("[nDCG@10]}\nsweep", "[AP, AP]}\nsweep"),
        ("[nDCG@10]}\nsweep", "[nDGC@10]}\nsweep"),
        ("[nDCG@10]}\nsweep", "[P]}\nsweep"),
        ("sweep: {axes", "sweep: {axis"),
        ("{k1: {run.k1: [0.9, 1.2]}}", "{k1: {run.k1: []}}"),
        ("{k1: {run.k1: [0.9, 1.2]}}", "{k1: {}}"),
        ("{k1: {run.k1: [0.9, 1.2]}}", "{k1: {k1: [0.9, 1.2]}}"),
        ("{k1: {run.k1: [0.9, 1.2]}}", "{k1: [0.9, 1.2]}"),
        (
            "{k1: {run.k1: [0.9, 1.2]}}",
            "{k1: {run.k1: [0.9], run.b: [0.1]}}",
        ),
        ("{k1: {run.k1", "{system: {run.k1"),
        ("1.2]}}}", "1.2]}}, replicate: {docs.seed: []}}"),
        ("1.2]}}}", "1.2]}}, include: [{label: nothing}]}"),
        ("1.2]}}}", "1.2]}}, exclude: [{}]}"),
        ("measure: nDCG@10", "mesure: nDCG@10"),
        ("baseline: {k1: 0.9}", "baseline: k1"),
        ("baseline:", "test: t, baseline:"),
        ("baseline:", "correction: hochberg, baseline:"),
    ]);
    bad.push(without_sweep(&STUDY.replace("depth: 100", "k1: 0")));
    bad.push(without_sweep(&STUDY.replace("count: 1000, ", "")));
    bad.push(without_sweep(&STUDY.replace("corpus: docs, ", "")));
    bad.push(more("expect: {nDCG@10: 0.5}\n"));
    bad.push(more("expect: [{nDCG@10: 0.5, tolerance: -1}]\n"));
    bad.push(more("expect: [{where: {k1: 0.9}}]\n"));
    bad.extend(edited(&[
        ("1.2]}}}", "1.2]}}, override: [{run.depth: 9}]}"),
        ("1.2]}}}", "1.2]}}, override: [{where: {k1: 1.2}}]}"),
        (
            "{k1: {run.k1: [0.9, 1.2]}}",
            "{k1: {deep: {axes: {k2: {run.k1: []}}}}}",
        ),
    ]));
    bad.push(more("defaults: {}\n"));
    bad.push(more("allow_leakage: [data]\n"));
    let validator = validator();
    for text in bad {
        assert_eq!(checked(&text).0, Some(3), "check takes {text}");
        assert_ne!(errors(&validator, &text), [""; 0], "the schema takes {text}");
    }
}

#[test]
fn the_schema_offers_kinds_fields_and_models() {
    let schema: Value = serde_json::from_str(&printed(&["schema"])).unwrap();
    let stage = &schema["properties"]["stages"]["additionalProperties"];
    let kinds = stage["properties"]["use"]["enum"].as_array().unwrap();
    let texts = stage["properties"]["use"]["enumDescriptions"].as_array().unwrap();
    assert_eq!(kinds.len(), texts.len());
    let branches = stage["allOf"].as_array().unwrap().iter();
    let mut generate = branches.filter(|branch| branch["if"]["properties"]["use"]["const"] == "generate");
    let known = &generate.next().unwrap()["then"]["properties"];
    let models = known["model"]["examples"].as_array().unwrap();
    assert!(models.contains(&"smollm2-135m-instruct".into()), "{models:?}");
    let tokens = &known["decoding"]["properties"]["max_new_tokens"];
    let count = &known["per_document"];
    assert_eq!(
        [&tokens["minimum"], &count["minimum"], &count["default"]],
        [&Value::from(1); 3]
    );
    let batch = known["decoding"]["properties"]["batch"]["description"]
        .as_str()
        .unwrap();
    assert!(batch.contains("never moves a result"), "{batch}");
}

#[test]
fn a_kind_is_shown_with_what_moves_its_key() {
    let text = printed(&["stages", "retrieve/dense"]);
    for expected in [
        "model    model                 the encoder of documents and queries; a stage, or a model: a name of the catalogue",
        "similarity       cosine | dot [\"cosine\"]",
        "cosine: Their dot product over their lengths.",
        "Texts encoded at once. Execution only: never moves a result or a key.",
        "  dense: {use: retrieve/dense,",
    ] {
        assert!(text.contains(expected), "`{expected}` is not in\n{text}");
    }
    let kind: Value = serde_json::from_str(&printed(&["stages", "retrieve/dense", "--json"])).unwrap();
    let find = |name: &str| {
        let parameters = kind["parameters"].as_array().unwrap();
        parameters
            .iter()
            .find(|parameter| parameter["name"] == name)
            .unwrap()
    };
    assert_eq!(
        (&find("batch")["role"], &find("depth")["role"]),
        (&"execution".into(), &"meaning".into())
    );
    assert_eq!(find("max_length")["range"], "at least 3");
    assert_eq!(find("depth")["default"], 1000);
    let unknown = ablate(&["stages", "retrieve/dens"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("retrieve/dense"));
}

#[test]
fn shells_complete_kinds_models_and_runs() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = printed(&["completions", shell]);
        assert!(script.contains("ABLATE_COMPLETE"), "{shell}: {script}");
    }
    assert_eq!(ablate(&["completions", "tcsh"]).status.code(), Some(2));
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let offered = |words: &[&str]| {
        let mut command = Command::new(binary());
        command.env("ABLATE_COMPLETE", "fish").env("ABLATE_STORE", &store);
        let output = command.args(["--", "ablate"]).args(words).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(offered(&["stages", "neg"]).starts_with("negatives\t"));
    assert!(offered(&["models", "fetch", "all"]).starts_with("all-minilm-l6-v2\t"));
    assert!(offered(&["table", "la"]).starts_with("latest\t"));
    assert!(!store.exists(), "completion makes no store");
    fs_err::write(folder.path().join("e.yaml"), STUDY).unwrap();
    let file = folder.path().join("e.yaml");
    let run = [
        "run",
        file.to_str().unwrap(),
        "--store",
        store.to_str().unwrap(),
        "--json",
    ];
    let answer: Value = serde_json::from_str(&printed(&run)).unwrap();
    let id = answer["run"].as_str().unwrap();
    assert!(offered(&["show", &id[..4]]).contains(&format!("{id}\tlexical, ")));
    assert!(offered(&["show", id, "run"]).contains("run[k1=0.9]\tretrieve/bm25"));
}

#[test]
fn help_is_by_purpose_and_manual_pages_are_written() {
    let help = printed(&["help"]);
    let places: Vec<_> = [
        "Experiments:\n  check ",
        "Results:\n  table ",
        "Store:\n  verify ",
        "set-up:\n  stages ",
    ]
    .iter()
    .map(|heading| {
        help.find(heading)
            .unwrap_or_else(|| panic!("no {heading} in {help}"))
    })
    .collect();
    assert!(places.is_sorted() && !help.contains("Others:"));
    let folder = tempfile::tempdir().unwrap();
    let man = folder.path().join("man");
    printed(&["man", man.to_str().unwrap()]);
    let page = |name: &str| fs_err::read_to_string(man.join(name)).unwrap();
    assert!(page("ablate.1").contains("ablate\\-run(1)"));
    assert!(page("ablate-run.1").contains("goes on where it was"));
    assert!(page("ablate-models-fetch.1").contains("all\\-minilm\\-l6\\-v2"));
}
