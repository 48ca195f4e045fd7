//! What a model that computes here is asked: prompts as tokens, and what they leave out.
#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;
#[path = "../../models/tests/common/generator.rs"]
#[allow(dead_code)]
mod generator;
#[path = "common/server.rs"]
mod server;

use std::path::Path;

use ablate_core::rows::{Document, Pair, PromptRow};
use common::{MemoryHost, kind};
use serde_json::{Value, json};
use server::{Asked, serve};

fn document(id: &str, text: &str) -> Document {
    Document {
        doc_id: id.into(),
        title: None,
        text: text.into(),
    }
}

fn row(part: &str, text: &str) -> PromptRow {
    PromptRow {
        part: part.into(),
        text: text.into(),
    }
}

/// The tokens of the prompt for each document.
fn lengths(host: &MemoryHost, fields: serde_json::Value) -> Result<Vec<u32>, String> {
    host.try_run(kind("generate"), fields)?;
    Ok(host
        .output::<Pair>("pairs")
        .iter()
        .map(|pair| pair.prompt_tokens)
        .collect())
}

/// As transformers, llama.cpp and vLLM make one text of it: `.` and the line's end are one token, each other byte one.
#[test]
fn a_prompt_is_made_into_tokens_as_one_text() {
    let model = generator::tiny_qwen();
    let host = MemoryHost::new()
        .with(
            "documents",
            vec![document("a", "It keeps."), document("b", "It keeps")],
        )
        .with("prompt", vec![row("template", "Of {document}\nQuery:")])
        .with_source("model", "tiny", model.path());
    let decoding = json!({"max_new_tokens": 8, "stop": []});
    let found = lengths(&host, json!({"decoding": decoding.clone()})).unwrap();
    assert_eq!(found, [18, 18]);
    let found = lengths(&host, json!({"decoding": decoding, "max_document_tokens": 5})).unwrap();
    assert_eq!(found, [15, 15], "`It ke` and a line's end");
}

/// Examples that are drawn from long documents leave room as those of the prompt itself do.
#[test]
fn documents_of_examples_are_cut_and_a_prompt_that_is_too_long_is_named() {
    let model = generator::tiny_qwen();
    let shot = |number: usize| {
        let document = format!("{number} {}", "long ".repeat(200));
        row(
            &format!("shot/{number:08}"),
            &json!({"document": document, "query": "q"}).to_string(),
        )
    };
    let mut prompt = vec![
        row("draw", &json!({"count": 2, "seed": 1}).to_string()),
        row("layout", "{document}: {query}\n"),
    ];
    prompt.extend((1..=3).map(shot));
    prompt.push(row("template", "{examples}{document}:"));
    let host = MemoryHost::new()
        .with(
            "documents",
            vec![
                document("short", "It is so."),
                document("long", &"word ".repeat(99)),
            ],
        )
        .with("prompt", prompt)
        .with_source("model", "tiny", model.path());
    let fields =
        |most: u32| json!({"decoding": {"max_new_tokens": 8, "stop": []}, "max_document_tokens": most});
    let found = lengths(&host, fields(100)).unwrap();
    assert_eq!(found, [2 * 104 + 101, 2 * 104 + 10]);
    let told = lengths(&host, fields(200)).unwrap_err();
    assert!(
        told.contains("the prompt for `long` and its answer need 617 tokens, the model takes 512"),
        "{told}"
    );
}

/// A document for the model behind this address, asked by a named prompt.
fn asked_by(prompt: &str, address: &str) -> MemoryHost {
    let model = json!({"endpoint": address, "name": "big", "revision": "r1"}).to_string();
    MemoryHost::new()
        .with("documents", vec![document("a", "The lake is deep.")])
        .with_source("prompt", prompt, Path::new("."))
        .with_source("model", &model, Path::new("."))
}

fn last(asked: &Asked) -> Value {
    asked.lock().unwrap().pop().unwrap()
}

#[test]
fn a_strategy_says_how_it_is_answered() {
    let (asked, address) = serve(|_, _| " It is deep.\nSo deep.\nQuery: how deep is it\nAnd more".to_owned());
    let reasoned = asked_by("ablate/cot", &address);
    reasoned.run(kind("generate"), json!({}));
    let body = last(&asked);
    assert!(body["prompt"].is_string());
    assert_eq!(
        (&body["stop"], &body["max_tokens"]),
        (&json!(["\n\nDocument:"]), &json!(192))
    );
    let pair = &reasoned.output::<Pair>("pairs")[0];
    assert_eq!(pair.query, "how deep is it");
    assert_eq!(pair.reasoning.as_deref(), Some("It is deep.\nSo deep."));

    let chat = asked_by("ablate/chat", &address);
    chat.run(kind("generate"), json!({}));
    let body = last(&asked);
    assert!(body["messages"].is_array());
    assert_eq!((&body["stop"], &body["max_tokens"]), (&json!(["\n"]), &json!(64)));
    // What a stage says itself holds.
    chat.run(
        kind("generate"),
        json!({"format": "raw", "decoding": {"stop": []}}),
    );
    assert!(last(&asked)["prompt"].is_string());
}

/// The template of a stage that makes prompts has its manner, too.
#[test]
fn a_prompt_that_is_an_artifact_says_how_it_is_answered() {
    let (asked, address) = serve(|_, _| "how deep is it".to_owned());
    let prompts = MemoryHost::new();
    prompts.run(kind("prompt"), json!({"template": "ablate/chat"}));
    let model = json!({"endpoint": address, "name": "big", "revision": "r1"}).to_string();
    let host = MemoryHost::new()
        .with("documents", vec![document("a", "The lake is deep.")])
        .with("prompt", prompts.output::<PromptRow>("prompt"))
        .with_source("model", &model, Path::new("."));
    host.run(kind("generate"), json!({}));
    assert!(last(&asked)["messages"].is_array());
}

#[test]
fn a_stage_of_which_nothing_is_left_fails_and_says_why() {
    let (_, address) = serve(|_, _| "I cannot say.".to_owned());
    let host = asked_by("ablate/cot", &address);
    let told = host.try_run(kind("generate"), json!({})).unwrap_err();
    assert!(
        told.contains("of 1 texts that were written none is left: 1 do not hold `answer_after`"),
        "{told}"
    );
}

#[test]
fn no_query_is_written_for_a_document_without_a_text() {
    let (asked, address) = serve(|_, _| "how deep is it".to_owned());
    let model = json!({"endpoint": address, "name": "big", "revision": "r1"}).to_string();
    let host = MemoryHost::new()
        .with(
            "documents",
            vec![document("a", " \n"), document("b", "The lake is deep.")],
        )
        .with("prompt", vec![row("template", "Of {document}\nQuery:")])
        .with_source("model", &model, Path::new("."));
    host.run(kind("generate"), json!({}));
    assert_eq!(asked.lock().unwrap().len(), 1);
    assert_eq!(host.output::<Pair>("pairs")[0].doc_id, "b");
}

#[test]
fn a_model_that_predicts_no_numbers_is_told() {
    let model = generator::tiny_nan();
    let host = MemoryHost::new()
        .with("documents", vec![document("a", "The lake is deep.")])
        .with("prompt", vec![row("template", "Of {document}\nQuery:")])
        .with_source("model", "tiny", model.path());
    for temperature in [0.0, 0.7] {
        let decoding = json!({"temperature": temperature});
        let told = lengths(&host, json!({"decoding": decoding})).unwrap_err();
        assert!(told.contains("the model predicts what is no number"), "{told}");
    }
}
