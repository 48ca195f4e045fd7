//! The row memo: what is kept, found, merged and noticed when damaged.
#![allow(clippy::unwrap_used)]

use std::{path::PathBuf, time::Duration};

use ablate_cache::{FlushPolicy, Memo, Store};
use ablate_core::{Digest, canon};

fn key(number: u32) -> Digest {
    Digest::of(&number.to_le_bytes())
}

fn value(number: u32) -> Vec<u8> {
    format!("the value of row {number}")
        .repeat(1 + number as usize % 5)
        .into_bytes()
}

fn namespace() -> canon::Value {
    canon::Value::map([("function", canon::Value::text("test"))])
}

fn open(store: &Store) -> Memo {
    store.memo(&namespace(), FlushPolicy::default()).unwrap()
}

fn fill(memo: &Memo, rows: std::ops::Range<u32>) {
    rows.for_each(|number| memo.keep(key(number), value(number)).unwrap());
    memo.flush().unwrap();
}

fn segments(store: &Store) -> Vec<PathBuf> {
    let folder = store
        .root()
        .join("memo")
        .join(namespace().digest("ablate memo v1").to_string());
    let mut paths: Vec<_> = fs_err::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "parquet"));
    paths.sort();
    paths
}

fn known(memo: &Memo, numbers: &[u32]) -> Vec<bool> {
    let keys: Vec<_> = numbers.iter().map(|number| key(*number)).collect();
    let recalled = memo.recall(&keys).unwrap();
    for (number, found) in numbers.iter().zip(&recalled.values) {
        assert!(
            found.as_ref().is_none_or(|found| *found == value(*number)),
            "row {number}"
        );
    }
    recalled.values.iter().map(Option::is_some).collect()
}

#[test]
fn rows_are_found_by_another_process_and_only_those() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    fill(&open(&store), 0..100);
    fill(&open(&store), 200..210);
    let again = Store::open(folder.path()).unwrap();
    assert_eq!(
        known(&open(&again), &[5, 150, 205, 99, 5]),
        [true, false, true, true, true]
    );
    let other = again
        .memo(&canon::Value::text("other"), FlushPolicy::default())
        .unwrap();
    assert_eq!(known(&other, &[5]), [false]);
}

#[test]
fn a_drop_keeps_what_waits() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    open(&store).keep(key(1), value(1)).unwrap();
    assert_eq!(known(&open(&store), &[1]), [true]);
}

#[test]
fn rows_are_written_after_the_interval_or_in_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let policy = FlushPolicy {
        rows: 10,
        longest: Duration::ZERO,
    };
    let eager = store.memo(&namespace(), policy).unwrap();
    eager.keep(key(0), value(0)).unwrap();
    assert_eq!(segments(&store).len(), 1);
    let patient = open(&store);
    (1..200).for_each(|number| patient.keep(key(number), value(number)).unwrap());
    assert_eq!(segments(&store).len(), 1, "neither interval has passed");
}

#[test]
fn many_segments_are_merged_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    for number in 0..100 {
        fill(&open(&store), number..number + 3);
        assert!(segments(&store).len() < 40);
    }
    let all: Vec<u32> = (0..102).collect();
    assert!(known(&open(&store), &all).iter().all(|known| *known));
    assert!(store.verify().unwrap().findings.is_empty());
}

#[test]
fn the_longer_of_two_values_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    for text in ["a row", "a row that was carried on", "a r"] {
        let memo = open(&store);
        memo.keep(key(1), text.into()).unwrap();
    }
    let found = open(&store).recall(&[key(1)]).unwrap().values.remove(0).unwrap();
    assert_eq!(found, b"a row that was carried on");
}

/// A flip anywhere gives the true value or none, is named, and the rows can be kept again.
#[test]
fn a_flipped_bit_is_named_and_never_gives_another_value() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    fill(&open(&store), 0..20);
    let path = segments(&store).remove(0);
    let bytes = fs_err::read(&path).unwrap();
    for at in (0..bytes.len()).step_by(7) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        fs_err::write(&path, flipped).unwrap();
        let findings = store.verify().unwrap().findings;
        assert_eq!(findings.iter().map(|f| &f.path).collect::<Vec<_>>(), [&path]);
        let recalled = open(&store).recall(&[key(3)]).unwrap();
        assert_eq!(
            (recalled.values, recalled.damaged),
            (vec![None], vec![path.clone()])
        );
    }
    fill(&open(&store), 0..20);
    assert_eq!(known(&open(&store), &[3]), [true]);
}

/// Figures for docs/performance.md: `cargo test --release -p ablate-cache --test memo -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement that takes a minute and 2 GB of disk"]
#[expect(clippy::print_stdout, reason = "its figures are what it is for")]
fn lookup_in_ten_million_rows() {
    const ROWS: u32 = 10_000_000;
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let policy = FlushPolicy {
        rows: 400_000,
        longest: Duration::from_hours(1),
    };
    let memo = store.memo(&namespace(), policy).unwrap();
    let began = std::time::Instant::now();
    for number in 0..ROWS {
        memo.keep(key(number), vec![number as u8; 64]).unwrap();
        if number % 400_000 == 399_999 {
            memo.flush().unwrap();
        }
    }
    println!(
        "{ROWS} rows kept in {:.1} s, {} segments",
        began.elapsed().as_secs_f64(),
        segments(&store).len()
    );
    for count in [1, 1_000, 100_000] {
        let keys: Vec<_> = (0..count).map(|at| key(at * (ROWS / count))).collect();
        let began = std::time::Instant::now();
        let found = memo.recall(&keys).unwrap();
        assert!(found.values.iter().all(Option::is_some));
        println!("{count} keys found in {:.2} s", began.elapsed().as_secs_f64());
    }
}
