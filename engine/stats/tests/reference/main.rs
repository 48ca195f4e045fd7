//! Every statistic against SciPy, statsmodels and ranx (tests/fixtures/significance.py), and what extreme samples give.
#![allow(clippy::unwrap_used)]

mod arms;
mod edges;
mod intervals;
mod paired;
mod plans;

use ablate_stats::Differences;
use serde_json::Value;

/// The reference numbers.
fn reference() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/fixtures/significance.json"
    );
    serde_json::from_str(&fs_err::read_to_string(path).unwrap()).unwrap()
}

/// The samples of the reference: name, differences, expected values.
fn samples() -> Vec<(String, Differences, Value)> {
    let all = reference()["samples"].as_object().unwrap().clone();
    let sample = |(name, sample): (String, Value)| {
        (
            name,
            Differences::new(numbers(&sample["differences"])).unwrap(),
            sample,
        )
    };
    let samples: Vec<_> = all.into_iter().map(sample).collect();
    assert!(samples.len() > 10);
    samples
}

fn numbers(list: &Value) -> Vec<f64> {
    let list = list.as_array().unwrap();
    list.iter().map(|number| number.as_f64().unwrap()).collect()
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().unwrap().clone()
}

/// Equal to nine digits.
#[track_caller]
fn close(found: f64, expected: &Value, about: &str) {
    near(found, expected, 1e-9, about);
}

#[track_caller]
fn near(found: f64, expected: &Value, tolerance: f64, about: &str) {
    let expected = expected.as_f64().unwrap();
    let error = (found - expected).abs() / expected.abs().max(1.0);
    assert!(error <= tolerance, "{about}: {found} is not {expected}");
}
