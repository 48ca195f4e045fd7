//! Faults from outside: signals, a disk that takes no more, damaged and newer stores. Each gives a clear message and the
//! right exit code, leaves a store that verifies, and the plain command ends well afterwards.
#![allow(clippy::unwrap_used)]

use std::{
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use ablate_e2e::program::{ablate, begun, binary, command, folder, write};

const EXPERIMENT: &str = "\
experiment: faults
stages:
  data:   {use: collection, source: demo}
  run:    {use: retrieve/bm25, corpus: data.corpus, queries: data.queries.test, depth: 100}
  scores: {use: evaluate, run: run, qrels: data.qrels.test, measures: [nDCG@10]}
";

/// The plain command ends well and the store is sound.
fn ends_well(folder: &Path) {
    let output = ablate(folder, &["run", "e.yaml"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(ablate(folder, &["verify"]).status.success());
}

/// A run whose last node sleeps until `go` stands beside the experiment, begun.
fn sleeping(folder: &Path) -> Child {
    let mut command = command(folder, &["run", "e.yaml"]);
    begun(folder, command.stdout(Stdio::null()).stderr(Stdio::null()))
}

fn slow(folder: &Path) -> String {
    let go = folder.join("go").display().to_string();
    let script = format!("until test -e {go}; do sleep 0.05; done; cp $ABLATE_IN_RANKING $ABLATE_OUT_RUN");
    format!(
        "{EXPERIMENT}  slow: {{use: command, ranking: run, run: [sh, -c, '{script}'], outputs: [run], version: 1}}\n"
    )
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args([name, &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

#[test]
fn a_terminated_run_stops_cleanly() {
    let folder = folder("");
    write(folder.path(), &slow(folder.path()));
    let mut child = sleeping(folder.path());
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    fs_err::write(folder.path().join("go"), "").unwrap();
    ends_well(folder.path());
}

#[test]
fn a_killed_run_leaves_nothing_to_clear() {
    let folder = folder("");
    write(folder.path(), &slow(folder.path()));
    let mut child = sleeping(folder.path());
    signal(&child, "-KILL");
    child.wait().unwrap();
    assert!(
        ablate(folder.path(), &["verify"]).status.success(),
        "leftovers of a kill are no damage"
    );
    fs_err::write(folder.path().join("go"), "").unwrap();
    ends_well(folder.path());
}

/// The limit on the size of files makes the operating system refuse writes half-way, as a full disk does.
#[test]
fn a_disk_that_takes_no_more_is_told_and_leaves_a_sound_store() {
    for blocks in [0, 1, 8, 40] {
        let folder = folder(EXPERIMENT);
        let binary = binary();
        let script = format!(
            "trap '' XFSZ; ulimit -f {blocks}; exec {} run e.yaml --store store",
            binary.display()
        );
        let output = Command::new("sh")
            .args(["-c", &script])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            matches!(output.status.code(), Some(1 | 5)),
            "{blocks} blocks: {:?} {errors}",
            output.status
        );
        assert!(errors.contains("File too large"), "{blocks} blocks: {errors}");
        ends_well(folder.path());
    }
}

#[test]
fn a_newer_store_is_refused_and_left_alone() {
    let folder = folder(EXPERIMENT);
    ends_well(folder.path());
    let format = folder.path().join("store/format");
    fs_err::write(&format, "ablate store 99\n").unwrap();
    let output = ablate(folder.path(), &["run", "e.yaml"]);
    assert_eq!(output.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&output.stderr).contains("store format 99"));
}

#[test]
fn damage_is_named_by_verify_and_mended_by_a_run() {
    let folder = folder(EXPERIMENT);
    ends_well(folder.path());
    let shards = fs_err::read_dir(folder.path().join("store/traces")).unwrap();
    for shard in shards {
        for trace in fs_err::read_dir(shard.unwrap().path()).unwrap() {
            let path = trace.unwrap().path();
            let bytes = fs_err::read(&path).unwrap();
            fs_err::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        }
    }
    let output = ablate(folder.path(), &["verify"]);
    assert_eq!(output.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&output.stdout).contains("its checksum does not match"));
    ends_well(folder.path());
}

/// A program that ignores signals keeps the first Ctrl-C waiting; the second ends the run at once.
#[test]
fn the_second_interrupt_does_not_wait() {
    let folder = folder("");
    let go = folder.path().join("go").display().to_string();
    let text = slow(folder.path()).replace("until test", "trap : INT TERM; until test");
    write(folder.path(), &text);
    let mut child = sleeping(folder.path());
    signal(&child, "-INT");
    // Not two at once: the system may make one of them.
    std::thread::sleep(Duration::from_millis(100));
    if child.try_wait().unwrap().is_none() {
        signal(&child, "-INT");
    }
    assert_eq!(child.wait().unwrap().code(), Some(130));
    fs_err::write(go, "").unwrap();
    ends_well(folder.path());
}

/// Whether this test runs as one whom permissions do not stop.
fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.trim_ascii() == b"0"
}

/// `ablate` as a user who may read the folder and write nothing but `log`.
fn as_reader(folder: &Path, arguments: &[&str]) -> Output {
    use std::os::unix::fs::PermissionsExt;
    let (program, log) = (folder.join("ablate"), folder.join("log"));
    fs_err::copy(binary(), &program).unwrap();
    fs_err::create_dir_all(&log).unwrap();
    let allow = |path: &Path, mode| fs_err::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    allow(&log, 0o777);
    allow(folder, 0o755);
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--clear-groups"]).arg(&program);
        command
    } else {
        for path in ["store", "store/lock"] {
            allow(&folder.join(path), 0o555);
        }
        Command::new(&program)
    };
    command
        .args(arguments)
        .args(["--store", "store"])
        .env("XDG_CACHE_HOME", &log)
        .current_dir(folder);
    command.output().unwrap()
}

#[test]
fn a_store_that_may_only_be_read_serves_reuse() {
    let folder = folder(EXPERIMENT);
    ends_well(folder.path());
    let output = as_reader(folder.path(), &["run", "e.yaml", "--json"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(errors.contains("the store is read-only"), "{errors}");
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let nodes = answer["nodes"].as_array().unwrap();
    assert!(nodes.iter().all(|node| node["status"] == "reused"), "{answer}");
    assert!(folder.path().join("log/ablate/runs").is_dir());
}

#[test]
fn a_store_that_must_not_be_made_is_told() {
    let folder = folder(EXPERIMENT);
    fs_err::create_dir(folder.path().join("store")).unwrap();
    fs_err::write(folder.path().join("store/lock"), "").unwrap();
    let output = as_reader(folder.path(), &["run", "e.yaml"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{errors}");
    assert!(
        errors.contains("Permission denied") && errors.contains("store"),
        "{errors}"
    );
}

/// A run that a fast clock dated into the future does not hide the runs after it.
#[test]
fn a_clock_that_goes_backwards_does_not_hide_the_latest_run() {
    let folder = folder(EXPERIMENT);
    ends_well(folder.path());
    let runs = folder.path().join("store/runs");
    let first = fs_err::read_dir(&runs).unwrap().next().unwrap().unwrap().path();
    let future = runs.join("29991231-235959-0001");
    fs_err::rename(first, &future).unwrap();
    write(folder.path(), &EXPERIMENT.replace("depth: 100", "depth: 3"));
    let output = ablate(folder.path(), &["run", "e.yaml", "--json"]);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let table = ablate(folder.path(), &["table", "latest", "--json"]);
    let rows: serde_json::Value = serde_json::from_slice(&table.stdout).unwrap();
    assert_eq!(rows, answer["table"]);
    assert!(
        answer["run"].as_str().unwrap() > "29991231-235959",
        "{}",
        answer["run"]
    );
}
