//! Every family of decoders against transformers on small configurations (tests/fixtures/decoders.py), on the CPU path
//! and with candle's tensors; and the CPU path's promise that a row's bits do not depend on what it is decoded with.
#![allow(clippy::unwrap_used, clippy::float_cmp, missing_docs)]

#[path = "common/formula.rs"]
mod formula;

use std::collections::BTreeMap;

use ablate_core::Seed;
use ablate_models::{
    Mode, Precision,
    decoder::{
        CpuDecoder, Decoder, DeviceDecoder, Family, Prompted, Settings, TunedDecoder, expected_tensors,
        likeliest, log_probability,
    },
    params::to_vec,
};
use candle_core::Device;
use formula::{Formula, fixture, ids, list, opened, told};
use serde_json::Value;

fn cpu(case: &Value) -> CpuDecoder {
    let (config, layout) = opened(case);
    CpuDecoder::load(config, layout, &mut Formula::of(case)).unwrap_or_else(told)
}

/// The same model with candle's tensors.
fn tensors(case: &Value, precision: Precision) -> DeviceDecoder {
    let ((config, layout), weights) = (opened(case), &mut Formula::of(case));
    DeviceDecoder::load_on(config, layout, weights, &Device::Cpu, precision).unwrap_or_else(told)
}

/// The logits after the tokens, fed at once.
fn logits<D: Decoder>(model: &D, tokens: &[u32]) -> Vec<f32> {
    steps(model, &[], &[vec![tokens]]).remove(0).remove(0)
}

/// The logits of every step and row behind `prefix`. A step of fewer rows than the one before goes on with the last.
fn steps<D: Decoder>(model: &D, prefix: &[u32], feeds: &[Vec<&[u32]>]) -> Vec<Vec<Vec<f32>>> {
    let prefix = model.prefix(prefix).unwrap_or_else(told);
    let mut rows = feeds[0].len();
    let mut group = model.group(&prefix, rows).unwrap_or_else(told);
    let step = |feeds: &Vec<&[u32]>| {
        let kept: Vec<usize> = (rows - feeds.len()..rows).collect();
        rows = feeds.len();
        model.keep(&mut group, &kept).unwrap_or_else(told);
        model.step(&prefix, &mut group, feeds).unwrap_or_else(told)
    };
    feeds.iter().map(step).collect()
}

fn difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let pairs = found.iter().zip(expected);
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// The largest difference from transformers' logits.
fn worst<D: Decoder>(model: &D, fixture: &Value, case: &Value) -> f32 {
    let (ids, ends) = (
        ids(fixture),
        list(&fixture["at"], |at| at.as_u64().unwrap() as usize),
    );
    let rows = ends.iter().zip(case["logits"].as_array().unwrap());
    let differences = rows.map(|(end, expected)| {
        let expected = list(expected, |logit| logit.as_f64().unwrap() as f32);
        difference(&logits(model, &ids[..=*end]), &expected)
    });
    differences.fold(0.0, f32::max)
}

#[test]
#[allow(clippy::print_stdout)]
fn logits_of_every_family_equal_transformers() {
    let fixture = fixture();
    for case in fixture["cases"].as_array().unwrap() {
        let found = [
            worst(&cpu(case), &fixture, case),
            worst(&tensors(case, Precision::F32), &fixture, case),
        ];
        println!(
            "{}: {:e} on the CPU path, {:e} with tensors",
            case["name"], found[0], found[1]
        );
        assert!(
            found.iter().all(|most| *most < 1e-4),
            "{}: {found:?}",
            case["name"]
        );
    }
}

/// The largest difference from transformers' logits in f32, as a share of the largest logit: bf16 keeps eight bits of a number.
#[test]
fn bf16_stays_near_transformers_and_takes_half_the_cache() {
    let fixture = fixture();
    for case in fixture["cases"].as_array().unwrap() {
        let (half, whole) = (tensors(case, Precision::Bf16), tensors(case, Precision::F32));
        assert_eq!(half.place(), "cpu in bf16");
        assert_eq!(2 * half.row_bytes(3, 5), whole.row_bytes(3, 5));
        let logits = case["logits"].as_array().unwrap().iter();
        let largest = logits.flat_map(|row| list(row, |logit| logit.as_f64().unwrap().abs()));
        let share = f64::from(worst(&half, &fixture, case)) / largest.fold(0.0, f64::max);
        assert!((1e-4..0.04).contains(&share), "{}: {share}", case["name"]);
    }
}

