//! A trained generator as it is saved: adapters merged, a GGUF file in the layout of transformers, and peft's folder.
#![allow(clippy::unwrap_used)]

#[path = "common/generator.rs"]
mod generator;

use ablate_core::{Seed, StageError};
use ablate_models::{
    Mode, Precision, TunedGenerator,
    decoder::{Decoder, Lora, Model, Prompted},
    generator::{Generator, Reader},
    params::{ParamStore, to_vec},
};
use candle_core::{Device, Tensor};
use generator::{tiny_generator, tiny_llama3};

fn told<T>(result: Result<T, StageError>) -> T {
    result.map_err(|error| error.to_string()).unwrap()
}

/// Adds to every trained parameter a little.
fn disturb(model: &TunedGenerator) {
    for (name, variable) in model.decoder.store().iter() {
        let mut stream = Seed::root(5).child(name).stream();
        let numbers: Vec<f32> = (0..variable.elem_count())
            .map(|_| (0.1 * stream.normal()) as f32)
            .collect();
        let more = Tensor::from_vec(numbers, variable.shape(), &Device::Cpu).unwrap();
        variable.set(&(variable.as_tensor() + more).unwrap()).unwrap();
    }
}

const PROMPT: [u32; 5] = [70, 258, 90, 12, 33];
const COMPLETION: [u32; 4] = [40, 259, 41, 256];

fn logits_in_training(model: &TunedGenerator) -> Vec<f32> {
    let text = Prompted {
        prompt: &PROMPT,
        completions: vec![&COMPLETION],
    };
    to_vec(&told(model.decoder.logits(&[text], Mode::Inference))).unwrap()
}

fn logits_in_use(generator: &Generator) -> Vec<f32> {
    let Model::Cpu(model) = &generator.model else {
        panic!()
    };
    let after = |count: usize| {
        let tokens = [&PROMPT[..], &COMPLETION[..count]].concat();
        let prefix = told(model.prefix(&[]));
        let mut group = told(model.group(&prefix, 1));
        told(model.step(&prefix, &mut group, &[&tokens])).concat()
    };
    (0..COMPLETION.len()).flat_map(after).collect()
}

fn assert_same(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-4, "{found}, not {expected}");
    }
}

fn lora() -> Lora {
    Lora {
        rank: 3,
        alpha: 6.0,
        dropout: 0.0,
        targets: vec!["q_proj".into(), "k_proj".into(), "down_proj".into()],
    }
}

#[test]
fn what_is_saved_computes_what_was_trained() {
    let base = tiny_generator();
    let untrained = told(Generator::load(base.path(), &Device::Cpu, Precision::F32));
    for lora in [Some(lora()), None] {
        let model = told(TunedGenerator::load(
            base.path(),
            lora.as_ref(),
            &Seed::root(1),
            &Device::Cpu,
        ));
        assert_same(&logits_in_training(&model), &logits_in_use(&untrained));
        disturb(&model);
        let folder = tempfile::tempdir().unwrap();
        told(model.save(base.path(), folder.path()));
        let saved = told(Generator::load(folder.path(), &Device::Cpu, Precision::F32));
        assert_same(&logits_in_use(&saved), &logits_in_training(&model));
        assert_eq!(
            (saved.reader.begin, &saved.reader.ends),
            (untrained.reader.begin, &untrained.reader.ends)
        );
        assert_eq!(saved.reader.chat_template, untrained.reader.chat_template);
        let ids = |of: &Generator| {
            of.reader
                .tokenizer
                .encode("the in a\n the", false)
                .unwrap()
                .get_ids()
                .to_vec()
        };
        assert_eq!(ids(&saved), ids(&untrained));
        assert_eq!(folder.path().join("adapter").exists(), lora.is_some());
    }
}

