//! Faults from outside: signals, a disk that takes no more, damaged and newer stores. Each gives a clear message and the
//! right exit code, leaves a store that verifies, and the plain command ends well afterwards.
#![allow(clippy::unwrap_used)]

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

const EXPERIMENT: &str = "\
experiment: faults
stages:
  data:   {use: collection, source: demo}
  run:    {use: retrieve/bm25, corpus: data.corpus, queries: data.queries.test, depth: 100}
  scores: {use: evaluate, run: run, qrels: data.qrels.test, measures: [nDCG@10]}
";

fn binary() -> PathBuf {
    // The binary of another package of the workspace lies two folders above this test's own.
    let own = std::env::current_exe().unwrap();
    own.parent().unwrap().parent().unwrap().join("ablate")
}

fn ablate(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command
        .args(arguments)
        .args(["--store", "store"])
        .current_dir(folder);
    command.output().unwrap()
}

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

fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("e.yaml"), text).unwrap();
    folder
}

/// A run whose last node sleeps until `go` stands beside the experiment, begun.
fn sleeping(folder: &Path) -> Child {
    let mut command = Command::new(binary());
    command
        .args(["run", "e.yaml", "--store", "store"])
        .current_dir(folder);
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (partial, began) = (folder.join("store/partial"), Instant::now());
    let begun = || {
        let folders = |path: &Path| {
            fs_err::read_dir(path)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path())
        };
        let mut works = folders(&partial).flat_map(|path| folders(&path).collect::<Vec<_>>());
        works.any(|work| work.join("manifest.json").exists())
    };
    while !begun() {
        assert!(
            began.elapsed() < Duration::from_mins(1),
            "the command never began"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    child
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
    fs_err::write(folder.path().join("e.yaml"), slow(folder.path())).unwrap();
    let mut child = sleeping(folder.path());
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    fs_err::write(folder.path().join("go"), "").unwrap();
    ends_well(folder.path());
}

#[test]
fn a_killed_run_leaves_nothing_to_clear() {
    let folder = folder("");
    fs_err::write(folder.path().join("e.yaml"), slow(folder.path())).unwrap();
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
    fs_err::write(folder.path().join("e.yaml"), text).unwrap();
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

/// Whether this user is stopped by permissions at all: root is not.
fn permissions_hold(folder: &Path) -> bool {
    let file = folder.join("probe");
    fs_err::write(&file, "").unwrap();
    fs_err::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    fs_err::File::open(&file).is_err()
}
