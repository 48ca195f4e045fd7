//! The speed of a decoder with random weights, for machines to which no checkpoint can be brought: `decoder_speed CONFIG_JSON DEVICE PRECISION TOKENS STEPS ROWS...`.
//!
//! DEVICE is `cpu` or `cuda`, PRECISION `f32` or `bf16`. A prompt of TOKENS is read, then so many steps of greedy decoding are made behind prompts of 128 tokens, for each count
//! of ROWS. Prints lines of a word and numbers: `parameters`, `prefill TOKENS SECONDS`, `decode ROWS TOKENS SECONDS`, and `same ROWS OF`: how many rows of a group wrote
//! what they wrote alone.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::time::Instant;

use ablate_core::{DeviceChoice, StageError};
use ablate_models::{
    Precision,
    decoder::{Decoder, Family, Model, Settings, TensorSpec, Weights},
    device,
};

const PROMPT: usize = 128;
/// Rows that are decoded alone, too.
const COMPARED: usize = 16;

/// Numbers of the size that initialisers draw, by a counter's bits; ones for norms.
struct Random {
    parameters: usize,
}

impl Weights for Random {
    fn place(&self) -> String {
        "random weights".into()
    }

    fn problem(&self, _: &TensorSpec) -> Option<String> {
        None
    }

    fn take(&mut self, tensor: &TensorSpec) -> Result<Vec<f32>, StageError> {
        let (_, count) = tensor.range();
        let first = self.parameters as u64;
        self.parameters += count;
        if tensor.shape.len() == 1 && tensor.name.ends_with("norm.weight") {
            return Ok(vec![1.0; count]);
        }
        let number = |at: u64| {
            let mixed = (first + at).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f32 / (1 << 24) as f32
        };
        Ok((0..count as u64).map(|at| (number(at) - 0.5) * 0.07).collect())
    }
}

fn told<T>(error: StageError) -> T {
    panic!("{error}")
}

fn text(row: usize, tokens: usize, vocabulary: usize) -> Vec<u32> {
    let token = |at: usize| ((row * 7919 + at * 104_729) % vocabulary) as u32;
    (0..tokens).map(token).collect()
}

/// What so many rows write in so many steps behind prompts, and the seconds without the prompts.
fn written<D: Decoder>(model: &D, texts: &[Vec<u32>], steps: usize) -> (Vec<Vec<u32>>, f64) {
    let prefix = model.prefix(&[]).unwrap_or_else(told);
    let mut group = model.group(&prefix, texts.len()).unwrap_or_else(told);
    let mut rows = vec![Vec::new(); texts.len()];
    let mut feeds = texts.to_vec();
    let mut begun = Instant::now();
    for step in 0..=steps {
        let fed: Vec<&[u32]> = feeds.iter().map(Vec::as_slice).collect();
        let chosen = model
            .step_likeliest(&prefix, &mut group, &fed)
            .unwrap_or_else(told);
        feeds = chosen.iter().map(|(token, _)| vec![*token]).collect();
        rows.iter_mut()
            .zip(&chosen)
            .for_each(|(row, (token, _))| row.push(*token));
        if step == 0 {
            begun = Instant::now();
        }
    }
    (rows, begun.elapsed().as_secs_f64())
}

fn measure<D: Decoder>(model: &D, vocabulary: usize, tokens: usize, steps: usize, counts: &[usize]) {
    let prompt = [text(0, tokens, vocabulary)];
    // Kernels are made at their first use.
    written(model, &prompt, 1);
    let begun = Instant::now();
    written(model, &prompt, 0);
    println!("prefill {tokens} {:.4}", begun.elapsed().as_secs_f64());
    for rows in counts {
        let texts: Vec<_> = (0..*rows).map(|row| text(row, PROMPT, vocabulary)).collect();
        let (together, seconds) = written(model, &texts, steps);
        println!("decode {rows} {} {seconds:.4}", rows * steps);
        let compared = texts.iter().zip(&together).take(COMPARED);
        let alone =
            compared.filter(|(text, together)| written(model, &[(*text).clone()], steps).0[0] == **together);
        println!("same {} {}", alone.count(), COMPARED.min(*rows));
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| arguments[at].parse::<usize>().unwrap();
    let config =
        serde_json::from_str::<serde_json::Value>(&fs_err::read_to_string(&arguments[0]).unwrap()).unwrap();
    let family =
        Family::of_model_type(config["model_type"].as_str().unwrap(), &arguments[0]).unwrap_or_else(told);
    let settings = Settings::new(config.as_object().unwrap().clone());
    let config = family.config(&settings, &arguments[0]).unwrap_or_else(told);
    let device = device::open(if arguments[1] == "cuda" {
        DeviceChoice::Cuda(0)
    } else {
        DeviceChoice::Cpu
    })
    .unwrap_or_else(told);
    let precision = if arguments[2] == "bf16" {
        Precision::Bf16
    } else {
        Precision::F32
    };
    let (vocabulary, mut weights) = (config.vocab_size, Random { parameters: 0 });
    let model = Model::load(config, &family.layout, &mut weights, &device, precision).unwrap_or_else(told);
    println!("parameters {}", weights.parameters);
    let counts: Vec<usize> = (5..arguments.len()).map(number).collect();
    match &model {
        Model::Cpu(model) => measure(model, vocabulary, number(3), number(4), &counts),
        Model::Device(model) => measure(model, vocabulary, number(3), number(4), &counts),
    }
}
