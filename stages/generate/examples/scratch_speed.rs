#![allow(missing_docs)]
use ablate_core::Seed;
use ablate_generate::decode::*;
use ablate_models::gguf::Generator;
use std::time::Instant;
fn main() {
    let dir = std::path::PathBuf::from(std::env::args().nth(1).unwrap());
    let t = Instant::now();
    let g = Generator::load(&dir).map_err(|e| e.to_string()).unwrap();
    println!(
        "load {:.2}s threads {}",
        t.elapsed().as_secs_f64(),
        rayon::current_num_threads()
    );
    let run = |b: usize, n: usize, pp: usize, tg: usize| {
        let reqs = (0..n)
            .map(|i| Request {
                tokens: (0..pp)
                    .map(|j| ((i * 7919 + j * 104729) % 40000 + 100) as u32)
                    .collect(),
                stream: Seed::root(i as u64).stream(),
            })
            .collect();
        let t = Instant::now();
        decode(
            &g,
            &[],
            reqs,
            &Decoding {
                sampling: Sampling::default(),
                max_new_tokens: tg,
                stop: vec![],
                batch: b,
            },
            &|_| Ok(()),
        )
        .map_err(|e| e.to_string())
        .unwrap();
        t.elapsed().as_secs_f64()
    };
    for (b, n) in [(1, 1), (8, 8), (16, 16), (16, 32)] {
        let p = run(b, n, 128, 1);
        let d = run(b, n, 128, 25) - p;
        println!(
            "B={b} n={n} prefill {:.0} tok/s  decode {:.1} tok/s",
            (n * 128) as f64 / p,
            (n * 24) as f64 / d
        );
    }
}
