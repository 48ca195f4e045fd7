//! Generators from GGUF files: small decoders of the families give transformers' logits (tests/fixtures/decoders.py), and what is
//! wrong with a file is told.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "common/family.rs"]
mod family;
#[path = "common/formula.rs"]
mod formula;
#[path = "common/gguf_file.rs"]
mod gguf_file;

use std::collections::BTreeMap;

use ablate_models::{Precision, generator::Generator};
use candle_core::Device;
use family::{TOKENS, case_of, difference, error_of, numbers, token};
use formula::{fixture, list, opened, told};
use gguf_file::{I32, STRING, Tensor, array, number, real, text, word, write};
use serde_json::Value;

/// The tensors as llama.cpp's converter writes them.
fn converted(case: &Value) -> Vec<Tensor> {
    let (config, _) = opened(case);
    let architecture = case["config"]["model_type"].as_str().unwrap();
    let mut tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)> = BTreeMap::new();
    for (theirs, ours) in case["gguf"].as_object().unwrap() {
        let (mut shape, mut values) = numbers(case, theirs);
        let name = ours.as_str().unwrap();
        if architecture == "llama" && (name.contains("attn_q.") || name.contains("attn_k.")) {
            values = neighbours(&values, config.head_width, values.len() / shape[0]);
        }
        if architecture == "gemma3_text" && name.ends_with("norm.weight") {
            values.iter_mut().for_each(|x| *x += 1.0);
        }
        if architecture == "gpt2" && shape.len() == 2 && name.starts_with("blk") {
            values = transposed(&values, shape[1]);
            shape.reverse();
        }
        if name.contains("_exps") {
            let all = tensors.entry(name.into()).or_insert((shape.clone(), Vec::new()));
            all.1.extend(values);
            let (count, one) = (all.1.len(), shape.iter().product::<usize>());
            all.0 = [&[count / one], shape.as_slice()].concat();
        } else {
            tensors.insert(name.into(), (shape, values));
        }
    }
    let rope = &case["config"]["rope_parameters"];
    for (name, key) in [
        ("rope_factors_short.weight", "short_factor"),
        ("rope_factors_long.weight", "long_factor"),
    ] {
        if rope[key].is_array() {
            let factors = list(&rope[key], |x| x.as_f64().unwrap() as f32);
            tensors.insert(name.into(), (vec![factors.len()], factors));
        }
    }
    let tensor =
        |(name, (shape, values)): (String, (Vec<usize>, Vec<f32>))| Tensor::of_f32(name, &shape, &values);
    tensors.into_iter().map(tensor).collect()
}

/// Rows of each head from halves to neighbours.
fn neighbours(values: &[f32], width: usize, cols: usize) -> Vec<f32> {
    let rows: Vec<&[f32]> = values.chunks_exact(cols).collect();
    let head = |head: &[&[f32]]| -> Vec<f32> {
        let pair = |i: usize| [head[i], head[i + width / 2]].concat();
        (0..width / 2).flat_map(pair).collect()
    };
    rows.chunks_exact(width).flat_map(head).collect()
}

fn transposed(values: &[f32], cols: usize) -> Vec<f32> {
    let column = |c: usize| values.iter().skip(c).step_by(cols).copied();
    (0..cols).flat_map(column).collect()
}

/// What llama.cpp's converter writes of a model, behind the name of its architecture.
fn shape(case: &Value) -> Vec<(&'static str, Option<Vec<u8>>)> {
    let (config, settings) = (opened(case).0, &case["config"]);
    let whole = |key: &str| settings[key].as_u64().map(|n| number(n as usize));
    let inner = settings["intermediate_size"]
        .as_u64()
        .unwrap_or(4 * config.hidden_size as u64);
    let rope = &settings["rope_parameters"];
    let rope = if rope["full_attention"].is_object() {
        &rope["full_attention"]
    } else {
        rope
    };
    let theta = rope["rope_theta"].as_f64().map(|theta| real(theta as f32));
    let pairs = config.rotaries.first().map(|rotary| number(2 * rotary.pairs()));
    let context = settings["max_position_embeddings"]
        .as_u64()
        .or(settings["n_positions"].as_u64());
    let linear = rope["rope_type"] == "linear";
    vec![
        ("context_length", context.map(|n| number(n as usize))),
        ("embedding_length", Some(number(config.hidden_size))),
        ("block_count", Some(number(config.layers.len()))),
        ("feed_forward_length", Some(number(inner as usize))),
        ("attention.head_count", Some(number(config.num_attention_heads))),
        (
            "attention.head_count_kv",
            Some(number(config.num_key_value_heads)),
        ),
        ("attention.key_length", Some(number(config.head_width))),
        (
            "attention.layer_norm_rms_epsilon",
            Some(real(config.norm_epsilon as f32)),
        ),
        (
            "attention.layer_norm_epsilon",
            Some(real(config.norm_epsilon as f32)),
        ),
        ("attention.sliding_window", whole("sliding_window")),
        ("rope.dimension_count", pairs),
        ("rope.freq_base", theta),
        ("rope.scaling.type", linear.then(|| word("linear"))),
        (
            "rope.scaling.factor",
            linear.then(|| real(rope["factor"].as_f64().unwrap() as f32)),
        ),
        (
            "rope.scaling.original_context_length",
            rope["original_max_position_embeddings"]
                .as_u64()
                .map(|n| number(n as usize)),
        ),
        ("expert_count", whole("num_local_experts")),
        ("expert_used_count", whole("num_experts_per_tok")),
        ("expert_feed_forward_length", whole("moe_intermediate_size")),
    ]
}

