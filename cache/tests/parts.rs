//! Tables in parts: the same content as in one piece, and damage found before a row is given out.
#![allow(clippy::unwrap_used, missing_docs)]

use ablate_cache::{OutputRecord, Store, StoreError};
use ablate_core::{ArtifactKind, Record, rows::Document};
use arrow::{array::RecordBatch, compute::concat_batches};

fn documents(count: usize) -> RecordBatch {
    let document = |at: usize| Document {
        doc_id: format!("d{at:06}"),
        title: (!at.is_multiple_of(3)).then(|| format!("title {at}")),
        text: "words ".repeat(at % 7),
    };
    Document::encode(&(0..count).map(document).collect::<Vec<_>>()).unwrap()
}

/// A store with a table of 20,000 rows, written in parts of 3,000.
fn written() -> (tempfile::TempDir, Store, RecordBatch, OutputRecord) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    let whole = documents(20_000);
    let part = |at: usize| Ok::<_, StoreError>(whole.slice(at, 3_000.min(20_000 - at)));
    let parts = (0..20_000).step_by(3_000).map(part);
    let object = store
        .put_parts(ArtifactKind::Corpus, Document::schema(), parts)
        .unwrap();
    let output = object.at("corpus", ArtifactKind::Corpus);
    (folder, store, whole, output)
}

#[test]
fn parts_are_the_whole() {
    let (_folder, store, whole, output) = written();
    let in_one = store.put_rows(ArtifactKind::Corpus, &whole).unwrap();
    assert_eq!((output.content, output.rows), (in_one.content, in_one.rows));
    let parts: Vec<RecordBatch> = store.read_parts(&output).unwrap().map(Result::unwrap).collect();
    assert!(parts.len() > 1);
    assert_eq!(concat_batches(&Document::schema(), &parts).unwrap(), whole);
    assert_eq!(store.read_rows(&output).unwrap(), whole);
}

#[test]
fn no_part_of_a_damaged_table_is_read() {
    let (folder, store, _, output) = written();
    let digest = output.file.to_string();
    let path = folder
        .path()
        .join("store/objects")
        .join(&digest[..2])
        .join(&digest);
    let mut bytes = fs_err::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs_err::write(&path, bytes).unwrap();
    assert!(matches!(
        store.read_parts(&output).err(),
        Some(StoreError::Damaged { .. })
    ));
}

#[test]
fn a_part_that_fails_leaves_nothing() {
    let (_folder, store, whole, _) = written();
    let lost = || StoreError::Refused("lost".into());
    let parts = [Ok(whole.slice(0, 10)), Err(lost())];
    let result = store.put_parts(ArtifactKind::Corpus, Document::schema(), parts.into_iter());
    assert_eq!(result.unwrap_err().to_string(), "lost");
    assert_eq!(fs_err::read_dir(store.root().join("partial")).unwrap().count(), 0);
}
