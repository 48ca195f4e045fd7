//! Training: gradients against finite differences, twenty steps against PyTorch, and bits against themselves.
#![allow(clippy::unwrap_used)]

#[path = "../../models/tests/common/mod.rs"]
#[expect(dead_code, reason = "shared with tests that use all of it")]
mod common;
mod following;
mod ranked;

use std::path::Path;

use ablate_core::{Digest, Seed, StageError, rows::Triple};
use ablate_models::{Mode, Precision, encoder::SentenceEncoder, params::to_vec};
use ablate_train::{Batches, Dev, Objective, Settings, no_duplicates, optimizer::Decay, train};
use candle_core::{Device, Tensor, Var};
use common::{fixture, minilm, tiny_encoder};
use following::{assert_curve, assert_parameter, rounds, told, trained};
use ranked::{load, norm, ranking, ranking_by, rows, triple};

fn settings() -> Settings {
    Settings {
        dropout: None,
        ..following::settings(1e-3, 0.1, Decay::Linear)
    }
}

fn with_threads<T: Send>(count: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new()
        .num_threads(count)
        .build()
        .unwrap()
        .install(work)
}

fn shift(variable: &Var, direction: &Tensor, by: f64) {
    let moved = (variable.as_tensor() + (direction * by).unwrap()).unwrap();
    variable.set(&moved.detach()).unwrap();
}

/// Along each parameter's gradient the loss must rise by the gradient's norm: with and without dropout.
#[test]
fn every_parameter_has_the_gradient_finite_differences_give() {
    let folder = tiny_encoder();
    let rows = rows(6);
    for dropout in [0.0, 0.2] {
        let encoder = load(folder.path());
        let mode = Mode::train(Seed::root(3), Some(dropout));
        let objective = ranking_by(&encoder, &rows, |settings| settings.scale = 5.0);
        let batch = [0, 1, 2, 3, 4, 5];
        let loss = || told(objective.share(&batch, &batch, mode));
        let value = || f64::from(loss().to_scalar::<f32>().unwrap());
        let gradients = loss().backward().unwrap();
        for (name, variable) in encoder.store().trainable() {
            let gradient = gradients
                .get(variable)
                .unwrap_or_else(|| panic!("`{name}` has no gradient"));
            let size = norm(gradient);
            if name.ends_with("key.bias") {
                // A softmax does not see a number added to all of its inputs.
                assert!(size < 1e-5, "`{name}`: {size}");
                continue;
            }
            let direction = (gradient / size).unwrap();
            let reach = 2e-2;
            shift(variable, &direction, reach);
            let above = value();
            shift(variable, &direction, -2.0 * reach);
            let below = value();
            shift(variable, &direction, reach);
            let slope = (above - below) / (2.0 * reach);
            assert!(
                (slope - size).abs() < 0.02 * size + 1e-4,
                "`{name}`: {size}, differences say {slope}"
            );
        }
    }
}

fn bytes_after(folder: &Path, seed: u64, threads: usize) -> (Vec<u64>, Digest) {
    let encoder = load(folder);
    let rows = rows(20);
    let seed = Seed::root(seed);
    let batches = [0, 1]
        .map(|epoch| no_duplicates(&rows, 8, &seed.child(&epoch.to_string())))
        .concat();
    let settings = Settings { seed, ..settings() };
    let curve = with_threads(threads, || {
        trained(&ranking(&encoder, &rows), &batches, &settings)
    });
    let out = tempfile::tempdir().unwrap();
    encoder
        .save(folder, out.path())
        .map_err(|e| e.to_string())
        .unwrap();
    let parameters = fs_err::read(out.path().join("model.safetensors")).unwrap();
    let numbers = curve
        .iter()
        .flat_map(|step| [step.loss.to_bits(), step.gradient_norm.to_bits()]);
    (numbers.collect(), Digest::of(&parameters))
}

#[test]
fn threads_do_not_move_a_bit_and_the_seed_does() {
    let folder = tiny_encoder();
    let expected = bytes_after(folder.path(), 7, 1);
    assert_eq!(bytes_after(folder.path(), 7, 2), expected);
    assert_eq!(bytes_after(folder.path(), 7, 1), expected);
    assert_ne!(bytes_after(folder.path(), 8, 1).1, expected.1);
}

#[test]
fn training_lowers_the_loss() {
    let folder = tiny_encoder();
    let (encoder, rows) = (load(folder.path()), rows(8));
    let batches = vec![(0..8).collect(); 30];
    let settings = Settings {
        dropout: Some(0.0),
        ..settings()
    };
    let curve = trained(&ranking(&encoder, &rows), &batches, &settings);
    assert!(
        curve[29].loss < 0.5 * curve[0].loss,
        "{} to {}",
        curve[0].loss,
        curve[29].loss
    );
}

#[test]
fn frozen_parameters_stay() {
    let folder = tiny_encoder();
    let mut encoder = load(folder.path());
    encoder.store_mut().freeze(|name| name.contains("embeddings"));
    let value = |encoder: &SentenceEncoder, name: &str| to_vec(encoder.store().get(name).unwrap()).unwrap();
    let names = [
        "embeddings.word_embeddings.weight",
        "encoder.layer.0.output.dense.weight",
    ];
    let before = names.map(|name| value(&encoder, name));
    let rows = rows(4);
    trained(&ranking(&encoder, &rows), &vec![vec![0, 1, 2, 3]; 3], &settings());
    assert_eq!(value(&encoder, names[0]), before[0]);
    assert_ne!(value(&encoder, names[1]), before[1]);
}

