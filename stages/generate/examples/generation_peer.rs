//! Our side of tests/peers/generation.py: `generation_peer MODEL_FOLDER THREADS prefill TOKENS`, or
//! `… decode ROWS STEPS [PROMPT]` for rows whose prompts are read beforehand. Prints tokens, seconds and CPU seconds.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::{path::PathBuf, time::Instant};

use ablate_models::{
    Precision,
    decoder::{CpuDecoder, Decoder, Model},
    generator::Generator,
};
use candle_core::Device;
use rayon::prelude::*;

/// CPU seconds of this process so far, to 10 ms.
fn cpu_seconds() -> f64 {
    let stat = fs_err::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn measured(tokens: usize, work: impl FnOnce()) {
    let (start, cpu) = (Instant::now(), cpu_seconds());
    work();
    println!(
        "{tokens} {:.4} {:.2}",
        start.elapsed().as_secs_f64(),
        cpu_seconds() - cpu
    );
}

fn text(row: usize, tokens: usize) -> Vec<u32> {
    (0..tokens)
        .map(|i| ((row * 7919 + i * 104_729) % 40_000 + 100) as u32)
        .collect()
}

fn decode(model: &CpuDecoder, rows: usize, steps: usize, prompt: usize) {
    let prefix = model.prefix(&[]).unwrap();
    let lanes = rayon::current_num_threads().min(rows);
    let sizes: Vec<usize> = (0..lanes).map(|lane| (rows + lane) / lanes).collect();
    let begin = |rows: usize| {
        let prompts: Vec<Vec<u32>> = (0..rows).map(|row| text(row, prompt)).collect();
        let prompts: Vec<&[u32]> = prompts.iter().map(Vec::as_slice).collect();
        let mut group = model.group(&prefix, rows).unwrap();
        model.step(&prefix, &mut group, &prompts).unwrap();
        group
    };
    let mut groups: Vec<_> = sizes.into_iter().map(|rows| (rows, begin(rows))).collect();
    measured(rows * steps, || {
        groups.par_iter_mut().for_each(|(rows, group)| {
            for step in 0..steps {
                let token = [step as u32 + 200];
                model.step(&prefix, group, &vec![&token[..]; *rows]).unwrap();
            }
        });
    });
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |at: usize| arguments.get(at).map(|text| text.parse::<usize>().unwrap());
    let generator = Generator::load(&PathBuf::from(&arguments[1]), &Device::Cpu, Precision::F32)
        .unwrap_or_else(|e| panic!("{e}"));
    let Model::Cpu(model) = &generator.model else {
        panic!("not on the CPU")
    };
    let threads = rayon::ThreadPoolBuilder::new()
        .num_threads(number(2).unwrap())
        .build()
        .unwrap();
    let count = number(4).unwrap();
    threads.install(|| match arguments[3].as_str() {
        "prefill" => measured(count, || drop(model.prefix(&text(0, count)).unwrap())),
        _ => decode(model, count, number(5).unwrap(), number(6).unwrap_or(128)),
    });
}
