//! The rerankers against onnxruntime's and PyTorch's numbers (tests/fixtures), and bit for bit against themselves.
#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod common;
#[path = "common/t5.rs"]
#[allow(dead_code)]
mod t5;

use ablate_models::{
    Mode,
    bert::Tokens,
    params::to_vec,
    reranker::{Activation, CrossEncoder, MonoT5, PairTokens, Reranker, Truncation},
    t5::T5,
};
use candle_core::Device;
use common::{fixture, model, tiny_cross_encoder};
use serde_json::Value;

fn told<T>(result: Result<T, ablate_core::StageError>) -> T {
    result.map_err(|error| error.to_string()).unwrap()
}

fn scores(reranker: &Reranker, pairs: &[(&str, &str)], batch: usize) -> Vec<f32> {
    let mut scores = vec![f32::NAN; pairs.len()];
    told(reranker.score_each(pairs, batch, &mut |pair, score| {
        scores[pair] = score;
        Ok(())
    }));
    scores
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    serde_json::from_value(value.clone()).unwrap()
}

fn borrowed(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
    pairs
        .iter()
        .map(|(query, document)| (query.as_str(), document.as_str()))
        .collect()
}

/// onnxruntime also rounds what flows between layers to 8 bits, PyTorch in f32 does not: the dequantised weights must
/// give PyTorch's numbers to rounding, and onnxruntime's to what those 8 bits are worth (at most .41 logits here).
#[test]
fn ms_marco_minilm_gives_the_scores_of_its_onnx_file() {
    let Some(folder) = model("ms-marco-minilm-l12") else {
        return;
    };
    let fixture = fixture("cross_encoder.json");
    let all = pairs(&fixture["pairs"]);
    let found = scores(&told(Reranker::load(&folder, &Device::Cpu)), &borrowed(&all), 8);
    for (reference, tolerance) in [("f32", 1e-4), ("onnxruntime", 0.45)] {
        let expected: Vec<f32> = serde_json::from_value(fixture[reference].clone()).unwrap();
        for ((found, expected), pair) in found.iter().zip(&expected).zip(&all) {
            assert!(
                (found - expected).abs() < tolerance,
                "{reference}: {found}, not {expected}: {pair:?}"
            );
        }
    }
}

#[test]
fn pairs_are_cut_as_transformers_cuts_them() {
    let Some(folder) = model("ms-marco-minilm-l12") else {
        return;
    };
    let mut encoder = told(CrossEncoder::load(&folder, &Device::Cpu));
    for cut in fixture("cross_encoder.json")["cuts"].as_array().unwrap() {
        let how: Truncation = serde_json::from_value(cut["truncation"].clone()).unwrap();
        told(encoder.set_truncation(cut["max_length"].as_u64().map(|most| most as usize), how));
        let (query, document): (String, String) = serde_json::from_value(cut["pair"].clone()).unwrap();
        let tokens = &told(encoder.tokenize(&[(&query, &document)]))[0];
        assert_eq!(
            tokens.ids,
            serde_json::from_value::<Vec<u32>>(cut["ids"].clone()).unwrap()
        );
        assert_eq!(
            tokens.types,
            serde_json::from_value::<Vec<u32>>(cut["types"].clone()).unwrap()
        );
    }
}

/// Words of the tiny models: 0 to 40 of them, in an order that mixes lengths.
fn texts(count: usize) -> Vec<(String, String)> {
    let words = |text: usize, count: usize| {
        (0..count)
            .map(|i| format!("w{}", (text * 31 + i * 17) % 90))
            .collect::<Vec<_>>()
            .join(" ")
    };
    (0..count)
        .map(|at| (words(at, 1 + at % 6), words(at + 50, at * 7 % 41)))
        .collect()
}

fn assert_bits_depend_on_the_pair_alone(reranker: &Reranker) {
    let all = texts(40);
    let all = borrowed(&all);
    let bits = |scores: Vec<f32>| scores.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    let expected = bits(scores(reranker, &all, 32));
    for threads in [1, 2, 3] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        for batch in [1, 7, 32] {
            let found = pool.install(|| bits(scores(reranker, &all, batch)));
            assert_eq!(found, expected, "{threads} threads, batch {batch}");
        }
    }
    for (pair, expected) in all.iter().zip(&expected) {
        assert_eq!(
            bits(scores(reranker, &[*pair], 32)),
            [*expected],
            "{pair:?} alone"
        );
    }
}

#[test]
fn batch_threads_and_company_do_not_move_a_bit() {
    let folder = tiny_cross_encoder();
    assert_bits_depend_on_the_pair_alone(&told(Reranker::load(folder.path(), &Device::Cpu)));
    let folder = t5::tiny_monot5(&fixture("t5.json"));
    assert_bits_depend_on_the_pair_alone(&told(Reranker::load(folder.path(), &Device::Cpu)));
}

#[test]
fn a_query_that_leaves_no_room_is_an_error_that_names_it() {
    let folder = tiny_cross_encoder();
    let mut reranker = told(Reranker::load(folder.path(), &Device::Cpu));
    told(reranker.set_truncation(Some(6), Truncation::OnlySecond));
    let pairs = [("w1 w2 w3 w4 w5 w6", "w1 w2")];
    let message = reranker
        .score_each(&pairs, 1, &mut |_, _| Ok(()))
        .unwrap_err()
        .to_string();
    assert!(message.contains("`w1 w2 w3 w4 w5 w6`"), "{message}");
    assert!(
        reranker
            .set_truncation(Some(4), Truncation::LongestFirst)
            .is_err()
    );
}

