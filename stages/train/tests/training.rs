//! Training: gradients against finite differences, twenty steps against PyTorch, and bits against themselves.
#![allow(clippy::unwrap_used)]

#[path = "../../models/tests/common/mod.rs"]
#[expect(dead_code, reason = "shared with tests that use all of it")]
mod common;
mod following;

use std::path::Path;

use ablate_core::{Digest, Seed, StageError, rows::Triple};
use ablate_models::{Mode, Precision, encoder::SentenceEncoder, params::to_vec};
use ablate_train::{
    Dev, Gradients, Objective, Settings,
    masking::FalseNegatives,
    no_duplicates,
    optimizer::Decay,
    ranking::{Ranking, RankingSettings},
    train,
};
use candle_core::{Device, Tensor, Var};
use common::{fixture, minilm, tiny_encoder};
use following::{assert_curve, assert_parameter, rounds, told, trained};

fn load(folder: &Path) -> SentenceEncoder {
    SentenceEncoder::load(folder, &Device::Cpu)
        .map_err(|e| e.to_string())
        .unwrap()
}

fn triple(id: usize, [query, positive, negative]: [String; 3]) -> Triple {
    Triple {
        query_id: format!("q{id}"),
        query,
        pos_id: format!("p{id}"),
        pos_text: positive,
        neg_id: format!("n{id}"),
        neg_text: negative,
        source: "test".into(),
    }
}

/// Rows over the tiny encoder's words, of different lengths.
fn rows(count: usize) -> Vec<Triple> {
    let word = |row: usize, part: usize, i: usize| format!("w{}", (row * 37 + part * 11 + i * 7) % 90);
    let text = |row: usize, part: usize| {
        let words = (0..=(row + 3 * part) % 9).map(|i| word(row, part, i));
        words.collect::<Vec<_>>().join(" ")
    };
    (0..count)
        .map(|row| triple(row, [0, 1, 2].map(|part| text(row, part))))
        .collect()
}

fn settings() -> Settings {
    Settings {
        dropout: None,
        ..following::settings(1e-3, 0.1, Decay::Linear)
    }
}

fn ranking<'a>(encoder: &'a SentenceEncoder, rows: &'a [Triple]) -> Ranking<'a> {
    ranking_by(encoder, rows, |_| {})
}

fn ranking_by<'a>(
    encoder: &'a SentenceEncoder,
    rows: &'a [Triple],
    change: impl Fn(&mut RankingSettings),
) -> Ranking<'a> {
    let mut settings = RankingSettings {
        scale: 20.0,
        dimensions: vec![],
        texts_at_once: None,
    };
    change(&mut settings);
    told(Ranking::new(encoder, rows, settings))
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

fn norm(tensor: &Tensor) -> f64 {
    to_vec(tensor)
        .unwrap()
        .iter()
        .map(|x| f64::from(*x).powi(2))
        .sum::<f64>()
        .sqrt()
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
        let error = train(&objective, &[vec![0, 2]], &settings, None, None, &mut |_| Ok(()));
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("loss of step 1") && error.contains("q0, q2"),
            "{error}"
        );
    }
}

/// GradCache changes memory, not gradients (dropout off: its draws are of the parts).
#[test]
fn a_batch_encoded_in_parts_has_the_gradients_of_the_whole() {
    let folder = tiny_encoder();
    let (encoder, rows) = (load(folder.path()), rows(6));
    let mode = Mode::train(Seed::root(3), Some(0.0));
    let of = |texts_at_once: Option<usize>| -> (f64, Gradients) {
        let objective = ranking_by(&encoder, &rows, |settings| {
            settings.texts_at_once = texts_at_once;
            settings.dimensions = vec![32, 8];
        });
        told(objective.gradients(&[0, 1, 2, 3, 4, 5], mode))
    };
    let ((whole, expected), (parts, found)) = (of(None), of(Some(5)));
    assert!((whole - parts).abs() < 1e-6, "{whole}, in parts {parts}");
    for (name, _) in encoder.store().trainable() {
        let (found, expected) = (found.get(name).unwrap(), expected.get(name).unwrap());
        let apart = norm(&(found - expected).unwrap());
        assert!(apart <= 1e-5 * norm(expected) + 1e-6, "`{name}`: {apart}");
    }
}

/// The losses of a head and of whole vectors add up.
#[test]
fn matryoshka_heads_add_up() {
    let folder = tiny_encoder();
    let (encoder, rows) = (load(folder.path()), rows(6));
    let of = |heads: &[usize]| {
        let objective = ranking_by(&encoder, &rows, |settings| settings.dimensions = heads.to_vec());
        told(objective.loss(&[0, 1, 2, 3]))
    };
    assert!((of(&[32]) - of(&[])).abs() < 1e-6);
    assert!((of(&[32]) + of(&[8]) - of(&[32, 8])).abs() < 1e-5);
    assert!((of(&[32]) - of(&[8])).abs() > 1e-3);
    let wide = RankingSettings {
        scale: 20.0,
        dimensions: vec![64],
        texts_at_once: None,
    };
    let refused = Ranking::new(&encoder, &rows, wide).err().unwrap().to_string();
    assert_eq!(refused, "a head of 64 numbers is asked for, the vectors have 32");
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
        &batches,
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

/// A guide that is the encoder itself: masked are the texts that it ranks above the positive, and the loss is that of the others.
#[test]
fn a_guide_takes_likely_positives_out_of_the_loss() {
    let folder = tiny_encoder();
    let (encoder, rows) = (load(folder.path()), rows(4));
    let all: Vec<usize> = (0..4).collect();
    let loss = |margin: Option<f64>| {
        let mut false_negatives = FalseNegatives::default();
        if let Some(margin) = margin {
            false_negatives = told(false_negatives.guided(&encoder, &rows, margin, &|_, _| Ok(())));
        }
        told(ranking(&encoder, &rows).without(false_negatives).loss(&all))
    };
    let vectors = |texts: Vec<String>| told(encoder.encode(&texts, 4, &|_, _| Ok(())));
    let queries = vectors(rows.iter().map(|row| row.query.clone()).collect());
    let positives = rows.iter().map(|row| row.pos_text.clone());
    let candidates = vectors(
        positives
            .chain(rows.iter().map(|row| row.neg_text.clone()))
            .collect(),
    );
    let mut expected = 0.0;
    for (at, query) in queries.rows().enumerate() {
        let cosine = |text: &[f32]| -> f64 {
            query
                .iter()
                .zip(text)
                .map(|(a, b)| f64::from(*a) * f64::from(*b))
                .sum()
        };
        let cosines: Vec<f64> = candidates.rows().map(cosine).collect();
        let counted = cosines.iter().filter(|cosine| **cosine <= cosines[at]);
        let total: f64 = counted.map(|cosine| (20.0 * cosine).exp()).sum();
        expected += (total.ln() - 20.0 * cosines[at]) / 4.0;
    }
    let (plain, guided) = (loss(None), loss(Some(0.0)));
    assert!(plain > guided + 0.1, "nothing was masked: {plain}, {guided}");
    assert!((guided - expected).abs() < 1e-4, "{guided}, by hand {expected}");
    assert!(
        (loss(Some(-2.0)) - plain).abs() < 1e-9,
        "a margin that no text passes"
    );
    assert!(loss(Some(2.0)).abs() < 1e-9, "all others are masked");
}

#[test]
fn an_interruption_ends_the_training() {
    let folder = tiny_encoder();
    let (encoder, rows) = (load(folder.path()), rows(3));
    let stopped = train(
        &ranking(&encoder, &rows),
        &[vec![0, 1]],
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
