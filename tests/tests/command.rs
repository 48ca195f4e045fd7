//! The stage `command` through the command line: programs that do well, and all the ways they do not.
#![allow(clippy::unwrap_used)]

use std::{path::Path, process::Output};

use ablate_e2e::program::ablate;

use serde_json::Value;

fn run(folder: &Path, command: &str) -> (Output, Value) {
    let text = format!(
        "experiment: own\nstages:\n  data: {{use: collection, source: demo}}\n  own: {{use: command, {command}}}\n"
    );
    fs_err::write(folder.join("own.yaml"), text).unwrap();
    let output = ablate(folder, &["run", "own.yaml", "--json"]);
    let answer = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output, answer)
}

/// What became of the node `own`: its status, and the reason.
fn own(folder: &Path, command: &str) -> (String, String) {
    let (output, answer) = run(folder, command);
    let nodes = answer["nodes"].as_array();
    let nodes = nodes.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let node = nodes.iter().find(|node| node["name"] == "own").unwrap();
    let text = |field: &str| node[field].as_str().unwrap().to_owned();
    let failed = text("status") == "failed";
    assert_eq!(output.status.code(), Some(i32::from(failed)));
    (text("status"), text("reason"))
}

const COPY: &str = "corpus: data.corpus, run: [sh, '{files}'], files: copy.sh, outputs: [corpus], version: 1";

fn script(folder: &Path, text: &str) {
    fs_err::write(folder.join("copy.sh"), text).unwrap();
}

#[test]
fn a_program_runs_again_when_its_files_or_its_version_change_and_only_then() {
    let folder = tempfile::tempdir().unwrap();
    let status = |command: &str| own(folder.path(), command).0;
    script(folder.path(), "cp $ABLATE_IN_CORPUS $ABLATE_OUT_CORPUS\n");
    assert_eq!(status(&format!("{COPY}, timeout_seconds: 1e300")), "ran");
    assert_eq!(status(COPY), "reused");
    assert_eq!(status(&format!("{COPY}, timeout_seconds: 60")), "reused");
    assert_eq!(status(&COPY.replace("version: 1", "version: 2")), "ran");
    script(
        folder.path(),
        "echo working; cp \"$ABLATE_IN_CORPUS\" \"$ABLATE_OUT_CORPUS\"\n",
    );
    assert_eq!(status(COPY), "ran");
}

#[test]
fn what_goes_wrong_is_told_with_the_last_lines() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        (
            "echo almost; exit 3",
            "`sh` ended with code 3; its last lines:\n  | almost",
        ),
        (
            "echo begun; kill -9 $$",
            "`sh` was killed by signal 9; its last lines:\n  | begun",
        ),
        (
            "sleep 100 & echo waiting; wait",
            "`sh` was ended: it ran for more than 0.5 s; its last lines:\n  | waiting",
        ),
        ("true", "the output `corpus` of the command: it wrote no "),
        (
            "echo text > $ABLATE_OUT_CORPUS",
            "the output `corpus` of the command: it is not Parquet: ",
        ),
        (
            "cp $ABLATE_IN_QUERIES $ABLATE_OUT_CORPUS",
            "the output `corpus` of the command: there is no column `query_id`",
        ),
    ];
    for (program, expected) in cases {
        script(folder.path(), program);
        let command = format!("{COPY}, queries: data.queries.test, timeout_seconds: 0.5");
        let (status, reason) = own(folder.path(), &command);
        assert_eq!(status, "failed", "{program}");
        assert!(reason.starts_with(expected), "{program}: {reason}");
    }
    let verified = ablate(folder.path(), &["verify"]);
    assert!(verified.status.success());
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (status, reason) = own(
        folder.path(),
        "run: [no-such-program], outputs: [corpus], version: 1",
    );
    assert_eq!(status, "failed");
    assert!(
        reason.starts_with("`no-such-program` cannot be started"),
        "{reason}"
    );
}
