//! Generators from config.json, safetensors and tokenizer.json: small decoders of the families give transformers' logits
//! (tests/fixtures/decoders.py), and what is wrong with a folder is told.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "common/family.rs"]
mod family;
#[path = "common/formula.rs"]
#[expect(dead_code, reason = "shared with tests that use all of it")]
mod formula;

use ablate_models::{Precision, generator::Generator};
use candle_core::Device;
use family::{TOKENS, case_of, difference, error_of, numbers, token};
use formula::{Formula, fixture, told};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};

/// A folder as transformers saves it; its tensors, named by `rename`, in as many files, `kind` of numbers.
fn checkpoint(case: &Value, files: usize, kind: Dtype, rename: impl Fn(&str) -> String) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let names: Vec<String> = Formula::of(case).tensors.into_keys().collect();
    let mut index = serde_json::Map::new();
    for (part, names) in names.chunks(names.len().div_ceil(files)).enumerate() {
        let file = match files {
            1 => "model.safetensors".to_owned(),
            _ => format!("model-{part}.safetensors"),
        };
        let tensors: Vec<_> = names
            .iter()
            .map(|name| (rename(name), encoded(case, name, kind)))
            .collect();
        let views = tensors
            .iter()
            .map(|(name, (shape, bytes))| (name, TensorView::new(kind, shape.clone(), bytes).unwrap()));
        fs_err::write(at(&file), safetensors::serialize(views, None).unwrap()).unwrap();
        index.extend(names.iter().map(|name| (rename(name), json!(file))));
    }
    if files > 1 {
        fs_err::write(
            at("model.safetensors.index.json"),
            json!({"weight_map": index}).to_string(),
        )
        .unwrap();
    }
    fs_err::write(at("config.json"), case["config"].to_string()).unwrap();
    fs_err::write(at("tokenizer.json"), tokenizer(TOKENS).to_string()).unwrap();
    fs_err::write(
        at("generation_config.json"),
        json!({"eos_token_id": [60, 7]}).to_string(),
    )
    .unwrap();
    let about =
        json!({"add_bos_token": true, "bos_token": {"content": token(3)}, "chat_template": "{{ x }}"});
    fs_err::write(at("tokenizer_config.json"), about.to_string()).unwrap();
    folder
}

fn encoded(case: &Value, name: &str, kind: Dtype) -> (Vec<usize>, Vec<u8>) {
    let (shape, numbers) = numbers(case, name);
    let bytes = match kind {
        Dtype::BF16 => numbers
            .iter()
            .flat_map(|x| ((x.to_bits() >> 16) as u16).to_le_bytes())
            .collect(),
        _ => numbers.iter().flat_map(|x| x.to_le_bytes()).collect(),
    };
    (shape, bytes)
}

fn tokenizer(tokens: usize) -> Value {
    let vocabulary: serde_json::Map<_, _> = (0..tokens).map(|id| (token(id), json!(id))).collect();
    json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
           "pre_tokenizer": null, "post_processor": null, "decoder": null,
           "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                     "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocabulary, "merges": []}})
}

#[test]
fn checkpoints_in_one_file_or_several_give_transformers_logits() {
    let fixture = fixture();
    for (name, files) in [("mistral", 1), ("qwen3 moe", 3), ("opt", 2), ("gptj", 1)] {
        let case = case_of(&fixture, name);
        let folder = checkpoint(case, files, Dtype::F32, str::to_owned);
        let generator = Generator::load(folder.path(), &Device::Cpu, Precision::F32).unwrap_or_else(told);
        let most = difference(&generator, &fixture, case);
        assert!(most < 1e-4, "{name}: {most}");
        assert_eq!(
            (generator.reader.begin, generator.reader.ends.as_slice()),
            (Some(3), &[60, 7][..])
        );
        assert_eq!(generator.reader.chat_template.as_deref(), Some("{{ x }}"));
    }
    // GPT-2's own files leave the prefix out; bf16 keeps eight bits of each weight.
    let case = case_of(&fixture, "gpt2");
    let folder = checkpoint(case, 1, Dtype::BF16, |name| {
        name.trim_start_matches("transformer.").to_owned()
    });
    let generator = Generator::load(folder.path(), &Device::Cpu, Precision::F32).unwrap_or_else(told);
    let most = difference(&generator, &fixture, case);
    assert!(most > 1e-4 && most < 0.1, "{most}");
}

