//! Trainers in a process that is killed (SIGKILL) at ten steps, and begun again each time, end with the digests of one that nobody
//! killed.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;
#[path = "../../models/tests/common/mod.rs"]
#[allow(dead_code)]
mod encoders;
#[path = "../../models/tests/common/generator.rs"]
mod generator;

use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
};

use ablate_core::{
    Seed,
    rows::{Pair, PromptRow},
};
use common::{
    MemoryHost, kind,
    texts::{triples, words},
};
use serde_json::{Value, json};

/// What the process is to do: a trainer, the step it stops behind, and the folder of its checkpoints.
const JOB: &str = "ABLATE_TEST_KILLED";
const KILLS: u64 = 10;
const SIGKILL: i32 = 9;

fn digests(trainer: &str, host: MemoryHost, fields: &Value) -> String {
    let digests = host.run(kind(trainer), fields.clone());
    let lines = digests.iter().map(|(port, digest)| format!("{port} {digest}"));
    lines.collect::<Vec<_>>().join(" ")
}

fn queries() -> Vec<Pair> {
    let pair = |row: usize| Pair {
        query_id: format!("d{row}#0"),
        query: words(row),
        doc_id: format!("d{row}"),
        text: words(row + 40),
        mean_logprob: None,
        score: None,
        reasoning: None,
        prompt_tokens: 0,
        new_tokens: 0,
        finish: "stop".into(),
    };
    (0..12).map(pair).collect()
}

/// The digests that a trainer's run ends with, on the host that `of` makes of one with its inputs.
fn run(trainer: &str, of: impl Fn(MemoryHost) -> MemoryHost) -> String {
    if trainer == "train/biencoder" {
        let model = encoders::tiny_encoder();
        let host = MemoryHost::new().with("data", triples());
        let fields = json!({"epochs": 20, "steps": 44, "batch": 8, "lr": 1e-3, "max_length": 16});
        return digests(
            trainer,
            of(host.with_source("base", "tiny", model.path())),
            &fields,
        );
    }
    let model = generator::tiny_generator();
    let prompt = PromptRow {
        part: "template".into(),
        text: "{document} Query:".into(),
    };
    let host = MemoryHost::new()
        .with("data", queries())
        .with("prompt", vec![prompt]);
    let lora = json!({"rank": 4, "dropout": 0.1});
    let fields = json!({"epochs": 20, "steps": 44, "batch": 4, "rows_at_once": 2, "lr": 1e-3, "max_length": 64, "lora": lora});
    digests(
        trainer,
        of(host.with_source("base", "tiny", model.path())),
        &fields,
    )
}

/// The step behind which the process waits to be killed.
static LAST: AtomicU64 = AtomicU64::new(u64::MAX);

fn told(step: u64) {
    println!("step {step}");
    if step > LAST.load(Ordering::Relaxed) {
        std::thread::park();
    }
}

#[test]
#[ignore = "the process that the other tests start"]
fn process() {
    let Ok(job) = std::env::var(JOB) else { return };
    let parts: Vec<&str> = job.splitn(3, ' ').collect();
    LAST.store(parts[1].parse().unwrap(), Ordering::Relaxed);
    let ended = run(parts[0], |host| host.with_checkpoints(Path::new(parts[2]), told));
    println!("ended {ended}");
}

/// What a process ends with; nothing if it was killed once it had told of step `kill`, a step later at the most.
fn life(trainer: &str, folder: &Path, kill: Option<u64>) -> Option<String> {
    let last = kill.unwrap_or(u64::MAX);
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["process", "--exact", "--ignored", "--nocapture"])
        .env(JOB, format!("{trainer} {last} {}", folder.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ended = None;
    for line in BufReader::new(process.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if line.ends_with(&format!("step {last}")) {
            process.kill().unwrap();
        }
        ended = line
            .split_once("ended ")
            .map(|(_, digests)| digests.to_owned())
            .or(ended);
    }
    let signal = process.wait().unwrap().signal();
    assert_eq!(
        signal,
        kill.map(|_| SIGKILL),
        "{trainer}: killed behind step {last}"
    );
    ended
}

fn survives(trainer: &str) {
    let whole = run(trainer, |host| host);
    let folder = tempfile::tempdir().unwrap();
    let mut chance = Seed::root(9).child(trainer).stream();
    for kill in 0..KILLS {
        // A process may come one step further, whose checkpoint is the next one's first.
        let step = 4 * kill + 1 + (2.0 * chance.uniform()) as u64;
        assert_eq!(life(trainer, folder.path(), Some(step)), None);
    }
    assert_eq!(life(trainer, folder.path(), None), Some(whole));
}

#[test]
fn a_bi_encoder_survives_ten_kills() {
    survives("train/biencoder");
}

#[test]
fn adapters_survive_ten_kills() {
    survives("train/sft");
}