/// What `step_likeliest` gives for two rows, against the logits of `step`.
fn likeliest_of<D: Decoder>(model: &D, rows: &[&[u32]]) {
    let prefix = model.prefix(&[]).unwrap_or_else(told);
    let group = || model.group(&prefix, rows.len()).unwrap_or_else(told);
    let logits = model.step(&prefix, &mut group(), rows).unwrap_or_else(told);
    let found = model
        .step_likeliest(&prefix, &mut group(), rows)
        .unwrap_or_else(told);
    assert_eq!(found.len(), rows.len());
    for ((token, logprob), logits) in found.into_iter().zip(&logits) {
        assert_eq!(token, likeliest(logits));
        assert!((logprob - log_probability(logits, token)).abs() < 1e-5);
    }
}

#[test]
fn the_likeliest_tokens_are_those_of_the_logits() {
    let fixture = fixture();
    let ids = ids(&fixture);
    for case in fixture["cases"].as_array().unwrap() {
        let rows = [&ids[..11], &ids[3..5]];
        likeliest_of(&cpu(case), &rows);
        likeliest_of(&tensors(case, Precision::F32), &rows);
        likeliest_of(&tensors(case, Precision::Bf16), &rows);
    }
}

fn tuned(case: &Value) -> Result<TunedDecoder, String> {
    let (config, layout) = opened(case);
    let (mut weights, seed) = (Formula::of(case), Seed::root(1));
    let model = TunedDecoder::load(config, layout, &mut weights, None, &seed, &Device::Cpu);
    model.map_err(|error| error.to_string())
}

/// The pass with gradients and that without, at every token of two completions that share a prompt, beside another text.
#[test]
fn a_pass_with_gradients_gives_the_same_logits() {
    let fixture = fixture();
    let ids = ids(&fixture);
    let (prompt, completions) = (&ids[..11], [&ids[11..], &[7, 3, 50, 50, 1, 9]]);
    for case in fixture["cases"].as_array().unwrap() {
        let other = Prompted {
            prompt: &[5, 9],
            completions: vec![&[1, 2, 3]],
        };
        let texts = [
            other,
            Prompted {
                prompt,
                completions: completions.to_vec(),
            },
        ];
        let found = tuned(case).unwrap().logits(&texts, Mode::Inference);
        let found = to_vec(&found.unwrap_or_else(told)).unwrap();
        let before = completions
            .iter()
            .flat_map(|completion| (0..completion.len()).map(|at| [prompt, &completion[..at]].concat()));
        let before: Vec<Vec<u32>> = [vec![5, 9], vec![5, 9, 1], vec![5, 9, 1, 2]]
            .into_iter()
            .chain(before)
            .collect();
        let cpu = cpu(case);
        let expected: Vec<f32> = before.iter().flat_map(|tokens| logits(&cpu, tokens)).collect();
        let most = difference(&found, &expected);
        assert!(most < 1e-4, "{}: {most}", case["name"]);
    }
}

/// What is asked for is what a checkpoint holds, no more and no less.
#[test]
fn tensors_are_those_of_the_checkpoint() {
    for case in fixture()["cases"].as_array().unwrap() {
        let (config, layout) = opened(case);
        let asked = expected_tensors(&config, layout).unwrap_or_else(told).into_iter();
        let asked: BTreeMap<_, _> = asked.map(|tensor| (tensor.name, tensor.shape)).collect();
        assert_eq!(asked, Formula::of(case).tensors, "{}", case["name"]);
    }
}

#[test]
fn a_row_s_bits_depend_on_no_other_row_nor_on_where_the_prefix_ends() {
    let fixture = fixture();
    let ids = ids(&fixture);
    for case in fixture["cases"].as_array().unwrap() {
        let (model, name) = (cpu(case), &case["name"]);
        let expected = logits(&model, &ids);
        for shared in [0, 1, 9, 17] {
            let (prefix, rest) = ids.split_at(shared);
            for batch in [1, 3, 7] {
                let others = (1..batch).map(|row| &ids[row..row * 3]);
                let rows: Vec<&[u32]> = others.chain([rest]).collect();
                let found = steps(&model, prefix, &[rows]).remove(0).pop().unwrap();
                assert_eq!(found, expected, "{name}: {batch} rows behind {shared} tokens");
            }
            let (first, last) = rest.split_at(3);
            let found = steps(&model, prefix, &[vec![first], vec![last]])
                .remove(1)
                .remove(0);
            assert_eq!(found, expected, "{name}: in two steps behind {shared} tokens");
        }
    }
}

