//! The digest of a small output of each stage that needs no model, beside its VERSION: an output that moves without a
//! raised VERSION fails here, an upgrade of a dependency included.
#![allow(clippy::unwrap_used, clippy::format_collect, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;

use std::path::Path;

use ablate_core::{
    StageKind,
    rows::{Document, Hit, Judgement, Pair, Query},
};
use ablate_registry::STAGES;
use common::MemoryHost;
use serde_json::{Value, json};

fn kind(name: &str) -> &'static dyn StageKind {
    *STAGES.iter().find(|kind| kind.name() == name).unwrap()
}

fn demo() -> MemoryHost {
    let host = MemoryHost::new().with_source("source", "demo", Path::new("."));
    host.run(kind("collection"), json!({}));
    host
}

fn pair(number: usize, document: &Document) -> Pair {
    Pair {
        query_id: format!("{}#0", document.doc_id),
        query: document
            .text
            .split_whitespace()
            .skip(number % 5)
            .take(6)
            .collect::<Vec<_>>()
            .join(" "),
        doc_id: document.doc_id.clone(),
        text: document.full_text(),
        mean_logprob: Some(-(number as f32) / 7.0),
        score: None,
        reasoning: None,
        prompt_tokens: 10,
        new_tokens: 6,
        finish: "stop".into(),
    }
}

/// `kind VERSION port digest`, a line an output.
fn lines(name: &str, host: &MemoryHost, fields: Value) -> String {
    let kind = kind(name);
    let digests = host.run(kind, fields);
    digests
        .iter()
        .map(|(port, digest)| format!("{name} {} {port} {digest}\n", kind.version()))
        .collect()
}

#[test]
fn outputs_are_those_of_their_version() {
    let demo = demo();
    let corpus: Vec<Document> = demo.output("corpus");
    let queries: Vec<Query> = demo.output("queries.test");
    let qrels: Vec<Judgement> = demo.output("qrels.test");
    let pairs: Vec<Pair> = corpus
        .iter()
        .step_by(9)
        .enumerate()
        .map(|(at, document)| pair(at, document))
        .collect();
    let corpora = || MemoryHost::new().with("corpus", corpus.clone());

    let found = MemoryHost::new().with_source("source", "demo", Path::new("."));
    let mut now = lines("collection", &found, json!({}));
    let retrieve = corpora().with("queries", queries);
    let retrieved = lines("retrieve/bm25", &retrieve, json!({"depth": 20}));
    let run: Vec<Hit> = retrieve.output("run");
    let evaluate = MemoryHost::new().with("run", run).with("qrels", qrels);
    now += &lines(
        "evaluate",
        &evaluate,
        json!({"measures": ["nDCG@10", "AP", "Bpref"]}),
    );
    now += &lines(
        "filter",
        &MemoryHost::new().with("pairs", pairs.clone()),
        json!({"top": 9}),
    );
    now += &lines(
        "negatives",
        &corpora().with("pairs", pairs),
        json!({"per_query": 2}),
    );
    now += &lines("prompt", &MemoryHost::new(), json!({"template": "ablate/gbq"}));
    now += &retrieved;
    now += &lines(
        "sample",
        &MemoryHost::new().with("documents", corpus.clone()),
        json!({"count": 12}),
    );
    assert_eq!(now, include_str!("golden.txt"));
}
