//! SmolLM2-135M-Instruct against transformers on the same file (tests/fixtures/smollm2_greedy.py), and the promise
//! that a row depends neither on its batch nor on the number of threads.
#![allow(clippy::unwrap_used, clippy::float_cmp, clippy::print_stderr, missing_docs)]

mod common;

use std::path::PathBuf;

use ablate_core::{Places, RowValue, Seed, SourceType};
use ablate_generate::decode::{Continuation, Decoding, Draft, Finish, Request, Sampling, cut};
use ablate_models::{Precision, generator::Generator, source::MODEL_SOURCE};
use candle_core::Device;
use serde_json::Value;

fn fixture() -> Value {
    serde_json::from_str(include_str!("../../../tests/fixtures/smollm2_greedy.json")).unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_u64().unwrap() as u32)
        .collect()
}

/// The model, or a loud word that the test did not run.
fn generator() -> Option<Generator> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let models =
        std::env::var_os("ABLATE_MODELS").map_or_else(|| home.join(".cache/ablate/models"), PathBuf::from);
    let places = Places {
        models,
        python: "python3".into(),
        ..Places::default()
    };
    match MODEL_SOURCE.fetch("smollm2-135m-instruct", &places, &|_| {}) {
        Ok(folder) => Some(Generator::load(&folder, &Device::Cpu, Precision::F32).unwrap()),
        Err(error) => {
            eprintln!("SKIPPED: SmolLM2 could not be had: {error}");
            None
        }
    }
}

fn run(generator: &Generator, rows: &[Vec<u32>], decoding: &Decoding) -> Vec<Continuation> {
    let request = |(at, tokens): (usize, &Vec<u32>)| Request {
        tokens: tokens.clone(),
        stream: Seed::root(9).child(&at.to_string()).stream(),
    };
    let requests = rows.iter().enumerate().map(request).collect();
    common::texts(generator, &[], requests, decoding)
}

#[test]
fn tokens_and_log_probabilities_equal_transformers() {
    let (Some(generator), fixture) = (generator(), fixture()) else {
        return;
    };
    for string in fixture["strings"].as_array().unwrap() {
        let text = string["text"].as_str().unwrap();
        let encoded = generator.reader.tokenizer.encode(text, false).unwrap();
        assert_eq!(encoded.get_ids(), ids(&string["ids"]), "{text:?}");
    }
    let rows = fixture["rows"].as_array().unwrap();
    let prompts: Vec<Vec<u32>> = rows.iter().map(|row| ids(&row["prompt_ids"])).collect();
    let decoding = Decoding {
        sampling: Sampling::default(),
        max_new_tokens: 24,
        stop: vec![],
        batch: Some(4),
    };
    for (row, found) in rows.iter().zip(run(&generator, &prompts, &decoding)) {
        // Both dequantise the same Q4_1 and Q8_0 blocks to f32, so only the order of sums differs.
        assert_eq!(found.tokens[..16], ids(&row["tokens"])[..16], "{}", row["prompt"]);
        let expected = row["logprobs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|x| x.as_f64().unwrap());
        let gap: f64 = found
            .logprobs
            .iter()
            .take(16)
            .zip(expected)
            .map(|(a, b)| (f64::from(*a) - b).abs())
            .sum::<f64>()
            / 16.0;
        assert!(gap <= 0.05, "mean |Δ log-probability| is {gap}");
    }
}

#[test]
fn a_row_depends_neither_on_its_batch_nor_on_threads() {
    let Some(generator) = generator() else { return };
    let rows: Vec<Vec<u32>> = (0..32)
        .map(|i| {
            generator
                .reader
                .tokenizer
                .encode(format!("Note {i}: the harbour in {}", 1800 + i), false)
                .unwrap()
                .get_ids()
                .to_vec()
        })
        .collect();
    let sampling = Sampling {
        temperature: 0.8,
        top_p: Some(0.95),
        ..Sampling::default()
    };
    let decoding = |batch| Decoding {
        sampling,
        max_new_tokens: 6,
        stop: vec!["\n".into()],
        batch: Some(batch),
    };
    let with_threads = |threads, batch| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| run(&generator, &rows, &decoding(batch)))
    };
    let expected = with_threads(1, 1);
    // Equality of f32 here is equality of bits: no log-probability is NaN or zero of either sign by chance.
    for (threads, batch) in [(1, 7), (2, 32), (2, 1)] {
        assert_eq!(
            with_threads(threads, batch),
            expected,
            "{threads} threads, batch {batch}"
        );
    }
}

/// A kept draft serves stricter rules, and says when it does not reach an end under wider ones.
#[test]
fn a_draft_is_cut_again_under_other_rules() {
    let Some(generator) = generator() else { return };
    let ids = |text: &str| {
        generator
            .reader
            .tokenizer
            .encode(text, false)
            .unwrap()
            .get_ids()
            .to_vec()
    };
    let tokens = ids("one two three four");
    let draft = Draft {
        logprobs: vec![-0.5; tokens.len()],
        tokens,
    };
    assert_eq!(Draft::from_bytes(&draft.to_bytes()), Some(draft.clone()));
    assert_eq!(Draft::from_bytes(&[0; 12]), None);
    let rules = |max_new_tokens, stop: &str| Decoding {
        sampling: Sampling::default(),
        max_new_tokens,
        stop: vec![stop.into()],
        batch: Some(1),
    };
    let under = |rules| cut(&generator, &draft, &rules).unwrap();
    let stopped = under(rules(64, " three")).unwrap();
    assert_eq!((stopped.text.as_str(), stopped.finish), ("one two", Finish::Stop));
    assert_eq!((stopped.tokens.len(), stopped.ends), (2, vec![3, 7]));
    let short = under(rules(1, "\n")).unwrap();
    assert_eq!((short.tokens.len(), short.finish), (1, Finish::Length));
    assert_eq!(under(rules(64, "\n")), None, "it must be written on");
}