#[test]
fn a_loss_that_is_no_number_names_step_and_queries() {
    let folder = tiny_encoder();
    let encoder = load(folder.path());
    let bias = encoder.store().get("encoder.layer.1.output.dense.bias").unwrap();
    bias.set(&Tensor::full(f32::NAN, 32, &Device::Cpu).unwrap())
        .unwrap();
    let rows = rows(3);
    for precision in [Precision::F32, Precision::Bf16] {
        let settings = Settings {
            precision,
            ..settings()
        };
        let objective = ranking(&encoder, &rows);
        let error = train(
            &objective,
            &Batches::of(&[vec![0, 2]]),
            &settings,
            None,
            None,
            &mut |_| Ok(()),
        );
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("loss of step 1") && error.contains("q0, q2"),
            "{error}"
        );
    }
}

/// With a learning rate that ruins the model after its first steps, the best evaluation is an early one.
#[test]
fn the_best_evaluation_on_dev_is_kept_and_patience_ends_training() {
    let folder = tiny_encoder();
    let (encoder, rows, dev_rows) = (load(folder.path()), rows(16), rows(5));
    let settings = Settings {
        learning_rate: 0.3,
        warmup: 0.0,
        decay: Decay::Constant,
        ..settings()
    };
    let half = |step: usize| (0..8).map(|i| step % 2 * 8 + i).collect();
    let batches: Vec<Vec<usize>> = (0..20).map(half).collect();
    let (objective, judged) = (ranking(&encoder, &rows), ranking(&encoder, &dev_rows));
    let dev = Dev {
        objective: &judged,
        batches: &[vec![0, 1, 2, 3, 4]],
        every: 2,
        patience: Some(3),
    };
    let curve = told(train(
        &objective,
        &Batches::of(&batches),
        &settings,
        Some(&dev),
        None,
        &mut |_| Ok(()),
    ));
    let losses: Vec<f64> = curve.iter().filter_map(|step| step.dev_loss).collect();
    let places = 0..losses.len();
    let place = places.min_by(|a, b| losses[*a].total_cmp(&losses[*b])).unwrap();
    let best = losses[place];
    assert_eq!(
        losses.len(),
        place + 4,
        "three evaluations after the best: {losses:?}"
    );
    assert_eq!(curve.len(), 2 * losses.len());
    assert!((told(judged.loss(&[0, 1, 2, 3, 4])) - best).abs() < 1e-6);
}

#[test]
fn an_interruption_ends_the_training() {
    let folder = tiny_encoder();
    let (encoder, rows) = (load(folder.path()), rows(3));
    let stopped = train(
        &ranking(&encoder, &rows),
        &Batches::of(&[vec![0, 1]]),
        &settings(),
        None,
        None,
        &mut |_| Err(StageError::Cancelled),
    );
    assert!(matches!(stopped, Err(StageError::Cancelled)));
}

#[test]
fn a_saved_model_loads_with_its_layout() {
    let folder = tiny_encoder();
    let encoder = load(folder.path());
    let out = tempfile::tempdir().unwrap();
    encoder
        .save(folder.path(), out.path())
        .map_err(|e| e.to_string())
        .unwrap();
    let again = load(out.path());
    assert!(again.normalizes());
    assert_eq!((again.max_length(), again.dim()), (48, 32));
    let texts = ["w1 w2 w3".to_owned(), "w9".to_owned()];
    let encode = |encoder: &SentenceEncoder| {
        encoder
            .encode(&texts, 2, &|_, _| Ok(()))
            .map_err(|e| e.to_string())
            .unwrap()
    };
    assert_eq!(encode(&encoder), encode(&again));
}

/// A base without `modules.json` becomes a model that says how it pools.
#[test]
fn a_plain_encoder_is_described_when_saved() {
    let folder = tiny_encoder();
    fs_err::remove_file(folder.path().join("modules.json")).unwrap();
    let out = tempfile::tempdir().unwrap();
    load(folder.path())
        .save(folder.path(), out.path())
        .map_err(|e| e.to_string())
        .unwrap();
    let pooling = fs_err::read_to_string(out.path().join("1_Pooling/config.json")).unwrap();
    let pooling: serde_json::Value = serde_json::from_str(&pooling).unwrap();
    assert_eq!(
        (
            &pooling["pooling_mode_mean_tokens"],
            &pooling["word_embedding_dimension"]
        ),
        (&true.into(), &32.into())
    );
    assert!(!load(out.path()).normalizes());
}

#[test]
fn twenty_steps_follow_pytorch() {
    let Some(folder) = minilm() else { return };
    let fixture = fixture("minilm_training.json");
    let texts: Vec<[String; 3]> = serde_json::from_value(fixture["triples"].clone()).unwrap();
    let rows: Vec<Triple> = texts
        .into_iter()
        .enumerate()
        .map(|(id, texts)| triple(id, texts))
        .collect();
    let mut encoder = load(&folder);
    encoder.set_max_length(64).map_err(|e| e.to_string()).unwrap();
    let settings = following::settings(2e-5, 0.1, Decay::Linear);
    let curve = trained(&ranking(&encoder, &rows), &rounds(8, 16), &settings);
    assert_curve("bi-encoder", &curve, &fixture["steps"]);
    for (name, expected) in fixture["parameters"].as_object().unwrap() {
        assert_parameter(name, encoder.store().get(name).unwrap(), expected, 4, 1e-5);
    }
}
