//! Decoding on a device against decoding on the CPU, on a tiny model; the device is the CPU, under candle's tensors.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../../models/tests/common/generator.rs"]
mod generator;

mod common;

use std::path::Path;

use ablate_core::{Seed, StageError};
use ablate_generate::decode::{Continuation, Decoding, Request, Sampling};
use ablate_models::{Precision, decoder::Model, generator::Generator};
use candle_core::Device;

/// Continuations of rows of 1 to 40 tokens behind a head.
fn run(generator: &Generator, sampling: Sampling, batch: usize) -> Vec<Continuation> {
    let request = |row: usize| Request {
        tokens: (0..=row * 11 % 40)
            .map(|i| ((row * 31 + i * 17) % 256) as u32)
            .collect(),
        stream: Seed::root(9).child(&row.to_string()).stream(),
    };
    let decoding = Decoding {
        sampling,
        max_new_tokens: 24,
        stop: vec!["e".into(), "\n".into()],
        batch: Some(batch),
    };
    let requests = (0..18).map(request).collect();
    common::texts(generator, &[104, 105, 32], requests, &decoding)
}

#[test]
fn a_device_writes_the_cpu_s_tokens() {
    let folder = generator::tiny_generator();
    let loaded = |load: fn(&Path, &Device, Precision) -> Result<Generator, StageError>| {
        load(folder.path(), &Device::Cpu, Precision::F32).unwrap_or_else(|e| panic!("{e}"))
    };
    let (cpu, device) = (loaded(Generator::load), loaded(Generator::load_tensors));
    assert!(matches!(
        (&cpu.model, &device.model),
        (Model::Cpu(_), Model::Device(_))
    ));
    let warm = Sampling {
        temperature: 1.0,
        ..Sampling::default()
    };
    for sampling in [Sampling::default(), warm] {
        let expected = run(&cpu, sampling, 4);
        let finishes: std::collections::BTreeSet<&str> =
            expected.iter().map(|one| one.finish.word()).collect();
        assert!(
            finishes.len() > 1,
            "rows must leave a group at different steps: {finishes:?}"
        );
        for batch in [1, 5, 18] {
            for (found, expected) in run(&device, sampling, batch).iter().zip(&expected) {
                assert_eq!(found.tokens, expected.tokens);
                let pairs = found.logprobs.iter().zip(&expected.logprobs);
                assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-4));
            }
        }
    }
}
