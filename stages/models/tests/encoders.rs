//! The encoders against PyTorch's numbers (tests/fixtures), and bit for bit against themselves.
#![allow(clippy::unwrap_used)]

#[expect(dead_code, reason = "shared with tests that use all of it")]
mod common;
#[path = "common/t5.rs"]
#[allow(dead_code)]
mod t5;

use ablate_core::StageError;
use ablate_models::{
    Mode,
    bert::{self, Bert, Tokens},
    distilbert::{self, DistilBert},
    encoder::{Embeddings, Prefixes, Role, SentenceEncoder},
    params::{ParamStore, to_vec},
};
use candle_core::{Device, Tensor};
use common::{fixture, minilm, tiny_encoder};
use serde_json::Value;
use t5::saved_by_sentence_transformers;

/// The formula of tiny_models.py: value i of the k-th parameter is .2 sin(.7 k + .013 i), plus 1 for norm weights.
fn formula(parameters: &Value, prefix: &str) -> ParamStore {
    let mut store = ParamStore::default();
    for (k, entry) in parameters.as_array().unwrap().iter().enumerate() {
        let name = entry[0].as_str().unwrap();
        let shape: Vec<usize> = serde_json::from_value(entry[1].clone()).unwrap();
        let scale = name.to_lowercase().contains("norm") && name.ends_with("weight");
        let value = |i: usize| 0.2 * (0.7 * k as f64 + 0.013 * i as f64).sin() + f64::from(u8::from(scale));
        let values: Vec<f32> = (0..shape.iter().product()).map(|i| value(i) as f32).collect();
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
        store.insert(&format!("{prefix}{name}"), &tensor).unwrap();
    }
    store
}

/// The texts of the fixture without their padding, and the states PyTorch gives their tokens.
fn texts_and_states(fixture: &Value, model: &str) -> (Tokens, Vec<f32>) {
    let ids: Vec<Vec<u32>> = serde_json::from_value(fixture["ids"].clone()).unwrap();
    let mask: Vec<Vec<usize>> = serde_json::from_value(fixture["mask"].clone()).unwrap();
    let states: Vec<Vec<Vec<f32>>> =
        serde_json::from_value(fixture[model]["last_hidden_state"].clone()).unwrap();
    let lengths: Vec<usize> = mask.iter().map(|row| row.iter().sum()).collect();
    let texts: Vec<&[u32]> = ids
        .iter()
        .zip(&lengths)
        .map(|(ids, length)| &ids[..*length])
        .collect();
    let kept = states
        .iter()
        .zip(&lengths)
        .flat_map(|(rows, length)| rows[..*length].concat());
    (Tokens::new(&texts), kept.collect())
}

fn assert_close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (at, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() < tolerance, "number {at}: {a}, PyTorch says {b}");
    }
}

#[test]
fn bert_gives_pytorchs_states_with_and_without_prefix() {
    let fixture = fixture("tiny_models.json");
    let (tokens, expected) = texts_and_states(&fixture, "bert");
    for prefix in ["", "bert."] {
        let store = formula(&fixture["bert"]["parameters"], prefix);
        let config: bert::Config = serde_json::from_value(fixture["bert"]["config"].clone()).unwrap();
        let model = Bert::new(config, &store).map_err(|e| e.to_string()).unwrap();
        let states = model.forward(&store, &tokens, Mode::Inference).unwrap();
        assert_close(&to_vec(&states).unwrap(), &expected, 2e-5);
    }
}

#[test]
fn distilbert_gives_pytorchs_states_with_and_without_prefix() {
    let fixture = fixture("tiny_models.json");
    let (tokens, expected) = texts_and_states(&fixture, "distilbert");
    for prefix in ["", "distilbert."] {
        let store = formula(&fixture["distilbert"]["parameters"], prefix);
        let config: distilbert::Config =
            serde_json::from_value(fixture["distilbert"]["config"].clone()).unwrap();
        let model = DistilBert::new(config, &store)
            .map_err(|e| e.to_string())
            .unwrap();
        let states = model.forward(&store, &tokens, Mode::Inference).unwrap();
        assert_close(&to_vec(&states).unwrap(), &expected, 2e-5);
    }
}

#[test]
fn a_checkpoint_that_does_not_fit_its_config_is_refused() {
    let fixture = fixture("tiny_models.json");
    let store = formula(&fixture["bert"]["parameters"], "");
    let mut config = fixture["bert"]["config"].clone();
    config["intermediate_size"] = 65.into();
    let config: bert::Config = serde_json::from_value(config).unwrap();
    let message = Bert::new(config, &store).unwrap_err().to_string();
    assert!(
        message.contains("encoder.layer.0.intermediate.dense.weight"),
        "{message}"
    );
}

fn encode(encoder: &SentenceEncoder, texts: &[String], batch: usize) -> Embeddings {
    encoder
        .encode(texts, batch, &|_, _| Ok(()))
        .map_err(|e| e.to_string())
        .unwrap()
}

fn with_threads<T: Send>(count: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new()
        .num_threads(count)
        .build()
        .unwrap()
        .install(work)
}

fn bits(embeddings: &Embeddings) -> Vec<u32> {
    embeddings.values.iter().map(|x| x.to_bits()).collect()
}

/// Texts of 0 to 60 words, in an order that mixes lengths.
fn texts(count: usize) -> Vec<String> {
    let word = |text: usize, i: usize| format!("w{}", (text * 31 + i * 17) % 90);
    let text = |text: usize| {
        (0..text * 7 % 61)
            .map(|i| word(text, i))
            .collect::<Vec<_>>()
            .join(" ")
    };
    (0..count).map(text).collect()
}

