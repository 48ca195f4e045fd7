//! What tests of generators' files share: the cases of tests/fixtures/decoders.py as files, and how far their logits are off.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use ablate_models::{
    Precision,
    decoder::{Decoder, Model, TensorSpec, Weights},
    generator::Generator,
};
use candle_core::Device;
use serde_json::Value;

use crate::formula::{Formula, ids, list, told};

/// Tokens of the small models: letters and what ends a text.
pub(crate) const TOKENS: usize = 61;

pub(crate) fn token(id: usize) -> String {
    match id {
        60 => "<end>".into(),
        _ => char::from_u32(0x41 + id as u32).unwrap().into(),
    }
}

/// The difference of a generator's logits from transformers'.
pub(crate) fn difference(generator: &Generator, fixture: &Value, case: &Value) -> f32 {
    let Model::Cpu(model) = &generator.model else {
        panic!("not on the CPU path")
    };
    let ids = ids(fixture);
    let prefix = model.prefix(&[]).unwrap_or_else(told);
    let mut group = model.group(&prefix, 1).unwrap_or_else(told);
    let found = model
        .step(&prefix, &mut group, &[&ids])
        .unwrap_or_else(told)
        .remove(0);
    let expected = list(case["logits"].as_array().unwrap().last().unwrap(), |x| {
        x.as_f64().unwrap() as f32
    });
    found
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

pub(crate) fn case_of<'f>(fixture: &'f Value, name: &str) -> &'f Value {
    let mut cases = fixture["cases"].as_array().unwrap().iter();
    cases.find(|case| case["name"] == name).unwrap()
}

/// A tensor of a case as its checkpoint has it.
pub(crate) fn numbers(case: &Value, name: &str) -> (Vec<usize>, Vec<f32>) {
    let mut weights = Formula::of(case);
    let shape = weights.tensors[name].clone();
    let numbers = weights.take(&TensorSpec::new(name, &shape)).unwrap_or_else(told);
    (shape, numbers)
}

pub(crate) fn error_of(folder: &Path) -> String {
    Generator::load(folder, &Device::Cpu, Precision::F32)
        .err()
        .unwrap()
        .to_string()
}
