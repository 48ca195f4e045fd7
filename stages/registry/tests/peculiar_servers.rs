//! Servers that speak OpenAI's protocol each in a way of its own: what is asked of them, and what is taken from their answers.
#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;
#[path = "common/server.rs"]
#[allow(dead_code)]
mod server;

use std::path::Path;

use ablate_core::rows::{Document, Pair, PromptRow};
use common::{MemoryHost, kind};
use serde_json::{Value, json};
use server::{Asked, serve_replies};

/// Three documents for the model behind an address.
fn host(address: &str) -> MemoryHost {
    let endpoint =
        json!({"endpoint": address, "name": "big", "revision": "r1", "retries": 0, "concurrency": 1});
    let document = |number: usize| Document {
        doc_id: format!("d{number}"),
        title: None,
        text: format!("The lake of number {number} is deep."),
    };
    let prompt = PromptRow {
        part: "template".into(),
        text: "Of {document}\nQuery:".into(),
    };
    MemoryHost::new()
        .with("documents", (0..3).map(document).collect())
        .with("prompt", vec![prompt])
        .with_source("model", &endpoint.to_string(), Path::new("."))
}

/// What is written at an address under these rules; why nothing is, if nothing is.
fn written(address: &str, fields: Value) -> Result<Vec<Pair>, String> {
    let host = host(address);
    host.try_run(kind("generate"), fields)?;
    Ok(host.output("pairs"))
}

fn bodies(asked: &Asked) -> Vec<Value> {
    std::mem::take(&mut asked.lock().unwrap())
}

fn refused(message: &str) -> (u16, Value) {
    (400, json!({"error": {"message": message}}))
}

fn text(text: &str) -> (u16, Value) {
    (200, json!({"choices": [{"text": text, "finish_reason": "stop"}]}))
}

/// As servers of reasoning models refuse them, or those that check every field.
#[test]
fn fields_that_a_server_does_not_take_are_left_out() {
    let (asked, address) = serve_replies(|body, _| {
        let has = |field: &str| body.get(field).is_some();
        if has("logprobs") {
            refused("logprobs is not supported with this model")
        } else if has("max_tokens") {
            refused(
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            )
        } else if has("top_k") {
            (
                422,
                json!({"detail": [{"loc": ["body", "top_k"], "msg": "Extra inputs are not permitted"}]}),
            )
        } else {
            text(" how deep")
        }
    });
    let decoding = json!({"temperature": 0.5, "max_new_tokens": 8});
    let pairs = written(&address, json!({"decoding": decoding, "format": "chat"})).unwrap();
    assert_eq!(pairs.len(), 3);
    assert!(pairs.iter().all(|pair| pair.mean_logprob.is_none()));
    let bodies = bodies(&asked);
    assert_eq!(bodies.len(), 6, "it is learnt once");
    assert_eq!(bodies[5]["max_completion_tokens"], 8);

    // What the file asks for is not left out.
    let decoding = json!({"temperature": 0.5, "top_k": 5});
    let told = written(&address, json!({"decoding": decoding, "format": "chat"})).unwrap_err();
    assert!(told.contains("refuses with status 422"), "{told}");
}

/// A prompt that is too long is told with its document, and what is asked of the others stays as it is (vLLM names the field, too).
#[test]
fn a_prompt_that_is_too_long_changes_no_other() {
    let (asked, address) = serve_replies(|body, _| {
        match body["prompt"]
            .as_str()
            .is_some_and(|prompt| prompt.contains("number 1"))
        {
            true => refused(
                "'max_tokens' or 'max_completion_tokens' is too large: 8. This model's maximum context length is 10 tokens.",
            ),
            false => text(" how deep"),
        }
    });
    let told = written(&address, json!({"decoding": {"max_new_tokens": 8}})).unwrap_err();
    assert!(
        told.contains("`d1`: the server of `big` refuses with status 400"),
        "{told}"
    );
    assert!(bodies(&asked).iter().all(|body| body["max_tokens"] == 8));
}

/// What llama.cpp's server does where nothing is said is not what is asked for.
#[test]
fn a_draw_is_from_all_tokens_unless_the_file_says_otherwise() {
    let (asked, address) = serve_replies(|_, _| text(" how deep"));
    let sent = |decoding: Value| {
        written(&address, json!({"decoding": decoding})).unwrap();
        let body = bodies(&asked).remove(0);
        let fields = ["top_k", "top_p", "min_p", "repetition_penalty", "repeat_penalty"];
        fields.map(|field| body[field].clone())
    };
    let none = Value::Null;
    let sampled = [json!(-1), json!(1), json!(0), none.clone(), none.clone()];
    assert_eq!(sent(json!({"temperature": 0.7})), sampled);
    let sampled = [json!(9), json!(1), json!(0.25), none.clone(), none.clone()];
    assert_eq!(
        sent(json!({"temperature": 0.7, "top_k": 9, "min_p": 0.25})),
        sampled
    );
    let greedy = [none.clone(), none.clone(), none, json!(1.5), json!(1.5)];
    assert_eq!(sent(json!({"repetition_penalty": 1.5})), greedy);
}

#[test]
fn a_text_ends_where_it_is_told_to_though_the_server_goes_on() {
    let (_, address) = serve_replies(|_, _| {
        let logprobs = json!({"tokens": [" how", " deep", "\n\n", "Example"], "token_logprobs": [-1.0, -2.0, -9.0, -9.0]});
        let choice = json!({"text": " how deep\n\nExample", "finish_reason": "length", "logprobs": logprobs});
        (200, json!({"choices": [choice]}))
    });
    for pair in written(&address, json!({})).unwrap() {
        assert_eq!((pair.query.as_str(), pair.finish.as_str()), ("how deep", "stop"));
        assert_eq!((pair.mean_logprob, pair.new_tokens), (Some(-1.5), 2));
    }
}

#[test]
fn an_error_under_status_200_is_told() {
    let (_, address) = serve_replies(|_, _| (200, json!({"error": {"message": "model overloaded"}})));
    let told = written(&address, json!({})).unwrap_err();
    assert!(told.contains("model overloaded"), "{told}");
}
