//! What trainers ask of their ports.
#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;
#[path = "../../models/tests/common/generator.rs"]
#[allow(dead_code)]
mod generator;

use std::{collections::BTreeMap, path::Path};

use ablate_core::{
    ContentDigest,
    rows::{Document, Pair, Preferred, PromptRow},
};
use common::{MemoryHost, kind, texts::pair};
use generator::{tiny_chat, tiny_generator};
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

/// The same without an end.
fn unfinished(words: usize) -> Pair {
    Pair {
        finish: "length".into(),
        ..written(words)
    }
}

fn scored(words: usize, query: &str, score: f32) -> Pair {
    Pair {
        query: query.into(),
        score: Some(score),
        ..written(words)
    }
}

/// A template, and what its answers are like.
fn prompt(template: &str, manner: Option<Value>) -> Vec<PromptRow> {
    let row = |part: &str, text: String| PromptRow {
        part: part.into(),
        text,
    };
    let manner = manner.map(|manner| row("manner", manner.to_string()));
    [row("template", template.into())]
        .into_iter()
        .chain(manner)
        .collect()
}

fn plain() -> Vec<PromptRow> {
    prompt("Of {document}:", None)
}

type Digests = BTreeMap<String, ContentDigest>;

/// A trainer of the model in a folder, with these inputs.
fn trained(trainer: &str, host: MemoryHost, model: &Path, fields: &Value) -> Result<Digests, String> {
    let host = host.with_source("base", "tiny", model);
    let mut all = json!({"batch": 2, "lr": 1e-3, "lora": {"rank": 2}});
    all.as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    host.try_run(kind(trainer), all)
}

fn taught(pairs: Vec<Pair>, prompt: Vec<PromptRow>, fields: &Value) -> Result<Digests, String> {
    let host = MemoryHost::new().with("data", pairs).with("prompt", prompt);
    trained("train/sft", host, tiny_generator().path(), fields)
}

#[test]
fn long_documents_are_cut_and_rows_that_stay_too_long_are_no_rows() {
    taught(
        vec![written(100)],
        plain(),
        &json!({"max_length": 80, "max_document_tokens": 20}),
    )
    .unwrap();
    taught(
        vec![written(100), written(4)],
        plain(),
        &json!({"max_length": 80}),
    )
    .unwrap();
    let refused = taught(vec![written(100)], plain(), &json!({"max_length": 80})).unwrap_err();
    assert!(
        refused.contains("1 of 1 rows have more than 80 tokens"),
        "{refused}"
    );
}

#[test]
fn queries_that_ran_out_of_tokens_teach_no_end() {
    let refused = taught(vec![unfinished(4)], plain(), &json!({})).unwrap_err();
    assert_eq!(
        refused,
        "of 1 queries at `data` none can be learnt from: 1 end where their tokens ran out"
    );
    let sources = MemoryHost::new()
        .with(
            "teacher",
            vec![scored(3, "what keeps", 0.9), scored(4, "what is in", 0.8)],
        )
        .with(
            "student",
            vec![
                scored(3, "in", 0.1),
                Pair {
                    score: Some(0.1),
                    ..unfinished(4)
                },
            ],
        )
        .with("prompt", plain());
    sources.run(kind("preferences"), json!({}));
    let notes = sources.notes();
    let told = "of 2 queries at `student` some were left out: 1 end where their tokens ran out";
    assert!(notes.iter().any(|note| note == told), "{notes:?}");
}

#[test]
fn a_dev_without_rows_is_told() {
    let judged = |dev: Vec<Pair>, fields: &Value| {
        let host = MemoryHost::new()
            .with("data", vec![written(3)])
            .with("dev", dev)
            .with("prompt", plain());
        trained("train/sft", host, tiny_generator().path(), fields).unwrap_err()
    };
    let emptied = judged(vec![unfinished(4)], &json!({}));
    assert!(
        emptied.contains("of 1 queries at `dev` none can be learnt from"),
        "{emptied}"
    );
    let empty = judged(vec![], &json!({"patience": 1}));
    assert!(
        empty.contains("`patience` waits for a smaller loss on `dev`"),
        "{empty}"
    );
}