/// The metadata llama.cpp's converter writes.
fn metadata(case: &Value, pre: &str) -> Vec<(String, Vec<u8>)> {
    let architecture = match case["config"]["model_type"].as_str().unwrap() {
        "qwen3_moe" => "qwen3moe",
        other => other,
    };
    let own = shape(case).into_iter();
    let own = own.filter_map(|(key, value)| Some((format!("{architecture}.{key}"), value?)));
    let kind = |id: usize| if id == 60 { 3_i32 } else { 1 }.to_le_bytes().to_vec();
    let shared = [
        ("general.architecture", word(architecture)),
        ("tokenizer.ggml.model", word("gpt2")),
        ("tokenizer.ggml.pre", word(pre)),
        (
            "tokenizer.ggml.tokens",
            array(STRING, (0..TOKENS).map(|id| text(&token(id)))),
        ),
        ("tokenizer.ggml.token_type", array(I32, (0..TOKENS).map(kind))),
        ("tokenizer.ggml.merges", array(STRING, [].into_iter())),
        ("tokenizer.ggml.eos_token_id", number(60)),
        ("tokenizer.ggml.bos_token_id", number(3)),
        ("tokenizer.chat_template", word("{{ messages }}")),
    ];
    own.chain(shared.map(|(key, value)| (key.to_owned(), value)))
        .collect()
}

#[test]
fn gguf_files_of_the_families_give_transformers_logits() {
    let fixture = fixture();
    let names = [
        "llama",
        "llama with biases",
        "linear scaling",
        "qwen2",
        "qwen3",
        "qwen3 moe",
        "phi3",
        "phi3 longrope",
        "gpt2",
    ];
    for name in names {
        let case = case_of(&fixture, name);
        let folder = tempfile::tempdir().unwrap();
        write(
            &folder.path().join("m.gguf"),
            &metadata(case, "llama-bpe"),
            &converted(case),
        );
        let generator = Generator::load(folder.path(), &Device::Cpu, Precision::F32).unwrap_or_else(told);
        let most = difference(&generator, &fixture, case);
        assert!(most < 1e-4, "{name}: {most}");
        // Llama 3's tokenizer begins texts with a token, though the file does not ask for it.
        assert_eq!(
            (generator.reader.begin, generator.reader.ends.as_slice()),
            (Some(3), &[60][..])
        );
        assert_eq!(generator.reader.chat_template.as_deref(), Some("{{ messages }}"));
    }
}

#[test]
fn unknown_parts_of_a_gguf_file_are_named() {
    let fixture = fixture();
    let case = case_of(&fixture, "qwen2");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("m.gguf");
    let refused = |pre: &str, tensors: &[Tensor]| {
        write(&file, &metadata(case, pre), tensors);
        error_of(folder.path())
    };
    let told = refused("chameleon", &converted(case));
    assert!(
        told.contains("m.gguf` has the pre-tokenizer `chameleon`, which is not known: gpt-2"),
        "{told}"
    );
    let mut tensors = converted(case);
    tensors[3].kind = 20;
    let told = refused("qwen2", &tensors);
    let expected = format!("tensor `{}` is of the type IQ4_NL", tensors[3].name);
    assert!(told.contains(&expected) && told.contains("Q4_0"), "{told}");
    tensors[3].kind = 0;
    let dropped = tensors.remove(5).name;
    let told = refused("qwen2", &tensors);
    assert!(told.contains(&format!("tensor `{dropped}` is missing")), "{told}");
    let whole = fs_err::read(&file).unwrap();
    fs_err::write(&file, &whole[..whole.len() - 4000]).unwrap();
    assert!(error_of(folder.path()).contains("does not lie within the file"));
    fs_err::write(&file, &whole[..200]).unwrap();
    assert!(error_of(folder.path()).contains("m.gguf` is no sound GGUF file"));
}
