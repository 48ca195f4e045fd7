//! Times steps of training, for comparison with other libraries: `steps KIND MODEL_FOLDER [STEPS [TOKENS [DEVICE [checkpointed]]]]`. Of the steps (6)
//! the first is left out. DEVICE is `cpu`, with f32, or `cuda`, with bf16 around f32 weights.
//!
//! KIND is `biencoder` (32 rows of three texts of so many tokens, 128), `crossencoder` (32 pairs), `monot5` (16 prompts) or `lora` (4 prompts, the last
//! 16 tokens are learnt, rank 16 on all linear layers). Prints wall and processor seconds a step, and the most memory that was used.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{path::Path, time::Instant};

use ablate_core::{DeviceChoice, Seed, StageError, rows::Triple};
use ablate_models::{
    Precision, TunedGenerator,
    decoder::Lora,
    device,
    encoder::SentenceEncoder,
    reranker::{CrossEncoder, MonoT5, Truncation},
};
use ablate_train::{
    Batches, Objective, Settings,
    answers::Answers,
    completions::{Completions, Example},
    optimizer::Decay,
    ranking::{Ranking, RankingSettings},
    relevance::{Relevance, RelevanceLoss},
    train,
};
use candle_core::Device;
use mimalloc::MiMalloc;

/// That of the program.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const BATCH: usize = 32;

/// A text of so many words, each a token.
fn text(row: usize, words: usize) -> String {
    const WORDS: [&str; 8] = [
        "water", "light", "house", "paper", "stone", "river", "music", "green",
    ];
    let word = |at: usize| WORDS[(row * 7 + at * (row + 3)) % WORDS.len()];
    (0..words).map(word).collect::<Vec<_>>().join(" ")
}

/// What is asked for.
struct Run {
    steps: usize,
    /// Of a text, with the special ones.
    tokens: usize,
    device: Device,
    gradient_checkpointing: bool,
}

/// Rows of texts that fill so many tokens with their special ones: each alone, or query and document together.
fn triples(tokens: usize, pairs: bool) -> Vec<Triple> {
    let (query, document) = if pairs {
        (16, tokens - 19)
    } else {
        (tokens - 2, tokens - 2)
    };
    let triple = |row: usize| Triple {
        query_id: row.to_string(),
        query: format!("{} {}", text(row, query - 1), row % 10),
        pos_id: format!("p{row}"),
        pos_text: text(row + 1000, document),
        neg_id: format!("n{row}"),
        neg_text: text(row + 2000, document),
        source: String::new(),
    };
    (0..BATCH).map(triple).collect()
}

fn settings(run: &Run) -> Settings {
    Settings {
        learning_rate: 2e-5,
        warmup: 0.1,
        decay: Decay::Linear,
        weight_decay: 0.01,
        max_gradient_norm: 1.0,
        dropout: None,
        precision: if run.device.is_cpu() {
            Precision::F32
        } else {
            Precision::Bf16
        },
        gradient_checkpointing: run.gradient_checkpointing,
        seed: Seed::root(1),
    }
}

fn time(objective: &dyn Objective, rows: usize, run: &Run) -> Result<(), StageError> {
    let (batches, settings) = (vec![(0..rows).collect(); run.steps], settings(run));
    let mut begun = (Instant::now(), processor());
    let mut times = Vec::new();
    train(
        objective,
        &Batches::of(&batches),
        &settings,
        None,
        None,
        &mut |_| {
            times.push((begun.0.elapsed().as_secs_f64(), processor() - begun.1));
            begun = (Instant::now(), processor());
            Ok(())
        },
    )?;
    let least = |of: fn(&(f64, f64)) -> f64| times[1..].iter().map(of).fold(f64::INFINITY, f64::min);
    println!(
        "{:.3} s a step, {:.3} processor s, {:.0} MiB",
        least(|time| time.0),
        least(|time| time.1),
        peak()
    );
    Ok(())
}

/// Processor seconds of this process so far.
fn processor() -> f64 {
    let stat = fs_err::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// The most memory this process has had, in MiB.
fn peak() -> f64 {
    let status = fs_err::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

fn biencoder(folder: &Path, run: &Run) -> Result<(), StageError> {
    let mut encoder = SentenceEncoder::load(folder, &run.device)?;
    encoder.set_max_length(run.tokens)?;
    let rows = triples(run.tokens, false);
    let settings = RankingSettings {
        scale: 20.0,
        dimensions: vec![],
        texts_at_once: None,
    };
    time(&Ranking::new(&encoder, &rows, settings)?, BATCH, run)
}

fn crossencoder(folder: &Path, run: &Run) -> Result<(), StageError> {
    let mut model = CrossEncoder::over(folder, &run.device, &Seed::root(1))?;
    model.set_truncation(Some(run.tokens), Truncation::LongestFirst)?;
    let rows = triples(run.tokens, true);
    let objective = Relevance::new(&model, &rows[..BATCH / 2], RelevanceLoss::Bce, None)?;
    time(&objective, BATCH, run)
}

fn monot5(folder: &Path, run: &Run) -> Result<(), StageError> {
    let mut model = MonoT5::load(folder, &run.device)?;
    model.set_max_length(Some(run.tokens));
    let rows = triples(run.tokens + 19, true);
    let objective = Answers::new(&model, &rows[..8], false, None)?;
    time(&objective, objective.rows(), run)
}

fn lora(folder: &Path, run: &Run) -> Result<(), StageError> {
    let lora = Lora {
        rank: 16,
        alpha: 16.0,
        dropout: 0.0,
        targets: vec!["all-linear".into()],
    };
    let generator = TunedGenerator::load(folder, Some(&lora), &Seed::root(1), &run.device)?;
    let ids = |row: u32, count: u32| {
        (0..count)
            .map(move |at| 100 + (row * 31 + at * 17) % 5000)
            .collect()
    };
    let example = |row: u32| Example {
        id: row.to_string(),
        prompt: ids(row, run.tokens as u32 - 16),
        chosen: ids(row + 9, 16),
        rejected: None,
    };
    let examples: Vec<Example> = (0..4).map(example).collect();
    time(&Completions::new(&generator.decoder, &examples, None, 4), 4, run)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (kind, folder) = (arguments[0].as_str(), Path::new(&arguments[1]));
    let number = |at: usize, otherwise| arguments.get(at).map_or(otherwise, |text| text.parse().unwrap());
    let run = Run {
        steps: number(2, 6),
        tokens: number(3, 128),
        device: device::open(match arguments.get(4).map(String::as_str) {
            Some("cuda") => DeviceChoice::Cuda(0),
            _ => DeviceChoice::Cpu,
        })
        .unwrap(),
        gradient_checkpointing: arguments.get(5).is_some_and(|word| word == "checkpointed"),
    };
    let done = match kind {
        "biencoder" => biencoder(folder, &run),
        "crossencoder" => crossencoder(folder, &run),
        "monot5" => monot5(folder, &run),
        _ => lora(folder, &run),
    };
    done.unwrap();
}
