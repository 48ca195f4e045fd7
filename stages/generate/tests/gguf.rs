//! Qwen2.5-Coder-0.5B and Gemma-3-270M, from GGUF files of mixed block types, against transformers on the same files
//! (tests/fixtures/gguf_greedy.py) and against the tokenizers they were published with.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod common;

use std::path::PathBuf;

use ablate_core::{Places, Seed, SourceType};
use ablate_generate::decode::{Decoding, Request, Sampling};
use ablate_models::{
    Precision,
    decoder::{Decoder, Model},
    generator::Generator,
    source::MODEL_SOURCE,
};
use candle_core::Device;
use serde_json::Value;

/// The model if it is on this machine, else a loud word that the test did not run: half a gigabyte is not fetched for it.
fn generator(name: &str) -> Option<Generator> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let models =
        std::env::var_os("ABLATE_MODELS").map_or_else(|| home.join(".cache/ablate/models"), PathBuf::from);
    let places = Places {
        models,
        offline: true,
        ..Places::default()
    };
    match MODEL_SOURCE.fetch(name, &places, &|_| {}) {
        Ok(folder) => {
            Some(Generator::load(&folder, &Device::Cpu, Precision::F32).unwrap_or_else(|e| panic!("{e}")))
        }
        Err(error) => {
            eprintln!("SKIPPED: {error}");
            None
        }
    }
}

fn ids(value: &Value) -> Vec<u32> {
    let all = value.as_array().unwrap().iter();
    all.map(|id| id.as_u64().unwrap() as u32).collect()
}

fn assert_tokenizer(generator: &Generator, fixture: &Value) {
    for string in fixture["strings"].as_array().unwrap() {
        let text = string["text"].as_str().unwrap();
        let found = encoded(generator, text);
        assert_eq!(found, ids(&string["ids"]), "{text:?}");
        assert_eq!(generator.reader.tokenizer.decode(&found, false).unwrap(), text);
    }
}

/// The largest difference of log-probabilities: of the likeliest first tokens, and of the tokens chosen.
fn differences(generator: &Generator, fixture: &Value) -> [f64; 2] {
    let mut most = [0.0_f64; 2];
    for row in fixture["rows"].as_array().unwrap() {
        let text = encoded(generator, row["prompt"].as_str().unwrap());
        let prompt: Vec<u32> = generator.reader.begin.into_iter().chain(text).collect();
        assert_eq!(prompt, ids(&row["prompt_ids"]));
        let likely = after(generator, &prompt);
        for first in row["first"].as_array().unwrap() {
            let gap = likely[first[0].as_u64().unwrap() as usize] - first[1].as_f64().unwrap();
            most[0] = most[0].max(gap.abs());
        }
        let request = Request {
            tokens: prompt,
            stream: Seed::root(1).stream(),
        };
        let found = common::texts(generator, &[], vec![request], &greedy()).remove(0);
        assert_eq!(found.tokens, ids(&row["tokens"]), "{}", row["prompt"]);
        for (found, expected) in found.logprobs.iter().zip(row["logprobs"].as_array().unwrap()) {
            most[1] = most[1].max((f64::from(*found) - expected.as_f64().unwrap()).abs());
        }
    }
    most
}

/// Log-probabilities after a prompt.
fn after(generator: &Generator, prompt: &[u32]) -> Vec<f64> {
    let Model::Cpu(model) = &generator.model else {
        panic!("not on the CPU path")
    };
    let prefix = model.prefix(&[]).unwrap();
    let mut group = model.group(&prefix, 1).unwrap();
    log_softmax(&model.step(&prefix, &mut group, &[prompt]).unwrap()[0])
}

fn greedy() -> Decoding {
    Decoding {
        sampling: Sampling::default(),
        max_new_tokens: 20,
        stop: vec![],
        batch: Some(1),
    }
}

fn encoded(generator: &Generator, text: &str) -> Vec<u32> {
    generator
        .reader
        .tokenizer
        .encode(text, false)
        .unwrap()
        .get_ids()
        .to_vec()
}

fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = logits.iter().map(|logit| f64::from(logit - top).exp()).sum();
    logits
        .iter()
        .map(|logit| f64::from(logit - top) - total.ln())
        .collect()
}

fn assert_transformers(generator: &Generator, fixture: &str) {
    let fixture = serde_json::from_str(fixture).unwrap();
    assert_tokenizer(generator, &fixture);
    let most = differences(generator, &fixture);
    eprintln!("largest |Δ log-probability|: {most:?}");
    // Both dequantise the same blocks to f32, so only the order of sums differs.
    assert!(most.iter().all(|gap| *gap < 1e-3), "{most:?}");
}

#[test]
fn qwen_coder_is_transformers() {
    let Some(generator) = generator("qwen2.5-coder-0.5b-instruct") else {
        return;
    };
    assert_transformers(
        &generator,
        include_str!("../../../tests/fixtures/qwen_coder_greedy.json"),
    );
    assert_eq!(
        (generator.reader.begin, generator.reader.ends.as_slice()),
        (None, &[151_645, 151_643][..])
    );
    assert!(generator.reader.chat_template.unwrap().contains("<|im_start|>"));
}

#[test]
fn gemma_is_transformers() {
    let Some(generator) = generator("gemma3-270m") else {
        return;
    };
    assert_transformers(
        &generator,
        include_str!("../../../tests/fixtures/gemma3_greedy.json"),
    );
    assert_eq!(
        (generator.reader.begin, generator.reader.ends.as_slice()),
        (Some(2), &[1, 106][..])
    );
    assert_eq!(generator.reader.chat_template, None);
}
