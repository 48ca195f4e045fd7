//! What stands before texts, and how much of a vector is kept: the vectors of sentence-transformers, through the stages.
#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;
#[path = "../../models/tests/common/mod.rs"]
#[allow(dead_code)]
mod encoders;
#[path = "../../models/tests/common/t5.rs"]
#[allow(dead_code)]
mod t5;

use ablate_core::{
    DeviceChoice,
    rows::{Document, Hit, Query, Vector},
};
use ablate_models::{
    device,
    encoder::{Role, SentenceEncoder},
};
use common::{MemoryHost, kind, texts::triples};
use encoders::{fixture, tiny_encoder};
use serde_json::{Value, json};
use t5::saved_by_sentence_transformers;

fn corpus(texts: &[String]) -> Vec<Document> {
    let document = |(at, text): (usize, &String)| Document {
        doc_id: format!("d{at}"),
        title: None,
        text: text.clone(),
    };
    texts.iter().enumerate().map(document).collect()
}

fn queries(texts: &[String]) -> Vec<Query> {
    let query = |(at, text): (usize, &String)| Query {
        query_id: format!("q{at}"),
        text: text.clone(),
    };
    texts.iter().enumerate().map(query).collect()
}

fn vectors(host: &MemoryHost, fields: Value) -> Vec<Vec<f32>> {
    host.run(kind("embed"), fields);
    host.output::<Vector>("vectors")
        .into_iter()
        .map(|row| row.vector)
        .collect()
}

fn close(found: &[Vec<f32>], expected: &Value) {
    let expected: Vec<Vec<f32>> = serde_json::from_value(expected.clone()).unwrap();
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.concat().iter().zip(expected.concat()) {
        assert!((a - b).abs() < 2e-6, "{a}, sentence-transformers says {b}");
    }
}

fn unit(vector: &[f32]) -> Vec<f32> {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.iter().map(|x| x / length).collect()
}

#[test]
fn embed_puts_the_models_prompts_or_those_given_before_texts() {
    let fixture = fixture("sentence_transformers_layout.json");
    let texts: Vec<String> = serde_json::from_value(fixture["texts"].clone()).unwrap();
    for case in fixture["cases"].as_array().unwrap() {
        let folder = saved_by_sentence_transformers(&fixture, case);
        let model = |host: MemoryHost| host.with_source("model", "a folder", folder.path());
        let (documents, queries) = (
            model(MemoryHost::new().with("corpus", corpus(&texts))),
            model(MemoryHost::new().with("queries", queries(&texts))),
        );
        close(&vectors(&documents, json!({})), &case["documents"]);
        close(&vectors(&queries, json!({})), &case["queries"]);
        close(
            &vectors(&documents, json!({"document_prefix": "query: "})),
            &case["queries"],
        );
        close(&vectors(&queries, json!({"query_prefix": ""})), &case["plain"]);
        let heads = vectors(&documents, json!({"dim": 12}));
        close(
            &heads.iter().map(|head| unit(head)).collect::<Vec<_>>(),
            &case["heads"],
        );
        let refused = documents.try_run(kind("embed"), json!({"dim": 17})).unwrap_err();
        assert!(
            refused.contains("`dim: 17`") && refused.contains("16"),
            "{refused}"
        );
    }
}

#[test]
fn dense_search_compares_queries_and_documents_behind_their_prompts() {
    let fixture = fixture("sentence_transformers_layout.json");
    let texts: Vec<String> = serde_json::from_value(fixture["texts"].clone()).unwrap();
    let case = &fixture["cases"][0];
    let folder = saved_by_sentence_transformers(&fixture, case);
    let host = MemoryHost::new()
        .with("corpus", corpus(&texts))
        .with("queries", queries(&texts))
        .with_source("model", "a folder", folder.path());
    host.run(kind("retrieve/dense"), json!({"depth": 3}));
    let rows = |name: &str| -> Vec<Vec<f32>> { serde_json::from_value(case[name].clone()).unwrap() };
    let (asked, found) = (rows("queries"), rows("documents"));
    for hit in host.output::<Hit>("run") {
        let place = |id: &str| id[1..].parse::<usize>().unwrap();
        let (query, document) = (&asked[place(&hit.query_id)], &found[place(&hit.doc_id)]);
        let expected: f32 = query.iter().zip(document).map(|(a, b)| a * b).sum();
        assert!(
            (hit.score - expected).abs() < 2e-6,
            "{} for {expected}",
            hit.score
        );
    }
}

#[test]
fn a_trained_encoder_keeps_the_prompts_it_was_trained_with() {
    let base = tiny_encoder();
    let host = || {
        MemoryHost::new()
            .with("data", triples())
            .with_source("base", "a folder", base.path())
    };
    let train = |host: &MemoryHost, more: Value| {
        let mut fields = json!({"epochs": 1, "batch": 4, "lr": 1e-3, "max_length": 16});
        fields
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        host.run(kind("train/biencoder"), fields)["model"].to_string()
    };
    let (plain, host) = (host(), host());
    let prefixes = json!({"query_prefix": "w1 ", "document_prefix": "w2 "});
    assert_ne!(train(&host, prefixes), train(&plain, json!({})));
    let cpu = device::open(DeviceChoice::Cpu).map_err(|error| error.to_string());
    let trained = SentenceEncoder::load(&host.tree_output("model"), &cpu.unwrap())
        .map_err(|error| error.to_string())
        .unwrap();
    assert_eq!(trained.prompted(Role::Query, "w5"), "w1 w5");
    assert_eq!(trained.prompted(Role::Document, "w5"), "w2 w5");
}
