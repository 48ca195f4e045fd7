//! The promises of the store: what is written is found, what is damaged is named, the first writer wins, and keys
//! never move by themselves.
#![allow(clippy::unwrap_used, clippy::format_collect, clippy::float_cmp, missing_docs)]

use ablate_cache::{Committed, OutputRecord, Store, StoreError, Trace};
use ablate_core::{ArtifactKind, Record, canon::Value, check_rows, rows::Query};
use arrow::array::RecordBatch;

fn queries(texts: &[&str]) -> RecordBatch {
    let mut rows: Vec<_> = texts
        .iter()
        .enumerate()
        .map(|(i, text)| Query {
            query_id: format!("q{i}"),
            text: (*text).into(),
        })
        .collect();
    check_rows(&mut rows).unwrap()
}

fn preimage(count: i128) -> Value {
    Value::map([
        ("kind", Value::text("sample")),
        (
            "params",
            Value::map([("count", Value::Int(count)), ("ratio", Value::Float(0.1))]),
        ),
    ])
}

fn trace(store: &Store, count: i128, texts: &[&str]) -> Trace {
    let output = store
        .put_rows(ArtifactKind::Queries, &queries(texts))
        .unwrap()
        .at("queries", ArtifactKind::Queries);
    trace_with(count, vec![output])
}

fn trace_with(count: i128, outputs: Vec<OutputRecord>) -> Trace {
    let preimage = preimage(count);
    let key = Trace::key_of(&preimage);
    Trace {
        tokens: None,
        key,
        preimage,
        outputs,
        seconds: 0.5,
        finished: 1,
        host: "test".into(),
        notes: vec![],
        warnings: vec![],
    }
}

fn open() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    (folder, store)
}

#[test]
fn keys_are_golden() {
    // A moved line here means that every cache in the world is void: never change it without a reason to.
    let golden = include_str!("golden_keys.txt");
    let now: String = (0..3)
        .map(|count| format!("{} {}\n", count, Trace::key_of(&preimage(count))))
        .collect();
    assert_eq!(now, golden);
}

#[test]
fn rows_come_back_as_they_went_in() {
    let (_folder, store) = open();
    let batch = queries(&["one", "two"]);
    let output = store
        .put_rows(ArtifactKind::Queries, &batch)
        .unwrap()
        .at("queries", ArtifactKind::Queries);
    assert_eq!(store.read_rows(&output).unwrap(), batch);
    assert_eq!(Query::decode(&batch).unwrap().len(), 2);
}

#[test]
fn a_committed_trace_survives_and_the_first_writer_wins() {
    let (folder, store) = open();
    let first = trace(&store, 1, &["one"]);
    assert_eq!(
        store.commit(std::slice::from_ref(&first)).unwrap(),
        [Committed::New]
    );
    let reopened = Store::open(folder.path().join("store")).unwrap();
    assert_eq!(reopened.trace(first.key).unwrap(), Some(first.clone()));
    assert_eq!(
        reopened.commit(std::slice::from_ref(&first)).unwrap(),
        [Committed::Kept]
    );
    let other = trace(&store, 1, &["something else"]);
    assert_eq!(
        store.commit(&[other]).unwrap(),
        [Committed::Differs(Box::new(first.clone()))]
    );
    assert_eq!(store.trace(first.key).unwrap(), Some(first));
}

#[test]
fn a_trace_whose_object_is_gone_is_replaced() {
    let (_folder, store) = open();
    let first = trace(&store, 1, &["one"]);
    store.commit(std::slice::from_ref(&first)).unwrap();
    store.discard(first.outputs[0].file).unwrap();
    let again = trace(&store, 1, &["as another version of the writer would lay it out"]);
    assert_eq!(
        store.commit(std::slice::from_ref(&again)).unwrap(),
        [Committed::New]
    );
    assert_eq!(store.trace(first.key).unwrap(), Some(again));
}

#[test]
fn a_flipped_bit_is_named() {
    let (folder, store) = open();
    let kept = trace(&store, 1, &["one", "two"]);
    store.commit(std::slice::from_ref(&kept)).unwrap();
    assert!(store.verify().unwrap().findings.is_empty());

    let name = kept.outputs[0].file.to_string();
    let object = folder.path().join("store/objects").join(&name[..2]).join(&name);
    let mut bytes = fs_err::read(&object).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs_err::write(&object, bytes).unwrap();
    assert!(
        matches!(store.read_rows(&kept.outputs[0]), Err(StoreError::Damaged { path, .. }) if path == object)
    );
    assert_eq!(store.verify().unwrap().findings[0].path, object);
}

