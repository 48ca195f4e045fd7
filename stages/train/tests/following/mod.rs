//! What the tests of trainers share: runs, and their comparison with those of a reference.

use ablate_core::{
    Seed, StageError,
    rows::{Step, Triple},
};
use ablate_models::{Precision, params::to_vec};
use ablate_train::{Batches, Objective, Settings, optimizer::Decay, train};
use candle_core::Tensor;
use serde_json::Value;

pub(crate) fn told<T>(result: Result<T, StageError>) -> T {
    result.map_err(|error| error.to_string()).unwrap()
}

/// The settings of the scripts, without dropout.
pub(crate) fn settings(learning_rate: f64, warmup: f64, decay: Decay) -> Settings {
    Settings {
        learning_rate,
        warmup,
        decay,
        weight_decay: 0.01,
        max_gradient_norm: 1.0,
        dropout: Some(0.0),
        precision: Precision::F32,
        gradient_checkpointing: false,
        seed: Seed::root(7),
    }
}

/// The curve of a run without evaluations or checkpoints.
pub(crate) fn trained(objective: &dyn Objective, batches: &[Vec<usize>], settings: &Settings) -> Vec<Step> {
    let batches = Batches::of(batches);
    told(train(objective, &batches, settings, None, None, &mut |_| Ok(())))
}

/// Twenty batches of `size` rows, which go round and round `rows` rows.
#[allow(dead_code, reason = "not all tests train on rounds")]
pub(crate) fn rounds(size: usize, rows: usize) -> Vec<Vec<usize>> {
    let batch = |step: usize| (0..size).map(|i| (step * size + i) % rows).collect();
    (0..20).map(batch).collect()
}

pub(crate) fn assert_near(what: &str, found: f64, expected: f64, relative: f64, absolute: f64) {
    let allowed = relative * expected.abs() + absolute;
    assert!(
        (found - expected).abs() <= allowed,
        "{what}: {found}, the reference says {expected}"
    );
}

/// Losses to 1e-4 relative, gradient norms to 1e-3.
pub(crate) fn assert_curve(name: &str, curve: &[Step], expected: &Value) {
    let expected = expected.as_array().unwrap();
    assert_eq!(curve.len(), expected.len(), "{name}");
    for (found, expected) in curve.iter().zip(expected) {
        let number = |name: &str| expected[name].as_f64().unwrap();
        let at = |what| format!("{name}: {what} of step {}", found.step);
        let rate = number("learning_rate");
        assert_near(&at("learning rate"), found.learning_rate, rate, 1e-12, 0.0);
        assert_near(&at("loss"), found.loss, number("loss"), 1e-4, 1e-6);
        let norm = number("gradient_norm");
        assert_near(&at("gradient norm"), found.gradient_norm, norm, 1e-3, 0.0);
    }
}

/// The first `compared` numbers of a parameter to `allowed`, its norm to 1e-5 relative.
pub(crate) fn assert_parameter(
    what: &str,
    parameter: &Tensor,
    expected: &Value,
    compared: usize,
    allowed: f64,
) {
    let values = to_vec(parameter).unwrap();
    let first: Vec<f64> = serde_json::from_value(expected["first"].clone()).unwrap();
    for (found, expected) in values.iter().zip(first).take(compared) {
        assert_near(what, f64::from(*found), expected, 0.0, allowed);
    }
    let norm = values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    assert_near(what, norm, expected["norm"].as_f64().unwrap(), 1e-5, 0.0);
}

#[allow(dead_code, reason = "not all tests have texts")]
fn words(numbers: &Value) -> String {
    let numbers: Vec<u32> = serde_json::from_value(numbers.clone()).unwrap();
    let words: Vec<String> = numbers.iter().map(|number| format!("w{number}")).collect();
    words.join(" ")
}

/// The queries of a fixture, each with a positive and two negatives.
#[allow(dead_code, reason = "not all tests train on triples")]
pub(crate) fn triples(fixture: &Value) -> Vec<Triple> {
    let mut rows = Vec::new();
    for (query, entry) in fixture["queries"].as_array().unwrap().iter().enumerate() {
        for negative in [1, 2] {
            rows.push(Triple {
                query_id: format!("q{query}"),
                query: words(&entry[0]),
                pos_id: format!("p{query}"),
                pos_text: words(&entry[1][0]),
                neg_id: format!("n{query}-{negative}"),
                neg_text: words(&entry[1][negative]),
                source: "test".into(),
            });
        }
    }
    rows
}