#[test]
fn batch_threads_and_company_do_not_move_a_bit() {
    let folder = tiny_encoder();
    let encoder = SentenceEncoder::load(folder.path(), &Device::Cpu)
        .map_err(|e| e.to_string())
        .unwrap();
    let texts = texts(70);
    let expected = with_threads(1, || encode(&encoder, &texts, 32));
    for threads in [1, 2, 3] {
        for batch in [1, 7, 32] {
            let found = with_threads(threads, || encode(&encoder, &texts, batch));
            assert_eq!(bits(&found), bits(&expected), "{threads} threads, batch {batch}");
        }
    }
    for (text, expected) in texts.iter().zip(expected.rows()) {
        assert_eq!(
            encode(&encoder, std::slice::from_ref(text), 32).values,
            expected,
            "`{text}` alone"
        );
    }
}

#[test]
fn long_texts_are_cut_and_progress_reaches_the_end() {
    let folder = tiny_encoder();
    let mut encoder = SentenceEncoder::load(folder.path(), &Device::Cpu)
        .map_err(|e| e.to_string())
        .unwrap();
    encoder.set_max_length(6).map_err(|e| e.to_string()).unwrap();
    let texts = vec!["w1 w2 w3 w4 w5 w6".to_owned(), "w1 w2 w3 w4".to_owned()];
    let last = std::cell::Cell::new((0, 0));
    let progress = |done, total| {
        last.set((done, total));
        Ok(())
    };
    let found = encoder
        .encode(&texts, 1, &progress)
        .map_err(|e| e.to_string())
        .unwrap();
    let rows: Vec<_> = found.rows().collect();
    assert_eq!(rows[0], rows[1]);
    assert_eq!(last.get(), (2, 2));
}

#[test]
fn an_interruption_stops_encoding() {
    let folder = tiny_encoder();
    let encoder = SentenceEncoder::load(folder.path(), &Device::Cpu)
        .map_err(|e| e.to_string())
        .unwrap();
    let stopped = encoder.encode(&texts(3), 1, &|_, _| Err(StageError::Cancelled));
    assert!(matches!(stopped, Err(StageError::Cancelled)));
}

#[test]
fn unknown_modules_are_refused_by_name() {
    let folder = tiny_encoder();
    let modules = r#"[{"idx": 0, "path": "", "type": "sentence_transformers.models.WeightedLayerPooling"}]"#;
    fs_err::write(folder.path().join("modules.json"), modules).unwrap();
    let error = SentenceEncoder::load(folder.path(), &Device::Cpu)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("WeightedLayerPooling"), "{error}");
}

#[test]
fn minilm_gives_sentence_transformers_vectors() {
    let Some(folder) = minilm() else { return };
    let fixture = fixture("minilm_embeddings.json");
    let encoder = SentenceEncoder::load(&folder, &Device::Cpu)
        .map_err(|e| e.to_string())
        .unwrap();
    let texts: Vec<String> = serde_json::from_value(fixture["texts"].clone()).unwrap();
    let expected: Vec<Vec<f32>> = serde_json::from_value(fixture["embeddings"].clone()).unwrap();
    assert_eq!(
        Some(encoder.max_length() as u64),
        fixture["max_seq_length"].as_u64()
    );
    let found = encode(&encoder, &texts, 2);
    assert_close(&found.values, &expected.concat(), 2e-6);
    for batch in [1, 7, 32] {
        let again = with_threads(batch.min(2), || encode(&encoder, &texts, batch));
        assert_eq!(bits(&again), bits(&found), "batch {batch}");
    }
}

fn prompted(encoder: &SentenceEncoder, role: Role, texts: &[String]) -> Embeddings {
    let prompted: Vec<String> = texts
        .iter()
        .map(|text| encoder.prompted(role, text).into_owned())
        .collect();
    encode(encoder, &prompted, 2)
}

#[test]
fn folders_of_sentence_transformers_6_give_its_vectors_with_their_prompts() {
    let fixture = fixture("sentence_transformers_layout.json");
    let texts: Vec<String> = serde_json::from_value(fixture["texts"].clone()).unwrap();
    for case in fixture["cases"].as_array().unwrap() {
        let folder = saved_by_sentence_transformers(&fixture, case);
        let mut encoder = SentenceEncoder::load(folder.path(), &Device::Cpu)
            .map_err(|e| e.to_string())
            .unwrap();
        let expected = |name: &str| -> Vec<f32> {
            let rows: Vec<Vec<f32>> = serde_json::from_value(case[name].clone()).unwrap();
            rows.concat()
        };
        assert_eq!(encoder.max_length(), 10);
        for (role, name) in [(Role::Query, "queries"), (Role::Document, "documents")] {
            assert_close(&prompted(&encoder, role, &texts).values, &expected(name), 2e-6);
        }
        encoder.set_prefixes(&Prefixes {
            query_prefix: Some(String::new()),
            document_prefix: None,
        });
        assert_close(
            &prompted(&encoder, Role::Query, &texts).values,
            &expected("plain"),
            2e-6,
        );
        let saved = tempfile::tempdir().unwrap();
        encoder
            .save(folder.path(), saved.path())
            .map_err(|e| e.to_string())
            .unwrap();
        let again = SentenceEncoder::load(saved.path(), &Device::Cpu)
            .map_err(|e| e.to_string())
            .unwrap();
        assert_eq!(again.prompted(Role::Query, "w1"), "w1");
        assert_eq!(again.prompted(Role::Document, "w1"), "passage: w1");
    }
}