/// As sentence-transformers and transformers read `model_max_length`; a longer limit that is asked for goes before.
#[test]
fn pairs_are_cut_where_the_tokenizer_says() {
    let folder = tiny_cross_encoder();
    let limit = |tokens: &str| {
        let config = format!(r#"{{"model_max_length": {tokens}}}"#);
        fs_err::write(folder.path().join("tokenizer_config.json"), config).unwrap();
        told(CrossEncoder::load(folder.path(), &Device::Cpu))
    };
    assert_eq!(limit("1000000000000000019884624838656").max_length(), 64);
    let mut model = limit("9");
    assert_eq!(model.max_length(), 9);
    told(model.set_truncation(Some(20), Truncation::LongestFirst));
    assert_eq!(model.max_length(), 20);
}

/// RoBERTa counts positions from behind the padding token's id, and its head has names of its own.
#[test]
fn a_roberta_cross_encoder_gives_pytorchs_logits() {
    let fixture = fixture("roberta.json");
    let folder = tiny_cross_encoder();
    fs_err::write(folder.path().join("config.json"), fixture["config"].to_string()).unwrap();
    told(t5::formula(&fixture["parameters"]).save(&folder.path().join("model.safetensors")));
    let model = told(CrossEncoder::load(folder.path(), &Device::Cpu));
    assert_eq!(model.max_length(), 32);
    let ids: Vec<Vec<u32>> = serde_json::from_value(fixture["ids"].clone()).unwrap();
    let pairs: Vec<PairTokens> = ids
        .into_iter()
        .map(|ids| {
            let ids: Vec<u32> = ids.into_iter().filter(|id| *id != 1).collect();
            let types = vec![0; ids.len()];
            PairTokens { ids, types }
        })
        .collect();
    let found = to_vec(&model.forward(pairs.iter(), Mode::Inference).unwrap()).unwrap();
    let expected: Vec<f32> = serde_json::from_value(fixture["logits"].clone()).unwrap();
    assert!(
        (expected[0] - expected[1]).abs() > 0.01,
        "{expected:?} would not tell texts apart"
    );
    for (found, expected) in found.iter().zip(&expected) {
        assert!(
            (found - expected).abs() < 2e-5,
            "{found}, PyTorch says {expected}"
        );
    }
}

/// The same configuration as transformers 5 writes it: what says whether outputs are scaled has a field of its own.
fn newer(config: &Value) -> Value {
    let mut newer = config.clone();
    newer["scale_decoder_outputs"] = config["tie_word_embeddings"].clone();
    newer["tie_word_embeddings"] = true.into();
    newer
}

/// Encoder, decoder and head of both feed-forward networks, tied and not, and of the widths of T5-small and -base.
#[test]
fn t5_gives_pytorchs_first_logits() {
    let fixture = fixture("t5.json");
    let lengths: Vec<usize> = serde_json::from_value(fixture["lengths"].clone()).unwrap();
    let words: Vec<u32> = serde_json::from_value(fixture["words"].clone()).unwrap();
    for (name, model) in fixture["models"].as_object().unwrap() {
        let store = t5::formula(&model["parameters"]);
        let with = |config: &Value| told(T5::new(serde_json::from_value(config.clone()).unwrap(), &store));
        let t5 = with(&model["config"]);
        let id = |text: usize, i: usize| ((i * 37 + text * 11 + 5) % t5.config().vocab_size) as u32;
        let ids = lengths.iter().enumerate();
        let ids: Vec<Vec<u32>> = ids
            .map(|(text, length)| (0..*length).map(|i| id(text, i)).collect())
            .collect();
        let logits = |t5: &T5| to_vec(&t5.first_logits(&store, &Tokens::new(&ids), &words).unwrap()).unwrap();
        let found = logits(&t5);
        assert_eq!(logits(&with(&newer(&model["config"]))), found);
        let expected: Vec<Vec<f32>> = serde_json::from_value(model["logits"].clone()).unwrap();
        for (at, (found, expected)) in found.iter().zip(expected.concat()).enumerate() {
            assert!(
                (found - expected).abs() < 2e-4,
                "{name}, number {at}: {found}, PyTorch says {expected}"
            );
        }
    }
}

#[test]
fn a_prompt_loses_only_the_end_of_its_document() {
    let folder = t5::tiny_monot5(&fixture("t5.json"));
    let mut model = told(MonoT5::load(folder.path(), &Device::Cpu));
    let pair = [("w0 w1", "w2 w3 w4 w5")];
    // Query: w0 w1 Document: w2 w3 w4 w5 Relevant: </s>
    let whole = [3, 8, 9, 4, 10, 11, 12, 13, 5, 1];
    assert_eq!(told(model.tokenize(&pair))[0], whole);
    model.set_max_length(Some(8));
    assert_eq!(told(model.tokenize(&pair))[0], [3, 8, 9, 4, 10, 11, 5, 1]);
    model.set_max_length(Some(6));
    assert_eq!(told(model.tokenize(&pair))[0], [3, 8, 9, 4, 5, 1]);
    model.set_max_length(Some(5));
    let message = model.tokenize(&pair).unwrap_err().to_string();
    assert!(message.contains("`w0 w1`"), "{message}");
}

#[test]
fn sigmoid_is_a_probability_and_keeps_the_order() {
    assert!((Activation::Sigmoid.apply(0.0) - 0.5).abs() < 1e-7);
    assert!((Activation::Sigmoid.apply(-2.0) - 0.119_202_92).abs() < 1e-7);
    assert!((Activation::Logit.apply(-2.0) + 2.0).abs() < 1e-7);
}
