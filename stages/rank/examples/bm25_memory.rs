//! Indexes and searches generated documents that never stand in memory together, to see what memory that takes:
//!
//! ```text
//! /usr/bin/time -v cargo run --release -p ablate-rank --example bm25_memory -- SCRATCH DOCUMENTS
//! ```
//! Words follow Zipf's law over 2,000,000 words, a document has 20 to 90 of them, a query 6 that are not among the 100
//! most frequent.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{path::Path, time::Instant};

use ablate_core::{Parts, Record, Seed, Stream, rows::Document};
use ablate_rank::{
    bm25::Searcher,
    index::{Index, Scheme, write},
    similarity::Bm25,
};

const WORDS: usize = 2_000_000;
const PART: usize = 8192;

/// Draws ranks of words, the smaller the likelier.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new() -> Self {
        let mut sum = 0.0;
        let mut cumulative = |rank| {
            sum += (rank as f64 + 2.7).powf(-1.07);
            sum
        };
        Self((0..WORDS).map(&mut cumulative).collect())
    }

    fn rank(&self, stream: &mut Stream) -> usize {
        let most = self.0[WORDS - 1];
        let drawn = stream.below(1 << 30) as f64 / f64::from(1 << 30) * most;
        self.0.partition_point(|sum| *sum <= drawn)
    }

    fn text(&self, stream: &mut Stream, count: usize, least: usize) -> String {
        let mut ranks = std::iter::repeat_with(|| self.rank(stream)).filter(|rank| *rank >= least);
        let word = |rank: usize| format!("w{rank:x}");
        ranks.by_ref().take(count).map(word).collect::<Vec<_>>().join(" ")
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (scratch, count) = (arguments.next().unwrap(), arguments.next().unwrap());
    let (scratch, count) = (Path::new(&scratch), count.parse::<usize>().unwrap());
    let zipf = Zipf::new();
    let mut stream = Seed::root(7).child("documents").stream();
    let mut document = |at: usize| {
        let length = 20 + stream.below(71);
        Document {
            doc_id: format!("d{at:08}"),
            title: None,
            text: zipf.text(&mut stream, length, 0),
        }
    };
    let mut part =
        |start: usize| -> Vec<Document> { (start..count.min(start + PART)).map(&mut document).collect() };
    let parts: Parts<'_> = Box::new(
        (0..count)
            .step_by(PART)
            .map(move |start| Ok(Document::encode(&part(start))?)),
    );
    let began = Instant::now();
    write(scratch, parts, &Scheme::default(), |_| Ok(())).unwrap();
    println!(
        "{count} documents indexed in {:.1} s",
        began.elapsed().as_secs_f64()
    );
    let began = Instant::now();
    let searcher = Searcher::new(Index::open(scratch).unwrap(), Bm25::lucene(0.9, 0.4), &[]);
    println!("opened in {:.1} s", began.elapsed().as_secs_f64());
    let mut stream = Seed::root(7).child("queries").stream();
    let queries: Vec<String> = (0..1000).map(|_| zipf.text(&mut stream, 6, 100)).collect();
    for depth in [10, 1000] {
        let began = Instant::now();
        let found = searcher.search_texts(&queries, depth);
        let hits: usize = found.iter().map(Vec::len).sum();
        println!(
            "{} queries at {depth}: {hits} hits in {:.1} s",
            queries.len(),
            began.elapsed().as_secs_f64()
        );
    }
}
