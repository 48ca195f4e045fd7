//! What tests of encoders share: fixtures, a tiny model, the real one.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use ablate_core::{Places, Seed, SourceType as _};
use ablate_models::source::MODEL_SOURCE;
use safetensors::{Dtype, serialize, tensor::TensorView};
use serde_json::{Value, json};

/// A file of tests/fixtures.
pub(crate) fn fixture(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures")
        .join(name);
    serde_json::from_slice(&fs_err::read(file).unwrap()).unwrap()
}

/// The folder of all-MiniLM-L6-v2, if it can be had.
pub(crate) fn minilm() -> Option<PathBuf> {
    model("all-minilm-l6-v2")
}

/// The folder of a model of the catalogue; `None`, loudly, where it is neither cached nor fetchable.
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
pub(crate) fn model(name: &str) -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/ablate/models"));
    let places = Places {
        models: std::env::var_os("ABLATE_MODELS")
            .map(PathBuf::from)
            .or_else(home)?,
        python: "python3".into(),
        ..Places::default()
    };
    match MODEL_SOURCE.fetch(name, &places, &|_| {}) {
        Ok(folder) => Some(folder),
        Err(error) => {
            eprintln!("SKIPPED: {name} cannot be had: {error}");
            None
        }
    }
}

/// A folder with a random encoder of 2 layers and 32 dimensions over the words `w0` … `w89`.
pub(crate) fn tiny_encoder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, value: &Value| {
        let file = folder.path().join(name);
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(file, value.to_string()).unwrap();
    };
    write("config.json", &config());
    write("tokenizer.json", &tokenizer());
    write(
        "sentence_bert_config.json",
        &json!({"max_seq_length": 48, "do_lower_case": false}),
    );
    write(
        "1_Pooling/config.json",
        &json!({"word_embedding_dimension": 32, "pooling_mode_mean_tokens": true}),
    );
    let module = |idx: usize, path: &str, kind: &str| json!({"idx": idx, "name": idx.to_string(), "path": path, "type": format!("sentence_transformers.models.{kind}")});
    let modules = [
        module(0, "", "Transformer"),
        module(1, "1_Pooling", "Pooling"),
        module(2, "2_Normalize", "Normalize"),
    ];
    write("modules.json", &json!(modules));
    fs_err::write(folder.path().join("model.safetensors"), parameters(&[])).unwrap();
    folder
}

/// A folder with a random cross-encoder of the same shape over the same words.
pub(crate) fn tiny_cross_encoder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut tokenizer = tokenizer();
    let part = |id: &str, kind: u32| json!({"Sequence": {"id": id, "type_id": kind}});
    let special = |token: &str, kind: u32| json!({"SpecialToken": {"id": token, "type_id": kind}});
    tokenizer["post_processor"]["pair"] = json!([
        special("[CLS]", 0),
        part("A", 0),
        special("[SEP]", 0),
        part("B", 1),
        special("[SEP]", 1)
    ]);
    fs_err::write(folder.path().join("config.json"), config().to_string()).unwrap();
    fs_err::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let head = [("pooler.dense", vec![32, 32]), ("classifier", vec![1, 32])];
    fs_err::write(folder.path().join("model.safetensors"), parameters(&head)).unwrap();
    folder
}

fn config() -> Value {
    json!({
        "model_type": "bert", "vocab_size": 94, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 64, "hidden_act": "gelu", "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1, "max_position_embeddings": 64, "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
    })
}

fn tokenizer() -> Value {
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"].map(str::to_owned);
    let words = special.into_iter().chain((0..90).map(|i| format!("w{i}")));
    let vocab: serde_json::Map<_, _> = words.enumerate().map(|(id, word)| (word, json!(id))).collect();
    let token = |token: &str| json!({"SpecialToken": {"id": token, "type_id": 0}});
    let known = |token: &str, id: u32| json!({"id": token, "ids": [id], "tokens": [token]});
    let single = [
        token("[CLS]"),
        json!({"Sequence": {"id": "A", "type_id": 0}}),
        token("[SEP]"),
    ];
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "WhitespaceSplit"}, "decoder": null,
        "post_processor": {
            "type": "TemplateProcessing", "single": single, "pair": single,
            "special_tokens": {"[CLS]": known("[CLS]", 2), "[SEP]": known("[SEP]", 3)},
        },
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "[UNK]"},
    })
}

/// A safetensors file of random parameters by the shapes of the configuration, and of these linear layers beside them.
fn parameters(head: &[(&str, Vec<usize>)]) -> Vec<u8> {
    let mut tensors = Vec::new();
    let mut put = |name: String, shape: &[usize]| {
        let mut stream = Seed::root(11).child(&name).stream();
        let centre = if name.contains("LayerNorm.weight") {
            1.0
        } else {
            0.0
        };
        let numbers = (0..shape.iter().product()).map(|_| (centre + 0.1 * stream.normal()) as f32);
        tensors.push((
            name,
            shape.to_vec(),
            numbers.flat_map(f32::to_le_bytes).collect::<Vec<u8>>(),
        ));
    };
    for (name, shape) in head {
        put(format!("{name}.weight"), shape);
        put(format!("{name}.bias"), &shape[..1]);
    }
    put("embeddings.word_embeddings.weight".into(), &[94, 32]);
    put("embeddings.position_embeddings.weight".into(), &[64, 32]);
    put("embeddings.token_type_embeddings.weight".into(), &[2, 32]);
    let norm = ["embeddings.LayerNorm".to_owned()].into_iter();
    let layers = (0..2).flat_map(|layer| {
        ["attention.output.LayerNorm", "output.LayerNorm"].map(|name| format!("encoder.layer.{layer}.{name}"))
    });
    for name in norm.chain(layers) {
        put(format!("{name}.weight"), &[32]);
        put(format!("{name}.bias"), &[32]);
    }
    let square = [
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.output.dense",
    ];
    let shapes = square.map(|name| (name, [32, 32])).into_iter();
    let shapes: Vec<_> = shapes
        .chain([("intermediate.dense", [64, 32]), ("output.dense", [32, 64])])
        .collect();
    for layer in 0..2 {
        for (name, shape) in &shapes {
            put(format!("encoder.layer.{layer}.{name}.weight"), shape);
            put(format!("encoder.layer.{layer}.{name}.bias"), &shape[..1]);
        }
    }
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    serialize(views, None).unwrap()
}
