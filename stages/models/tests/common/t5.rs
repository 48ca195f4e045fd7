//! Models whose parameters are a formula, as tests/fixtures/formula.py fills them.

use ablate_core::DeviceChoice;
use ablate_models::{device, params::ParamStore};
use safetensors::{Dtype, serialize, tensor::TensorView};
use serde_json::{Value, json};

/// Value `i` of parameter `k`: a hash of both as a number in -1..1.
fn hashed(i: usize, k: usize) -> f64 {
    let h = (i as u32)
        .wrapping_mul(2_654_435_761)
        .wrapping_add((k as u32 + 1) * 40503);
    let h = (h ^ (h >> 15)).wrapping_mul(2_246_822_519);
    f64::from(h ^ (h >> 13)) / 2f64.powi(31) - 1.0
}

/// The parameters of these names and shapes.
pub(crate) fn formula(parameters: &Value) -> ParamStore {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.safetensors");
    fs_err::write(&file, safetensors(parameters)).unwrap();
    let device = device::open(DeviceChoice::Cpu)
        .map_err(|e| e.to_string())
        .unwrap();
    ParamStore::load(&file, &device)
        .map_err(|e| e.to_string())
        .unwrap()
}

/// A file of them.
fn safetensors(parameters: &Value) -> Vec<u8> {
    let mut tensors = Vec::new();
    for (k, entry) in parameters.as_array().unwrap().iter().enumerate() {
        let name = entry[0].as_str().unwrap();
        let shape: Vec<usize> = serde_json::from_value(entry[1].clone()).unwrap();
        let root = (shape[shape.len() - 1] as f64).sqrt();
        let value = |i: usize| match name {
            _ if name.to_lowercase().ends_with("norm.weight") => 1.0 + hashed(i, k) / 2.0,
            "shared.weight" => hashed(i, k),
            _ => hashed(i, k) / root,
        };
        let bytes = (0..shape.iter().product()).flat_map(|i| (value(i) as f32).to_le_bytes());
        tensors.push((name, bytes.collect::<Vec<u8>>(), shape));
    }
    let views = tensors
        .iter()
        .map(|(name, bytes, shape)| (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    serialize(views, None).unwrap()
}

/// A folder with the fixture's tiny T5 over the words `w0` … `w89`, those of monoT5's prompt and its answers.
pub(crate) fn tiny_monot5(fixture: &Value) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let model = &fixture["models"]["tiny"];
    let mut config = model["config"].clone();
    config["model_type"] = "t5".into();
    fs_err::write(folder.path().join("config.json"), config.to_string()).unwrap();
    fs_err::write(folder.path().join("tokenizer.json"), tokenizer().to_string()).unwrap();
    let file = folder.path().join("model.safetensors");
    fs_err::write(file, safetensors(&model["parameters"])).unwrap();
    folder
}

fn tokenizer() -> Value {
    let special = [
        "<pad>",
        "</s>",
        "<unk>",
        "▁Query:",
        "▁Document:",
        "▁Relevant:",
        "▁true",
        "▁false",
    ];
    let words = special
        .map(str::to_owned)
        .into_iter()
        .chain((0..90).map(|i| format!("▁w{i}")));
    let vocab: serde_json::Map<_, _> = words.enumerate().map(|(id, word)| (word, json!(id))).collect();
    let sequence = json!({"Sequence": {"id": "A", "type_id": 0}});
    let end = json!({"SpecialToken": {"id": "</s>", "type_id": 0}});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
        "decoder": null,
        "post_processor": {
            "type": "TemplateProcessing", "single": [sequence, end], "pair": [sequence, end],
            "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}},
        },
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "<unk>"},
    })
}

/// A folder as sentence-transformers 6 saved it (tests/fixtures/sentence_transformers_layout.py).
#[allow(dead_code)]
pub(crate) fn saved_by_sentence_transformers(fixture: &Value, case: &Value) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in case["files"].as_object().unwrap() {
        let file = folder.path().join(name);
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(file, content.to_string()).unwrap();
    }
    let weights = safetensors(&fixture["parameters"]);
    fs_err::write(folder.path().join("model.safetensors"), weights).unwrap();
    folder
}
