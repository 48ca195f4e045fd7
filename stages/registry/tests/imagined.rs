//! Negatives by a model behind a server: what is asked, what is left out, and which rows are asked for.
#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;
#[path = "common/server.rs"]
mod server;

use std::path::Path;

use ablate_core::rows::{Document, Hardness, Pair, PromptRow, Triple};
use common::{MemoryHost, kind};
use serde_json::{Value, json};
use server::serve;

fn pair(number: usize) -> Pair {
    Pair {
        query_id: format!("d{number}#0"),
        query: format!("what is number {number}"),
        doc_id: format!("d{number}"),
        text: format!("It is the passage of number {number}, and it answers."),
        mean_logprob: None,
        score: None,
        reasoning: None,
        prompt_tokens: 1,
        new_tokens: 1,
        finish: "stop".into(),
    }
}

fn host(address: &str, pairs: usize) -> MemoryHost {
    let model = json!({"endpoint": address, "name": "big", "revision": "r1"}).to_string();
    MemoryHost::new()
        .with("pairs", (0..pairs).map(pair).collect())
        .with_source("model", &model, Path::new("."))
}

#[test]
fn the_study_is_the_default_and_more_negatives_ask_for_those_alone() {
    let (asked, address) = serve(|_, at| format!("<think>Hm.</think>\nShips pass {at} times."));
    let host = host(&address, 4);
    host.run(kind("negatives/llm"), json!({}));
    let first: Vec<Triple> = host.output("triples");
    let bodies = std::mem::take(&mut *asked.lock().unwrap());
    assert_eq!(bodies.len(), 4);
    for body in &bodies {
        let settings =
            ["temperature", "top_p", "top_k", "min_p", "max_tokens"].map(|name| body[name].clone());
        assert_eq!(json!(settings), json!([0.6, 0.95, 20, 0.0, 1024]));
        assert!(body.get("stop").is_none());
        let prompt = body["messages"][0]["content"].as_str().unwrap();
        assert!(prompt.contains("what is number") && prompt.contains("It is the passage of number"));
    }
    assert_eq!(first.len(), 4);
    assert_eq!(
        (first[0].neg_id.as_str(), first[0].source.as_str()),
        ("d0#0#llm-0", "llm")
    );
    assert!(
        first.iter().all(|row| row.neg_text.starts_with("Ships pass ")),
        "{first:?}"
    );

    host.run(
        kind("negatives/llm"),
        json!({"per_query": 3, "on_shortfall": "keep", "refusals": []}),
    );
    assert_eq!(asked.lock().unwrap().len(), 8, "two more for each query");
    let grown: Vec<Triple> = host.output("triples");
    assert!(first.iter().all(|row| grown.contains(row)));
}

#[test]
fn a_shortfall_drops_keeps_or_fails() {
    // Every query of number 1 gets the positive back.
    let (_, address) = serve(|prompt, at| match prompt.contains("number 1") {
        true => "It is the passage of number 1, and it answers.".to_owned(),
        false => format!("Ships pass {at} times."),
    });
    let host = host(&address, 3);
    let count = |fields: Value| {
        host.run(kind("negatives/llm"), fields);
        host.output::<Triple>("triples").len()
    };
    assert_eq!(count(json!({"per_query": 2})), 4);
    assert_eq!(count(json!({"per_query": 2, "on_shortfall": "keep"})), 4);
    assert_eq!(
        count(json!({"per_query": 2, "on_shortfall": "keep", "max_likeness": 1.0})),
        5
    );
    assert_eq!(count(json!({"per_query": 1, "max_likeness": 1.0})), 3);
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        count(json!({"per_query": 2, "on_shortfall": "error"}))
    }));
    let told = *failed.unwrap_err().downcast::<String>().unwrap();
    assert!(
        told.contains("the query `d1#0` has 0 negatives left of 2"),
        "{told}"
    );
}

#[test]
fn shots_are_drawn_for_each_document() {
    let (asked, address) = serve(|_, _| "a query".to_owned());
    let prompts = MemoryHost::new().with("shots_from", (0..9).map(pair).collect());
    let fields = json!({"template": "ablate/promptagator-scifact", "count": 2, "seed": 3});
    prompts.run(kind("prompt"), fields);
    let document = |number: usize| Document {
        doc_id: format!("d{number}"),
        title: None,
        text: pair(number).text,
    };
    let model = json!({"endpoint": address, "name": "big", "revision": "r1"}).to_string();
    let ask = |numbers: &[usize]| {
        let host = MemoryHost::new()
            .with(
                "documents",
                numbers.iter().map(|number| document(*number)).collect(),
            )
            .with("prompt", prompts.output::<PromptRow>("prompt"))
            .with_source("model", &model, Path::new("."));
        host.run(kind("generate"), json!({"format": "chat"}));
        let bodies = std::mem::take(&mut *asked.lock().unwrap());
        let mut texts: Vec<String> = bodies
            .iter()
            .map(|body| body["messages"][0]["content"].to_string())
            .collect();
        texts.sort();
        texts
    };
    let (all, alone) = (ask(&[0, 1, 2, 3, 4, 5]), ask(&[3]));
    assert!(all.contains(&alone[0]), "a row does not depend on its batch");
    let heads: std::collections::BTreeSet<&str> = all
        .iter()
        .map(|text| text.rsplit_once("Abstract: ").unwrap().0)
        .collect();
    assert!(heads.len() > 3, "other documents, other shots: {heads:?}");
    assert!(
        all.iter().all(|text| text.matches("Finding: ").count() == 2),
        "{all:?}"
    );
}

/// A negative that reads as a document of the corpus does has its score and stands right behind it.
#[test]
fn written_negatives_have_the_rank_they_would_take() {
    let document = |id: &str, text: &str| Document {
        doc_id: id.into(),
        title: None,
        text: text.into(),
    };
    let corpus = vec![
        document("a", "ships pass the canal"),
        document("b", "ships sink"),
        document("c", "a canal"),
    ];
    let triple = |neg_id: &str, neg_text: &str, source: &str| Triple {
        query_id: "q".into(),
        query: "ships canal".into(),
        pos_id: "a".into(),
        pos_text: "ships pass the canal".into(),
        neg_id: neg_id.into(),
        neg_text: neg_text.into(),
        source: source.into(),
    };
    let run = |triples: Vec<Triple>| {
        let host = MemoryHost::new()
            .with("corpus", corpus.clone())
            .with("triples", triples);
        let ran = host.try_run(kind("hardness"), json!({}));
        ran.map(|_| host.output::<Hardness>("hardness"))
    };
    let rows = run(vec![
        triple("b", "ships sink", "bm25"),
        triple("q#llm-0", "ships sink", "llm"),
        triple("q#llm-1", "ships canal", "llm"),
        triple("q#llm-2", "nothing of the kind", "llm"),
    ])
    .unwrap();
    let ranks: Vec<_> = rows.iter().map(|row| row.bm25_rank).collect();
    assert_eq!(ranks, [Some(3), Some(4), Some(1), None]);
    assert_eq!(rows[0].bm25_score.to_bits(), rows[1].bm25_score.to_bits());
    assert!(rows[2].bm25_margin < 0.0, "it is shorter than the positive");
    let error = run(vec![triple("z", "ships", "bm25")]).unwrap_err();
    assert!(
        error.contains("the document `z`, which is not in the corpus"),
        "{error}"
    );
}