#[test]
fn a_prompt_says_how_it_reaches_the_model_that_is_trained() {
    let model = tiny_chat();
    let sft = |fields: &Value| {
        let host = MemoryHost::new().with("data", vec![written(3)]).with_source(
            "prompt",
            "ablate/chat",
            Path::new("."),
        );
        trained("train/sft", host, model.path(), fields).unwrap()
    };
    let said = [json!({}), json!({"format": "chat"}), json!({"format": "raw"})];
    let [settled, chat, raw] = said.each_ref().map(sft);
    assert_eq!(settled, chat);
    assert_ne!(settled, raw);

    let sources = MemoryHost::new()
        .with("teacher", vec![scored(3, "what keeps", 0.9)])
        .with("student", vec![scored(3, "in", 0.1)])
        .with_source("prompt", "ablate/chat", Path::new("."));
    sources.run(kind("preferences"), json!({}));
    let rows: Vec<Preferred> = sources.output("preferences");
    assert_eq!(rows[0].format.as_deref(), Some("chat"));
    let cpo = |fields: &Value| {
        let host = MemoryHost::new().with("data", rows.clone());
        trained("train/cpo", host, model.path(), fields).unwrap()
    };
    let [settled, chat, raw] = said.each_ref().map(cpo);
    assert_eq!(settled, chat);
    assert_ne!(settled, raw);

    let unknown = Preferred {
        format: Some("chatty".into()),
        ..rows[0].clone()
    };
    let host = MemoryHost::new().with("data", vec![unknown]);
    let told = trained("train/cpo", host, model.path(), &json!({})).unwrap_err();
    assert_eq!(told, "the preference of `d3` at `data` has the format `chatty`");
}

/// The query stands where `generate` looks for it.
#[test]
fn a_prompt_that_asks_for_reasoning_teaches_it() {
    let asking = || prompt("Of {document}:", Some(json!({"answer_after": "Query:"})));
    let reasoned = Pair {
        reasoning: Some("It is in.".into()),
        query: "what is in".into(),
        ..written(3)
    };
    let whole = Pair {
        query: "It is in.\nQuery: what is in".into(),
        ..written(3)
    };
    let learnt = |pair: &Pair, prompt| taught(vec![pair.clone()], prompt, &json!({}));
    assert_eq!(
        learnt(&reasoned, asking()).unwrap(),
        learnt(&whole, plain()).unwrap()
    );
    assert_ne!(
        learnt(&reasoned, plain()).unwrap(),
        learnt(&whole, plain()).unwrap()
    );
    let refused = learnt(&written(3), asking()).unwrap_err();
    assert!(
        refused.contains("1 have no reasoning, and the prompt asks for one"),
        "{refused}"
    );

    let score = |pair: &Pair, score| Pair {
        score: Some(score),
        ..pair.clone()
    };
    let other = Pair {
        query: "where is it".into(),
        ..reasoned.clone()
    };
    let sources = MemoryHost::new()
        .with("teacher", vec![score(&reasoned, 0.9)])
        .with("student", vec![score(&other, 0.1)])
        .with("prompt", asking());
    sources.run(kind("preferences"), json!({}));
    let row: Preferred = sources.output("preferences").remove(0);
    assert_eq!(
        (row.chosen.as_str(), row.rejected.as_str(), row.format),
        (
            "It is in.\nQuery: what is in",
            "It is in.\nQuery: where is it",
            None
        )
    );
}

/// Pairs hold title and text as one: `generate` would be asked otherwise than what was learnt.
#[test]
fn parts_of_documents_have_no_place_in_what_is_learnt() {
    for (template, slot) in [("{title}: {text}", "{title}"), ("Of {text}:", "{text}")] {
        let told = taught(vec![written(3)], prompt(template, None), &json!({})).unwrap_err();
        assert_eq!(told, format!("the prompt has {slot}"));
        let sources = MemoryHost::new()
            .with("teacher", vec![scored(3, "what keeps", 0.9)])
            .with("student", vec![scored(3, "in", 0.1)])
            .with("prompt", prompt(template, None));
        let told = sources.try_run(kind("preferences"), json!({})).unwrap_err();
        assert_eq!(told, format!("the prompt has {slot}"));
    }
}