/// Ragged rows behind a prefix, in several steps, a row dropped on the way, on both paths.
#[test]
fn tensors_and_cpu_agree_on_ragged_groups() {
    let fixture = fixture();
    let feeds: [Vec<&[u32]>; 4] = [
        vec![&[8, 1, 57, 30, 2, 4, 4, 19], &[9], &[3, 60, 11]],
        vec![&[10], &[11, 12, 13, 14, 15, 16], &[12]],
        vec![&[14], &[15]],
        vec![&[16, 17], &[18]],
    ];
    for case in fixture["cases"].as_array().unwrap() {
        let device = tensors(case, Precision::F32);
        for prefix in [&[5_u32, 17, 42, 1, 1, 30][..], &[]] {
            let expected = steps(&cpu(case), prefix, &feeds).concat().concat();
            let most = difference(&steps(&device, prefix, &feeds).concat().concat(), &expected);
            assert!(most < 1e-4, "{}: {most}", case["name"]);
        }
    }
}

/// More steps than a cache has spare slots, beside a row of another length.
#[test]
fn a_cache_that_grows_keeps_its_contents() {
    let fixture = fixture();
    let case = &fixture["cases"][0];
    let device = tensors(case, Precision::F32);
    let tokens: Vec<u32> = (0..90).map(|i| i * 7 % 61).collect();
    let feeds: Vec<Vec<&[u32]>> = (0..88)
        .map(|at| match at {
            0 => vec![&tokens[..2], &tokens[..1]],
            _ => vec![&tokens[at + 1..at + 2], &tokens[at..=at]],
        })
        .collect();
    let prefix = [50, 51, 52, 53];
    let stepwise = steps(&device, &prefix, &feeds).pop().unwrap();
    let whole = steps(&device, &prefix, &[vec![&tokens[..89], &tokens[..88]]]).remove(0);
    assert!(difference(&stepwise.concat(), &whole.concat()) < 1e-4);
}

#[test]
fn tokens_and_texts_beyond_the_model_are_refused() {
    let fixture = fixture();
    let cases = fixture["cases"].as_array().unwrap();
    let refused = |name: &str, tokens: &[u32]| {
        let case = cases.iter().find(|case| case["name"] == name).unwrap();
        cpu(case).prefix(tokens).err().unwrap().to_string()
    };
    assert_eq!(refused("llama", &[61]), "the token 61 is none of the model's 61");
    assert_eq!(
        refused("gpt2", &[1; 65]),
        "a text is longer than the 64 positions learned"
    );
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let fixture = fixture();
    let case = &fixture["cases"][0];
    let (config, layout) = opened(case);
    let mut weights = Formula::of(case);
    weights.tensors.remove("model.layers.1.mlp.up_proj.weight");
    weights.tensors.insert("model.norm.weight".into(), vec![7]);
    let error = CpuDecoder::load(config, layout, &mut weights)
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("tensor `model.layers.1.mlp.up_proj.weight` is missing"),
        "{error}"
    );
    assert!(
        error.contains("tensor `model.norm.weight` has the shape [7], expected [48]"),
        "{error}"
    );

    let mut broken = case["config"].as_object().unwrap().clone();
    broken.remove("hidden_size");
    broken.insert("num_attention_heads".into(), "four".into());
    broken.insert("hidden_act".into(), "tanh".into());
    let family = Family::of_model_type("llama", "x").unwrap_or_else(told);
    let error = family
        .config(&Settings::new(broken), "config.json")
        .unwrap_err()
        .to_string();
    for part in [
        "lacks `hidden_size`",
        "`num_attention_heads: \"four\"`, which is no whole number",
        "`tanh`",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let error = Family::of_model_type("mamba", "`m/config.json`")
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.starts_with("`m/config.json` is of the architecture `mamba`, which is not known"),
        "{error}"
    );
}

/// The configurations published before transformers 5 write rotations otherwise.
#[test]
fn settings_before_transformers_5_mean_the_same() {
    let fixture = fixture();
    let mut compared = 0;
    for case in fixture["cases"].as_array().unwrap() {
        let mut old = case["config"].as_object().unwrap().clone();
        let Some(Value::Object(mut rope)) = old.remove("rope_parameters") else {
            continue;
        };
        if let Some(local) = rope.remove("sliding_attention") {
            old.insert("rope_local_base_freq".into(), local["rope_theta"].clone());
            rope = rope["full_attention"].as_object().unwrap().clone();
        }
        for beside in [
            "rope_theta",
            "partial_rotary_factor",
            "original_max_position_embeddings",
        ] {
            old.extend(rope.remove(beside).map(|value| (beside.to_owned(), value)));
        }
        old.insert("rope_scaling".into(), rope.into());
        let expected = opened(case).0.rotaries;
        let family = Family::of_model_type(old["model_type"].as_str().unwrap(), "x").unwrap_or_else(told);
        let found = family
            .config(&Settings::new(old), "config.json")
            .unwrap_or_else(told);
        assert_eq!(found.rotaries, expected, "{}", case["name"]);
        compared += 1;
    }
    assert!(compared > 10, "{compared}");
}
