//! What trainers ask of their ports.
#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;
#[path = "../../models/tests/common/generator.rs"]
#[allow(dead_code)]
mod generator;

use ablate_core::rows::{Document, Pair, PromptRow};
use common::{MemoryHost, kind, texts::pair};
use generator::tiny_generator;
use serde_json::{Value, json};

/// A query for a document of so many words.
fn written(words: usize) -> Pair {
    let document = Document {
        doc_id: format!("d{words}"),
        title: None,
        text: "in ".repeat(words),
    };
    pair(0, &document)
}

fn taught(pairs: Vec<Pair>, fields: &Value) -> Result<(), String> {
    let model = tiny_generator();
    let template = PromptRow {
        part: "template".into(),
        text: "Of {document}:".into(),
    };
    let host = MemoryHost::new()
        .with("data", pairs)
        .with("prompt", vec![template])
        .with_source("base", "tiny", model.path());
    let mut all = json!({"batch": 2, "lr": 1e-3, "lora": {"rank": 2}});
    all.as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    host.try_run(kind("train/sft"), all).map(drop)
}

#[test]
fn long_documents_are_cut_and_rows_that_stay_too_long_are_no_rows() {
    taught(
        vec![written(100)],
        &json!({"max_length": 80, "max_document_tokens": 20}),
    )
    .unwrap();
    taught(vec![written(100), written(4)], &json!({"max_length": 80})).unwrap();
    let refused = taught(vec![written(100)], &json!({"max_length": 80})).unwrap_err();
    assert!(
        refused.contains("1 of 1 rows have more than 80 tokens"),
        "{refused}"
    );
}

#[test]
fn queries_that_ran_out_of_tokens_teach_no_end() {
    let unfinished = Pair {
        finish: "length".into(),
        ..written(4)
    };
    let refused = taught(vec![unfinished], &json!({})).unwrap_err();
    assert!(refused.contains("nothing to train on"), "{refused}");
}
