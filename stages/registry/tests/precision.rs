//! What is written in bf16 is kept apart from what is written in f32, and is near it.
#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;
#[path = "../../models/tests/common/generator.rs"]
mod generator;

use std::path::Path;

use ablate_core::{
    StageKind,
    rows::{Document, Pair, PromptRow},
};
use ablate_registry::STAGES;
use common::MemoryHost;
use serde_json::{Value, json};

fn generate() -> &'static dyn StageKind {
    *STAGES.iter().find(|kind| kind.name() == "generate").unwrap()
}

fn host(source: &str, model: &Path) -> MemoryHost {
    let document = |row: usize| Document {
        doc_id: format!("d{row}"),
        title: None,
        text: format!("a tin of tea and {row} thin tents at the inn"),
    };
    let prompt = PromptRow {
        part: "template".into(),
        text: "Document: {document}\nQuery:".into(),
    };
    MemoryHost::new()
        .with("documents", (0..6).map(document).collect())
        .with("prompt", vec![prompt])
        .with_source("model", source, model)
}

fn fields(precision: &str) -> Value {
    json!({"decoding": {"max_new_tokens": 1, "stop": [], "precision": precision}})
}

#[test]
fn both_precisions_share_no_row() {
    let model = generator::tiny_generator();
    let host = host("tiny", model.path());
    let run = |precision| {
        host.run(generate(), fields(precision));
        let pairs: Vec<Pair> = host.output("pairs");
        pairs
            .into_iter()
            .map(|pair| (pair.doc_id, pair.mean_logprob.unwrap()))
            .collect::<Vec<_>>()
    };
    let (whole, half) = (run("f32"), run("bf16"));
    assert!(
        !whole.is_empty() && whole.len() == half.len(),
        "{whole:?} {half:?}"
    );
    assert_ne!(whole, half);
    for ((_, whole), (_, half)) in whole.iter().zip(&half) {
        assert!((whole - half).abs() < 0.05, "{whole} {half}");
    }
    assert_eq!(run("f32"), whole, "rows in bf16 were taken for rows in f32");
}

#[test]
fn a_server_computes_in_what_it_likes() {
    let server = r#"{"endpoint":"http://127.0.0.1:1/v1","name":"m","revision":"1"}"#;
    let refused = host(server, Path::new(".")).try_run(generate(), fields("bf16"));
    let refused = refused.unwrap_err();
    assert!(
        refused.contains("`precision: bf16` is for a model that computes here"),
        "{refused}"
    );
}

/// f32 is what is meant where nothing is said, under the same key.
#[test]
fn the_default_is_no_part_of_a_key() {
    let key = |fields: Value| {
        let bound = generate().bind(fields.as_object().unwrap()).unwrap();
        format!("{:?}", bound.meaning())
    };
    assert_eq!(
        key(fields("f32")),
        key(json!({"decoding": {"max_new_tokens": 1, "stop": []}}))
    );
    assert_ne!(key(fields("f32")), key(fields("bf16")));
}