/// Gemma 3's larger models read pictures, too: their language model is part of another, and its settings are an object of their own.
#[test]
fn the_language_model_of_one_that_reads_pictures_gives_transformers_logits() {
    let fixture = fixture();
    let case = case_of(&fixture, "gemma3");
    for start in ["language_model.", "model.language_"] {
        let folder = checkpoint(case, 2, Dtype::F32, |name| format!("{start}{name}"));
        let mut language = case["config"].as_object().unwrap().clone();
        language.remove("eos_token_id");
        let config = json!({
            "model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"], "eos_token_id": [1, 60],
            "text_config": language, "vision_config": {"model_type": "siglip_vision_model", "hidden_size": 16},
        });
        fs_err::write(folder.path().join("config.json"), config.to_string()).unwrap();
        fs_err::remove_file(folder.path().join("generation_config.json")).unwrap();
        let generator = Generator::load(folder.path(), &Device::Cpu, Precision::F32).unwrap_or_else(told);
        let most = difference(&generator, &fixture, case);
        assert!(most < 1e-4, "{start}: {most}");
        assert_eq!(generator.reader.ends, [1, 60]);
    }
}

/// What Gemma 3 of 4 B parameters says of its language model, and what transformers makes of it.
#[test]
fn settings_that_are_left_out_are_filled_in() {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({"model_type": "gemma3", "text_config": {
        "hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text", "num_hidden_layers": 34,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024,
    }});
    fs_err::write(folder.path().join("config.json"), config.to_string()).unwrap();
    fs_err::write(
        folder.path().join("tokenizer.json"),
        tokenizer(TOKENS).to_string(),
    )
    .unwrap();
    fs_err::write(
        folder.path().join("model.safetensors"),
        safetensors::serialize(Vec::<(&str, TensorView<'_>)>::new(), None).unwrap(),
    )
    .unwrap();
    let told = error_of(folder.path());
    assert!(
        told.contains("the tokenizer has 61 tokens, the model 262208 embeddings"),
        "{told}"
    );
}

#[test]
fn what_is_wrong_with_a_checkpoint_is_told() {
    let fixture = fixture();
    let case = case_of(&fixture, "qwen2");
    let folder = checkpoint(case, 1, Dtype::I32, |name| match name {
        "model.norm.weight" => "model.nrm.weight".to_owned(),
        name => name.to_owned(),
    });
    let told = error_of(folder.path());
    for part in [
        "tensor `model.embed_tokens.weight` of `",
        "model.safetensors` is I32; F32, F16 and BF16 are read",
        "more",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let told_of = |tokens: usize| {
        let text = tokenizer(tokens).to_string();
        fs_err::write(folder.path().join("tokenizer.json"), text).unwrap();
        error_of(folder.path())
    };
    assert!(told_of(TOKENS + 2).contains("the tokenizer has 63 tokens, the model 61 embeddings"));
    assert!(told_of(TOKENS / 2).contains("the tokenizer has 30 tokens, the model 61 embeddings"));
    assert!(told_of(TOKENS - 1).contains("the token 60 begins or ends texts"));
    fs_err::write(
        folder.path().join("config.json"),
        json!({"model_type": "mamba"}).to_string(),
    )
    .unwrap();
    assert!(error_of(folder.path()).contains("config.json` is of the architecture `mamba`"));
    fs_err::remove_file(folder.path().join("config.json")).unwrap();
    assert!(error_of(folder.path()).contains("holds no .gguf file and no config.json"));
}
