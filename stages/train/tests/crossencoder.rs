//! Training of cross-encoders: twenty steps against PyTorch, parts of a batch against the whole, heads and saved models.
#![allow(clippy::unwrap_used)]

#[path = "../../models/tests/common/mod.rs"]
#[expect(dead_code, reason = "shared with tests that use all of it")]
mod common;
mod following;
#[path = "../../models/tests/common/t5.rs"]
#[expect(dead_code, reason = "shared with tests that use all of it")]
mod t5;

use std::path::Path;

use ablate_core::{Seed, rows::Step};
use ablate_models::{
    Mode, Precision,
    params::{ParamStore, to_vec},
    reranker::{CrossEncoder, Reranker, Truncation},
};
use ablate_train::{
    Gradients, Objective, Settings,
    optimizer::Decay,
    relevance::{Relevance, RelevanceLoss},
};
use candle_core::Device;
use common::{fixture, tiny_cross_encoder, tiny_encoder};
use following::{assert_curve, assert_near, assert_parameter, rounds, settings, told, trained, triples};
use serde_json::Value;

/// The cross-encoder of the fixture.
fn model(fixture: &Value) -> CrossEncoder {
    let folder = tiny_cross_encoder();
    fs_err::write(folder.path().join("config.json"), fixture["config"].to_string()).unwrap();
    told(t5::formula(&fixture["parameters"]).save(&folder.path().join("model.safetensors")));
    told(CrossEncoder::load(folder.path(), &Device::Cpu))
}

fn follow(name: &str, loss: RelevanceLoss, batches: &[Vec<usize>]) {
    let fixture = fixture("cross_encoder_training.json");
    let (rows, model) = (triples(&fixture), model(&fixture));
    let objective = told(Relevance::new(&model, &rows, loss, None));
    let curve = trained(&objective, batches, &settings(1e-3, 0.1, Decay::Linear));
    assert_curve(name, &curve, &fixture[name]["steps"]);
    check_parameters(model.store(), &fixture[name]["after"], loss);
}

fn check_parameters(store: &ParamStore, expected: &Value, loss: RelevanceLoss) {
    let expected = expected.as_object().unwrap();
    assert_eq!(store.iter().count(), expected.len());
    for (name, expected) in expected {
        // A softmax does not see a number added to all of its inputs: the gradient is rounding, which AdamW makes large.
        let unseen = loss == RelevanceLoss::Listwise && name == "classifier.bias";
        if !unseen && !name.ends_with("key.bias") {
            assert_parameter(name, store.get(name).unwrap(), expected, 4, 1e-6);
        }
    }
}

#[test]
fn twenty_steps_of_binary_cross_entropy_follow_pytorch() {
    follow("bce", RelevanceLoss::Bce, &rounds(6, 18));
}

#[test]
fn twenty_steps_of_listwise_cross_entropy_follow_pytorch() {
    follow("listwise", RelevanceLoss::Listwise, &rounds(2, 6));
}

/// Each step's loss, and how far its sum is from another run's.
fn apart(curve: &[Step], expected: &Value) -> f64 {
    let expected = expected
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["loss"].as_f64().unwrap());
    curve
        .iter()
        .zip(expected)
        .map(|(step, loss)| (step.loss - loss).abs())
        .sum()
}

/// Rounding makes losses chaotic in their fourth digit: 2e-3 of a loss, 3e-2 of a norm, and nearer to autocast than f32 is.
#[test]
fn twenty_steps_in_bf16_follow_autocast() {
    let fixture = fixture("cross_encoder_training.json");
    let rows = triples(&fixture);
    let run = |precision| {
        let model = model(&fixture);
        let settings = Settings {
            precision,
            ..settings(1e-3, 0.1, Decay::Linear)
        };
        let objective = told(Relevance::new(&model, &rows, RelevanceLoss::Bce, None));
        trained(&objective, &rounds(6, 18), &settings)
    };
    let expected = &fixture["bce_bf16"]["steps"];
    let (rounded, whole) = (run(Precision::Bf16), run(Precision::F32));
    for (step, expected) in rounded.iter().zip(expected.as_array().unwrap()) {
        let number = |name: &str| expected[name].as_f64().unwrap();
        assert_near("loss", step.loss, number("loss"), 2e-3, 0.0);
        assert_near("norm", step.gradient_norm, number("gradient_norm"), 3e-2, 0.0);
    }
    let (of_bf16, of_f32) = (apart(&rounded, expected), apart(&whole, expected));
    assert!(of_bf16 < 0.7 * of_f32, "{of_bf16} from autocast, f32 {of_f32}");
}

#[test]
fn every_parameter_has_a_gradient_and_parts_of_a_batch_give_that_of_the_whole() {
    let fixture = fixture("cross_encoder_training.json");
    let (rows, model) = (triples(&fixture), model(&fixture));
    let mode = Mode::train(Seed::root(3), Some(0.0));
    let of = |rows_at_once: Option<usize>| -> (f64, Gradients) {
        let objective = told(Relevance::new(&model, &rows, RelevanceLoss::Bce, rows_at_once));
        told(objective.gradients(&(0..18).collect::<Vec<_>>(), mode))
    };
    let ((whole, expected), (parts, found)) = (of(None), of(Some(5)));
    assert!((whole - parts).abs() < 1e-6, "{whole}, in parts {parts}");
    for (name, _) in model.store().trainable() {
        let expected = to_vec(
            expected
                .get(name)
                .unwrap_or_else(|| panic!("`{name}` has no gradient")),
        )
        .unwrap();
        let found = to_vec(found.get(name).unwrap()).unwrap();
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (found - expected).abs() < 1e-5,
                "`{name}`: {found}, of the whole {expected}"
            );
        }
    }
}

fn over(folder: &Path, seed: u64) -> CrossEncoder {
    told(CrossEncoder::over(folder, &Device::Cpu, &Seed::root(seed)))
}

/// A plain encoder gets a head of the seed, and what is saved is a reranker of equal scores.
#[test]
fn a_plain_encoder_becomes_a_reranker() {
    let (folder, out) = (tiny_encoder(), tempfile::tempdir().unwrap());
    let model = over(folder.path(), 1);
    let head = |model: &CrossEncoder| to_vec(model.store().get("classifier.weight").unwrap()).unwrap();
    assert_eq!(head(&model), head(&over(folder.path(), 1)));
    assert_ne!(head(&model), head(&over(folder.path(), 2)));
    told(model.save(folder.path(), out.path()));
    let mut again = told(Reranker::load(out.path(), &Device::Cpu));
    told(again.set_truncation(None, Truncation::LongestFirst));
    let pairs = [("w1 w2", "w3 w4 w5"), ("w9", "w1")];
    let mut found = [0.0; 2];
    told(again.score_each(&pairs, 2, &mut |at, score| {
        found[at] = score;
        Ok(())
    }));
    let tokens = told(model.tokenize(&pairs));
    let expected = to_vec(&model.forward(tokens.iter(), Mode::Inference).unwrap()).unwrap();
    assert_eq!(found.to_vec(), expected);
    let config: Value =
        serde_json::from_slice(&fs_err::read(out.path().join("config.json")).unwrap()).unwrap();
    assert_eq!(config["architectures"][0], "BertForSequenceClassification");
    assert!(
        model
            .store()
            .iter()
            .all(|(name, _)| name.starts_with("bert.") || name.starts_with("classifier."))
    );
}
