//! Times indexing and searching of a BEIR folder in one process, for `tests/peers/retrieval.py`.
//!
//! ```text
//! cargo run --release -p ablate-rank --example bm25_peer -- FOLDER INDEX THREADS
//! ```
//! Indexes into INDEX, or opens what is there. The first line it prints is a JSON object: wall and CPU seconds of indexing
//! (analysis, writing and opening included) and the ids of the best ten per query. Then, for each depth that stands on a
//! line of its input, the wall and CPU seconds of all queries, analysis included.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{collections::BTreeMap, io::stdin, path::Path, time::Instant};

use ablate_core::{Parts, Record, rows::Document};
use ablate_rank::{
    bm25::Searcher,
    index::{Index, Scheme, write},
    similarity::Bm25,
};
use arrow::array::RecordBatch;
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

/// What `work` gives, and its wall and CPU seconds.
fn seconds<T>(work: impl FnOnce() -> T) -> (T, [f64; 2]) {
    let (began, used) = (Instant::now(), cpu_seconds());
    let done = work();
    (done, [began.elapsed().as_secs_f64(), cpu_seconds() - used])
}

/// CPU seconds of all threads, as Linux counts them.
fn cpu_seconds() -> f64 {
    let of_thread = |task: std::io::Result<fs_err::DirEntry>| -> f64 {
        let schedule = fs_err::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
        schedule.split(' ').next().unwrap().parse().unwrap()
    };
    fs_err::read_dir("/proc/self/task")
        .unwrap()
        .map(of_thread)
        .sum::<f64>()
        / 1e9
}

/// The documents by id, as a corpus has them.
fn parts(folder: &Path) -> Vec<RecordBatch> {
    let mut documents: Vec<Document> = lines(&folder.join("corpus.jsonl"))
        .iter()
        .map(|row| Document {
            doc_id: text(row, "_id"),
            title: Some(text(row, "title")),
            text: text(row, "text"),
        })
        .collect();
    documents.sort_by(|a, b| a.doc_id.cmp(&b.doc_id));
    documents
        .chunks(8192)
        .map(|rows| Document::encode(rows).unwrap())
        .collect()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (folder, into) = (Path::new(&arguments[0]), Path::new(&arguments[1]));
    rayon::ThreadPoolBuilder::new()
        .num_threads(arguments[2].parse().unwrap())
        .build_global()
        .unwrap();
    let parts = (!into.join("index.json").exists()).then(|| parts(folder));
    let (searcher, indexing) = seconds(|| {
        if let Some(parts) = parts {
            let parts: Parts<'_> = Box::new(parts.into_iter().map(Ok));
            write(into, parts, &Scheme::default(), |_| Ok(())).unwrap();
        }
        Searcher::new(Index::open(into).unwrap(), Bm25::lucene(0.9, 0.4), &[])
    });
    let queries = lines(&folder.join("queries.jsonl"));
    let asked: Vec<String> = queries.iter().map(|row| text(row, "text")).collect();
    let ids = |hits: Vec<(u32, f32)>| -> Vec<String> {
        hits.iter()
            .map(|(document, _)| searcher.index().id(*document).to_owned())
            .collect()
    };
    let found = searcher.search_texts(&asked, 10).into_iter().map(ids);
    let best: BTreeMap<String, Vec<String>> = queries.iter().map(|row| text(row, "_id")).zip(found).collect();
    println!("{}", json!({"indexing": indexing, "best": best}));
    for depth in stdin().lines() {
        let depth = depth.unwrap().parse().unwrap();
        println!("{}", json!(seconds(|| searcher.search_texts(&asked, depth)).1));
    }
}