/// Transformers has no name for the factors of a GGUF file but those of longrope, and vLLM goes by `architectures`.
#[test]
fn what_is_saved_of_llama_3_is_in_words_of_transformers() {
    let base = tiny_llama3();
    let folder = trained(base.path(), &lora());
    let config = fs_err::read(folder.path().join("config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    let factors = serde_json::json!([1.0, 1.0, 3.5, 8.0]);
    let scaling = serde_json::json!({
        "rope_type": "longrope", "short_factor": factors, "long_factor": factors, "attention_factor": 1.0,
        "original_max_position_embeddings": 512,
    });
    assert_eq!(config["rope_scaling"], scaling);
    assert_eq!(config["architectures"], serde_json::json!(["LlamaForCausalLM"]));
    let load = |folder| told(Generator::load(folder, &Device::Cpu, Precision::F32));
    let plain = tiny_generator();
    let (scaled, unscaled) = (
        logits_in_use(&load(base.path())),
        logits_in_use(&load(plain.path())),
    );
    assert!(
        scaled.iter().zip(&unscaled).any(|(a, b)| (a - b).abs() > 1e-3),
        "it turns otherwise"
    );
    let merged = load(folder.path());
    let adapted = Generator::load_adapted(
        base.path(),
        &folder.path().join("adapter"),
        &Device::Cpu,
        Precision::F32,
    );
    assert_same(&logits_in_use(&merged), &logits_in_use(&told(adapted)));
}

/// A folder with an adapter, trained on the tiny generator.
fn trained(base: &std::path::Path, lora: &Lora) -> tempfile::TempDir {
    let model = told(TunedGenerator::load(
        base,
        Some(lora),
        &Seed::root(1),
        &Device::Cpu,
    ));
    disturb(&model);
    let folder = tempfile::tempdir().unwrap();
    told(model.save(base, folder.path()));
    folder
}

#[test]
fn an_adapter_in_its_base_is_the_merged_model() {
    let base = tiny_generator();
    let folder = trained(base.path(), &lora());
    let merged = logits_in_use(&told(Generator::load(
        folder.path(),
        &Device::Cpu,
        Precision::F32,
    )));
    let untrained = logits_in_use(&told(Generator::load(base.path(), &Device::Cpu, Precision::F32)));
    assert!(merged.iter().zip(&untrained).any(|(a, b)| (a - b).abs() > 0.01));
    // What a trainer writes, and the adapter's own folder.
    for adapter in [folder.path().to_owned(), folder.path().join("adapter")] {
        let adapted = told(Generator::load_adapted(
            base.path(),
            &adapter,
            &Device::Cpu,
            Precision::F32,
        ));
        assert_same(&logits_in_use(&adapted), &merged);
    }
}

/// transformers, too, cuts only where it is asked to, whatever the tokenizer was saved with.
#[test]
fn a_tokenizer_saved_with_truncation_cuts_nothing() {
    let base = tiny_generator();
    let folder = trained(base.path(), &lora());
    let text = "the in a\n the in a the in a";
    let tokens = || told(told(Reader::load(folder.path())).tokens(text));
    let whole = tokens();
    let file = folder.path().join("tokenizer.json");
    let mut tokenizer: serde_json::Value = serde_json::from_slice(&fs_err::read(&file).unwrap()).unwrap();
    tokenizer["truncation"] = serde_json::json!({
        "direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0,
    });
    tokenizer["padding"] = serde_json::json!({
        "strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "x",
    });
    fs_err::write(&file, tokenizer.to_string()).unwrap();
    assert!(whole.len() > 2);
    assert_eq!(tokens(), whole);
}

/// What becomes of a tensor of an adapter.
type Change<'a> = &'a dyn Fn(&str, &Tensor) -> Option<(String, Tensor)>;

#[test]
fn an_adapter_of_another_base_is_refused_by_the_name_of_a_tensor() {
    let base = tiny_generator();
    let refused = |folder: &tempfile::TempDir| {
        let loaded = Generator::load_adapted(base.path(), folder.path(), &Device::Cpu, Precision::F32);
        loaded.err().unwrap().to_string()
    };
    let change = |folder: &tempfile::TempDir, change: Change<'_>| {
        let file = folder.path().join("adapter/adapter_model.safetensors");
        let mut changed = ParamStore::default();
        for (name, value) in told(ParamStore::load(&file, &Device::Cpu)).iter() {
            if let Some((name, value)) = change(name, value.as_tensor()) {
                changed.insert(&name, &value).unwrap();
            }
        }
        told(changed.save(&file));
    };
    let folder = trained(base.path(), &lora());
    change(&folder, &|name, value| {
        (!name.ends_with("layers.1.mlp.down_proj.lora_B.weight")).then(|| (name.to_owned(), value.clone()))
    });
    let message = refused(&folder);
    assert!(
        message.contains("lacks the tensor `base_model.model.model.layers.1.mlp.down_proj.lora_B.weight`"),
        "{message}"
    );
    let folder = trained(base.path(), &lora());
    change(&folder, &|name, value| {
        Some((name.replace("layers.1.", "layers.7."), value.clone()))
    });
    let message = refused(&folder);
    assert!(
        message.contains("layers.7.") && message.contains("belongs to no layer"),
        "{message}"
    );
    let folder = trained(base.path(), &lora());
    change(&folder, &|name, value| {
        let wider = Tensor::zeros((3, 48), value.dtype(), &Device::Cpu).unwrap();
        let changed = if name.ends_with("layers.0.self_attn.q_proj.lora_A.weight") {
            wider
        } else {
            value.clone()
        };
        Some((name.to_owned(), changed))
    });
    let message = refused(&folder);
    assert!(
        message.contains("layers.0.self_attn.q_proj.lora_A.weight` of the shape [3, 48], expected [3, 32]"),
        "{message}"
    );
    let folder = trained(base.path(), &lora());
    let file = folder.path().join("adapter/adapter_config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs_err::read(&file).unwrap()).unwrap();
    config["r"] = 4.into();
    fs_err::write(&file, config.to_string()).unwrap();
    let message = refused(&folder);
    assert!(
        message.contains("lora_A.weight` of the shape [3, ") && message.contains("expected [4, "),
        "{message}"
    );
}

#[test]
fn an_adapter_has_the_names_and_shapes_of_peft() {
    let base = tiny_generator();
    let model = told(TunedGenerator::load(
        base.path(),
        Some(&lora()),
        &Seed::root(1),
        &Device::Cpu,
    ));
    let folder = tempfile::tempdir().unwrap();
    told(model.save(base.path(), folder.path()));
    let file = folder.path().join("adapter/adapter_model.safetensors");
    let adapter = told(ParamStore::load(&file, &Device::Cpu));
    let shapes: Vec<(&str, &[usize])> = adapter
        .iter()
        .map(|(name, value)| (name, value.dims()))
        .filter(|(name, _)| name.contains("layers.1.") && !name.contains("q_proj"))
        .collect();
    let start = "base_model.model.model.layers.1.";
    let expected: [(String, &[usize]); 4] = [
        (format!("{start}mlp.down_proj.lora_A.weight"), &[3, 64]),
        (format!("{start}mlp.down_proj.lora_B.weight"), &[32, 3]),
        (format!("{start}self_attn.k_proj.lora_A.weight"), &[3, 32]),
        (format!("{start}self_attn.k_proj.lora_B.weight"), &[16, 3]),
    ];
    let expected: Vec<(&str, &[usize])> = expected
        .iter()
        .map(|(name, shape)| (name.as_str(), *shape))
        .collect();
    assert_eq!(shapes, expected);
    let config: serde_json::Value =
        serde_json::from_slice(&fs_err::read(folder.path().join("adapter/adapter_config.json")).unwrap())
            .unwrap();
    assert_eq!(
        (config["r"].as_u64(), config["peft_type"].as_str()),
        (Some(3), Some("LORA"))
    );
}

#[test]
fn targets_that_name_no_layer_are_told() {
    let base = tiny_generator();
    let lora = Lora {
        targets: vec!["query".into()],
        ..lora()
    };
    let error = TunedGenerator::load(base.path(), Some(&lora), &Seed::root(1), &Device::Cpu);
    let error = error.err().unwrap().to_string();
    assert_eq!(error, "the model has no linear layer `query` for an adapter");
}

#[test]
fn completions_stand_behind_a_blank_and_end() {
    let base = tiny_generator();
    let model = told(TunedGenerator::load(
        base.path(),
        None,
        &Seed::root(1),
        &Device::Cpu,
    ));
    let completion = told(model.completion("Query:", "in", Some(256)));
    assert_eq!(completion.last(), Some(&256));
    let spaced = told(model.completion("Query: ", "in", None));
    assert_eq!(completion.len(), spaced.len() + 2, "without a blank and the end");
}
