//! Times indexing and searching of a BEIR folder in one process, for `tests/peers/retrieval.py`.
//!
//! ```text
//! cargo run --release -p ablate-rank --example bm25_peer -- FOLDER SCRATCH THREADS DEPTH...
//! ```
//! Prints one JSON object: documents per second of indexing (analysis, writing and opening included), queries per second
//! by depth (analysis included, best of three rounds), bytes of the index, and the ids of the best ten per query.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{collections::BTreeMap, path::Path, time::Instant};

use ablate_core::{Parts, Record, rows::Document};
use ablate_rank::{
    bm25::Searcher,
    index::{Index, Scheme, write},
    similarity::Bm25,
};
use serde_json::{Value, json};

fn lines(path: &Path) -> Vec<Value> {
    let text = fs_err::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn text(row: &Value, field: &str) -> String {
    row[field].as_str().unwrap_or_default().to_owned()
}

fn seconds<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let began = Instant::now();
    let done = work();
    (done, began.elapsed().as_secs_f64())
}

/// Queries per second by depth: the best of three rounds.
fn speeds(searcher: &Searcher, queries: &[String], depths: &[usize]) -> BTreeMap<String, f64> {
    let speed = |depth: &usize| {
        let rounds = (0..3).map(|_| seconds(|| searcher.search_texts(queries, *depth)).1);
        let best = rounds.fold(f64::MAX, f64::min);
        (depth.to_string(), queries.len() as f64 / best)
    };
    depths.iter().map(speed).collect()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (folder, scratch) = (Path::new(&arguments[0]), Path::new(&arguments[1]));
    let threads = arguments[2].parse().unwrap();
    let depths: Vec<usize> = arguments[3..]
        .iter()
        .map(|depth| depth.parse().unwrap())
        .collect();
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .unwrap();
    let mut documents: Vec<Document> = lines(&folder.join("corpus.jsonl"))
        .iter()
        .map(|row| Document {
            doc_id: text(row, "_id"),
            title: Some(text(row, "title")),
            text: text(row, "text"),
        })
        .collect();
    documents.sort_by(|a, b| a.doc_id.cmp(&b.doc_id));
    let queries = lines(&folder.join("queries.jsonl"));
    let asked: Vec<String> = queries.iter().map(|row| text(row, "text")).collect();
    let parts: Vec<_> = documents
        .chunks(8192)
        .map(|rows| Document::encode(rows).unwrap())
        .collect();
    let (searcher, indexing) = seconds(|| {
        let parts: Parts<'_> = Box::new(parts.into_iter().map(Ok));
        write(scratch, parts, &Scheme::default(), |_| Ok(())).unwrap();
        Searcher::new(Index::open(scratch).unwrap(), Bm25::lucene(0.9, 0.4), &[])
    });
    let best = searcher.search_texts(&asked, 10).into_iter().zip(&queries);
    let ids = |hits: Vec<(u32, f32)>| -> Vec<String> {
        hits.iter()
            .map(|(document, _)| searcher.index().id(*document).to_owned())
            .collect()
    };
    let best: BTreeMap<String, Vec<String>> = best
        .map(|(hits, query)| (text(query, "_id"), ids(hits)))
        .collect();
    let report = json!({
        "documents_per_second": documents.len() as f64 / indexing,
        "queries_per_second": speeds(&searcher, &asked, &depths),
        "best": best,
    });
    println!("{report}");
}
