//! Evaluates a generated run that never stands in memory as a whole, to see what memory that takes:
//!
//! ```text
//! /usr/bin/time -v cargo run --release -p ablate-measure --example evaluate_memory -- QUERIES
//! ```
//! Each query has 1,000 hits, and ten judged documents of which the run holds half.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::Instant;

use ablate_core::{
    Parts, Record, Seed,
    rows::{Hit, Judgement},
};
use ablate_measure::{Measure, Options, evaluate_parts};

const DEPTH: u32 = 1000;
/// Queries a part of the run holds.
const PART: usize = 100;

fn query_id(query: usize) -> String {
    format!("q{query:07}")
}

/// The hits of some queries.
fn part(first: usize, last: usize) -> Vec<Hit> {
    let hits = |query: usize| {
        let mut stream = Seed::root(5).child(&query.to_string()).stream();
        (1..=DEPTH).map(move |rank| Hit {
            query_id: query_id(query),
            doc_id: format!("d{:09}", stream.below(1_000_000) * 1000 + rank as usize - 1),
            rank,
            score: (DEPTH - rank) as f32,
        })
    };
    (first..last).flat_map(hits).collect()
}

fn qrels(queries: usize) -> Vec<Judgement> {
    let of_query = |query: usize| {
        let mut stream = Seed::root(5).child(&query.to_string()).stream();
        (0..10_usize).map(move |at| Judgement {
            query_id: query_id(query),
            doc_id: format!("d{:09}", stream.below(1_000_000) * 1000 + at + 1000 * (at % 2)),
            grade: at as i32 % 3,
        })
    };
    (0..queries).flat_map(of_query).collect()
}

fn main() {
    let queries: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    let qrels = qrels(queries);
    let measures: Vec<Measure> = ["nDCG@10", "AP", "R@1000", "RR"]
        .map(|name| name.parse().unwrap())
        .into();
    let began = Instant::now();
    let parts = (0..queries).step_by(PART).map(|first| {
        let hits = part(first, (first + PART).min(queries));
        Ok(Hit::encode(&hits).unwrap())
    });
    let parts: Parts<'_> = Box::new(parts);
    let scores = evaluate_parts(parts, &qrels, &measures, Options::default(), |_, _| true)
        .map_err(|error| error.to_string())
        .unwrap()
        .scores;
    let mean = scores.values().map(|values| values[0]).sum::<f64>() / scores.len() as f64;
    let (rows, seconds) = (queries * DEPTH as usize, began.elapsed().as_secs_f64());
    println!(
        "{rows} rows generated and evaluated in {seconds:.1} s; nDCG@10 {mean:.4} over {} queries",
        scores.len()
    );
}