#[test]
fn a_cut_trace_is_damage_and_leftovers_are_not() {
    let (folder, store) = open();
    let kept = trace(&store, 1, &["one"]);
    store.commit(std::slice::from_ref(&kept)).unwrap();
    fs_err::write(folder.path().join("store/partial/leftover"), "half").unwrap();
    trace(&store, 2, &["an object no trace names"]);
    assert!(store.verify().unwrap().findings.is_empty());

    let name = kept.key.to_string();
    let path = folder
        .path()
        .join("store/traces")
        .join(&name[..2])
        .join(format!("{name}.json"));
    let text = fs_err::read_to_string(&path).unwrap();
    fs_err::write(&path, &text[..text.len() / 2]).unwrap();
    assert!(matches!(store.trace(kept.key), Err(StoreError::Damaged { .. })));
}

#[test]
fn verify_finds_a_trace_whose_preimage_is_not_its_key() {
    let (_folder, store) = open();
    let lie = Trace {
        preimage: preimage(7),
        ..trace(&store, 1, &["one"])
    };
    store.commit(&[lie]).unwrap();
    assert_eq!(
        store.verify().unwrap().findings[0].what,
        "its pre-image does not give its key"
    );
}

#[test]
fn recipes_pass_over_a_line_cut_by_a_kill() {
    let (folder, store) = open();
    let key = Trace::key_of(&preimage(1));
    let recipe = |n: i128| ablate_core::RecipeId(Value::Int(n).digest("test"));
    store.record_recipes(&[(recipe(1), key)]).unwrap();
    let mut known = store.recipes().unwrap();
    let log = folder.path().join("store/recipes.log");
    let text = fs_err::read_to_string(&log).unwrap();
    fs_err::write(&log, format!("{text}{}", &text[1..40])).unwrap();
    store.read_recipes(&mut known).unwrap();
    store.record_recipes(&[(recipe(2), key)]).unwrap();
    assert!(known.lead(recipe(1), key) && !known.lead(recipe(2), key));
    store.read_recipes(&mut known).unwrap();
    for known in [known, store.recipes().unwrap()] {
        assert!(known.lead(recipe(1), key) && known.lead(recipe(2), key));
        assert!(!known.lead(recipe(3), key));
    }
}

#[test]
fn a_newer_store_is_refused() {
    let (folder, store) = open();
    drop(store);
    fs_err::write(folder.path().join("store/format"), "ablate store 99\n").unwrap();
    let error = Store::open(folder.path().join("store")).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("has store format 99; this ablate reads format 1"),
        "{error}"
    );
}

#[test]
fn the_lock_of_an_action_is_held_once() {
    let (folder, store) = open();
    let other = Store::open(folder.path().join("store")).unwrap();
    let key = Trace::key_of(&preimage(1));
    let held = store.try_lock(key).unwrap();
    assert!(held.is_some());
    assert!(other.try_lock(key).unwrap().is_none());
    drop(held);
    assert!(other.try_lock(key).unwrap().is_some());
}

/// What kept keys lead to stays, everything else goes, and the trace of what went still stands.
#[test]
fn only_garbage_is_collected() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (kept, lost) = (trace(&store, 1, &["kept"]), trace(&store, 2, &["lost"]));
    store.commit(&[kept.clone(), lost.clone()]).unwrap();
    fs_err::write(store.root().join("partial/leftover"), "of a kill").unwrap();
    let checkpoints = store.checkpoints(Trace::key_of(&Value::Int(77))).unwrap();
    store.checkpoints(kept.key).unwrap();
    assert!(
        Store::open_alone(folder.path()).unwrap().is_none(),
        "it is in use"
    );
    drop(store);
    let store = Store::open_alone(folder.path()).unwrap().unwrap();
    let garbage = store.garbage(&[kept.key].into()).unwrap();
    assert_eq!(garbage.paths.len(), 3, "{garbage:?}");
    store.collect(&garbage).unwrap();
    assert!(store.has_object(kept.outputs[0].file) && !store.has_object(lost.outputs[0].file));
    assert_eq!(store.trace(lost.key).unwrap(), Some(lost));
    assert!(checkpoints.exists(), "that computation is not finished");
    let seen = store.verify().unwrap();
    assert_eq!((seen.removed, seen.findings), (1, vec![]));
}

#[test]
fn rows_are_streamed_from_any_place_on() {
    let (_folder, store) = open();
    let texts: Vec<String> = (0..1500).map(|i| format!("text {i}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let batch = queries(&texts);
    let output = store
        .put_rows(ArtifactKind::Queries, &batch)
        .unwrap()
        .at("queries", ArtifactKind::Queries);
    let mut stream = store.stream_rows(&output, None, 1400).unwrap();
    assert_eq!(stream.next().unwrap().unwrap(), batch.slice(1400, 100));
    assert!(stream.next().is_none());
    let ids = store.stream_rows(&output, Some(&["query_id"]), 0).unwrap();
    let rows: usize = ids
        .map(|part| part.unwrap())
        .inspect(|part| assert_eq!(part.num_columns(), 1))
        .map(|part| part.num_rows())
        .sum();
    assert_eq!(rows, 1500);
    assert!(store.stream_rows(&output, None, 9999).unwrap().next().is_none());
}
