//! What the documents name must exist: paths, tests, decision records.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use crate::root;

/// Folders of other people's or generated files.
const PASSED_BY: [&str; 5] = ["target", ".git", "store", ".whl", "node_modules"];

/// Paths that a document may name though no checkout holds them.
const MADE_LATER: [&str; 2] = ["cache/store", "target/"];

/// The files under `folder` whose names end in `.extension`, as sorted paths relative to it.
pub(crate) fn files(folder: &Path, extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if PASSED_BY.contains(&name.as_str()) {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            found.extend(
                files(&entry.path(), extension)
                    .into_iter()
                    .map(|below| format!("{name}/{below}")),
            );
        } else if name.rsplit_once('.').is_some_and(|(_, end)| end == extension) {
            found.push(name);
        }
    }
    found.sort();
    found
}

fn documents() -> Vec<(String, String)> {
    let read = |path: String| (path.clone(), fs_err::read_to_string(root().join(path)).unwrap());
    files(root(), "md").into_iter().map(read).collect()
}

/// The texts between backticks on one line.
fn code_spans(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.starts_with("```"))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// The targets of Markdown links, without their anchors.
fn link_targets(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let local = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    local.map(|target| target.split('#').next().unwrap_or_default())
}

/// Whether a code span is a path into this repository: of plain characters, starting with one of its folders.
fn is_path(span: &str) -> bool {
    let plain = span
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    let folder = span.split('/').next().unwrap_or_default();
    plain && folder != "." && span.contains('/') && !folder.is_empty() && root().join(folder).is_dir()
}

fn exists(path: &str) -> bool {
    MADE_LATER.iter().any(|made| path.starts_with(made)) || root().join(path).exists()
}

#[test]
fn paths_in_documents_exist() {
    let mut seen = 0;
    for (document, text) in documents() {
        for span in code_spans(&text) {
            let path = span.split("::").next().unwrap_or_default();
            if is_path(path) {
                seen += 1;
                assert!(exists(path), "{document} names `{path}`, which is not there");
            }
        }
        let folder = Path::new(&document).parent().unwrap();
        for target in link_targets(&text) {
            seen += 1;
            let path = root().join(folder).join(target);
            assert!(path.exists(), "{document} links to {target}, which is not there");
        }
    }
    assert!(seen > 40, "{seen} paths");
}

#[test]
fn tests_in_documents_exist() {
    let mut seen = 0;
    for (document, text) in documents() {
        let named = code_spans(&text).filter_map(|span| span.split_once(".rs::"));
        for (file, test) in named {
            seen += 1;
            let source = fs_err::read_to_string(root().join(format!("{file}.rs")));
            let source = source.unwrap_or_else(|error| panic!("{document}: {error}"));
            assert!(
                source.contains(&format!("fn {test}(")),
                "{document} names {test} of {file}.rs"
            );
        }
    }
    assert!(seen > 10, "{seen} tests");
}

#[test]
fn decision_records_are_numbered_whole_and_listed() {
    let records = files(&root().join("docs/adr"), "md");
    let architecture = fs_err::read_to_string(root().join("docs/architecture.md")).unwrap();
    assert!(!records.is_empty());
    for (number, record) in (1..).zip(&records) {
        assert!(
            record.starts_with(&format!("{number:04}-")),
            "{record} should have number {number}"
        );
        assert!(
            architecture.contains(&format!("(adr/{record})")),
            "docs/architecture.md does not list {record}"
        );
        let text = fs_err::read_to_string(root().join("docs/adr").join(record)).unwrap();
        for part in ["Status: ", "## Context", "## Decision", "## Consequences"] {
            assert!(text.contains(part), "{record} lacks `{part}`");
        }
    }
}

#[test]
fn spans_and_links_are_found() {
    let text = "see `engine/core` and [that](../x.md#y), not [this](https://a.b/c)";
    assert_eq!(code_spans(text).collect::<Vec<_>>(), ["engine/core"]);
    assert_eq!(link_targets(text).collect::<Vec<_>>(), ["../x.md"]);
    assert!(is_path("engine/core") && !is_path("train/biencoder") && !is_path("a b/c"));
    assert!(exists("engine/core/src/lib.rs") && !exists("engine/core/src/nothing.rs"));
}
