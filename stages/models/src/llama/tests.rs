//! Both decoders against transformers' numbers, and against each other.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    cpu::{Cache, Row},
    *,
};

/// Weights by the formula of tests/fixtures/tiny_models.py.
struct Formula(BTreeMap<String, usize>);

impl Weights for Formula {
    type Error = StageError;
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, StageError> {
        let k = *self.0.get(name).ok_or_else(|| StageError::new(name))? as f64;
        let one = f64::from(u8::from(name.contains("norm")));
        let value = |i: usize| (one + 0.2 * (0.7 * k + 0.013 * i as f64).sin()) as f32;
        Ok((0..shape.iter().product()).map(value).collect())
    }
    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

fn fixture() -> Value {
    let all: Value =
        serde_json::from_str(include_str!("../../../../tests/fixtures/tiny_models.json")).unwrap();
    all["llama"].clone()
}

fn tiny_weights(neighbours: bool, head: bool) -> (Config, Formula) {
    let config = Config {
        hidden_size: 32,
        intermediate_size: 64,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        num_hidden_layers: 2,
        vocab_size: 100,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        max_position_embeddings: 64,
        neighbours,
    };
    let fixture = fixture();
    let names = fixture["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p[0].as_str().unwrap().to_owned())
        .chain(head.then(|| "lm_head.weight".to_owned()));
    (
        config,
        Formula(names.enumerate().map(|(k, name)| (name, k)).collect()),
    )
}

fn tiny() -> Llama {
    let (config, mut weights) = tiny_weights(false, false);
    Llama::load(config, &mut weights)
        .map_err(|e| e.to_string())
        .unwrap()
}

fn tiny_on_device(neighbours: bool, head: bool) -> DeviceLlama {
    let (config, mut weights) = tiny_weights(neighbours, head);
    DeviceLlama::load(config, &mut weights, &Device::Cpu)
        .map_err(|e| e.to_string())
        .unwrap()
}

fn ids() -> Vec<u32> {
    fixture()["ids"][0]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_u64().unwrap() as u32)
        .collect()
}

fn run(model: &Llama, prefix: &Cache, tokens: &[u32]) -> Vec<f32> {
    model
        .forward(
            prefix,
            &mut [Row {
                tokens,
                cache: &mut Cache::default(),
            }],
        )
        .remove(0)
}

/// transformers' LlamaForCausalLM on the same weights: tests/fixtures/tiny_models.py.
fn assert_transformers(logits_of: impl Fn(&[u32]) -> Vec<f32>) {
    let (ids, fixture) = (ids(), fixture());
    for end in 1..=ids.len() {
        for (at, logit) in logits_of(&ids[..end]).iter().enumerate() {
            let expected = fixture["logits"][0][end - 1][at].as_f64().unwrap();
            assert!(
                (f64::from(*logit) - expected).abs() < 2e-5,
                "token {end}, {at}: {logit}, not {expected}"
            );
        }
    }
}

#[test]
fn logits_equal_transformers() {
    let model = tiny();
    assert_transformers(|ids| run(&model, &Cache::default(), ids));
}

#[test]
fn the_device_s_logits_equal_transformers() {
    let model = tiny_on_device(false, false);
    assert_transformers(|ids| steps(&model, &[], &[vec![ids]], &[]).remove(0).remove(0));
}

/// The logits of every step: `prefix`, then `feeds` by step and row; `kept` rows stay after the step of its place.
fn steps<D: Decoder>(
    model: &D,
    prefix: &[u32],
    feeds: &[Vec<&[u32]>],
    kept: &[Vec<usize>],
) -> Vec<Vec<Vec<f32>>> {
    let told = |error: StageError| -> ! { panic!("{error}") };
    let prefix = model.prefix(prefix).unwrap_or_else(|e| told(e));
    let mut group = model.group(&prefix, feeds[0].len()).unwrap_or_else(|e| told(e));
    let mut all = Vec::new();
    for (step, feeds) in feeds.iter().enumerate() {
        all.push(model.step(&prefix, &mut group, feeds).unwrap_or_else(|e| told(e)));
        if let Some(rows) = kept.get(step) {
            model.keep(&mut group, rows).unwrap_or_else(|e| told(e));
        }
    }
    all
}

/// Ragged rows behind a prefix, several steps, a row dropped on the way: in both layouts of heads, tied or not.
#[test]
fn device_and_cpu_agree_on_ragged_groups() {
    let feeds: [Vec<&[u32]>; 4] = [
        vec![&[8, 1, 77, 30, 2], &[9], &[3, 60, 61]],
        vec![&[10], &[11], &[12]],
        vec![&[13], &[14, 15, 16]],
        vec![&[17], &[18]],
    ];
    let kept = [vec![0, 1, 2], vec![0, 2]];
    for (neighbours, head) in [(false, false), (true, false), (true, true)] {
        let (config, mut weights) = tiny_weights(neighbours, head);
        let cpu = Llama::load(config, &mut weights).unwrap_or_else(|e| panic!("{e}"));
        let device = tiny_on_device(neighbours, head);
        for prefix in [&[5_u32, 17, 42][..], &[]] {
            let expected = steps(&cpu, prefix, &feeds, &kept).into_iter().flatten();
            let found = steps(&device, prefix, &feeds, &kept).into_iter().flatten();
            let pairs = found.flatten().zip(expected.flatten());
            assert_eq!(pairs.clone().count(), 10 * 100);
            let most = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(most < 1e-5, "neighbours {neighbours}, head {head}: {most}");
        }
    }
}

/// More steps than a cache has spare slots, beside a row of its own length.
#[test]
fn a_cache_that_grows_keeps_its_contents() {
    let tokens: Vec<u32> = (0..60).map(|i| i * 7 % 100).collect();
    let device = tiny_on_device(true, false);
    let feeds: Vec<Vec<&[u32]>> = (0..58)
        .map(|at| match at {
            0 => vec![&tokens[..2], &tokens[..1]],
            _ => vec![&tokens[at + 1..at + 2], &tokens[at..=at]],
        })
        .collect();
    let prefix = [50, 51, 52, 53];
    let stepwise = steps(&device, &prefix, &feeds, &[]).pop().unwrap();
    let whole = steps(&device, &prefix, &[vec![&tokens[..59], &tokens[..58]]], &[]).remove(0);
    for (a, b) in stepwise.concat().iter().zip(whole.concat()) {
        assert!((a - b).abs() < 1e-4, "{a}, at once {b}");
    }
}

#[test]
fn caches_prefixes_and_batches_give_equal_bits() {
    let (model, ids) = (tiny(), ids());
    let whole = run(&model, &Cache::default(), &ids);
    let mut prefix = Cache::default();
    model.forward(
        &Cache::default(),
        &mut [Row {
            tokens: &ids[..3],
            cache: &mut prefix,
        }],
    );
    assert_eq!(run(&model, &prefix, &ids[3..]), whole);
    let mut caches = vec![Cache::default(); 7];
    let mut rows: Vec<Row<'_>> = caches
        .iter_mut()
        .enumerate()
        .map(|(i, cache)| Row {
            tokens: &ids[3 + i.min(2)..],
            cache,
        })
        .collect();
    assert_eq!(model.forward(&prefix, &mut rows)[0], whole);
    let mut cache = Cache::default();
    for id in &ids[3..6] {
        model.forward(
            &prefix,
            &mut [Row {
                tokens: &[*id],
                cache: &mut cache,
            }],
        );
    }
    assert_eq!(
        model.forward(
            &prefix,
            &mut [Row {
                tokens: &ids[6..],
                cache: &mut cache
            }]
        )[0],
        whole
    );
}
