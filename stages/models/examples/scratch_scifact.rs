#![allow(missing_docs)]
use std::{collections::BTreeMap, time::Instant};
fn main() {
    let dir = std::path::PathBuf::from(std::env::args().nth(1).unwrap());
    let read = |f: &str| std::fs::read_to_string(format!("/work/shared/data/scifact/{f}")).unwrap();
    let docs: Vec<(String, String)> = read("corpus.jsonl").lines().map(|l| { let v: serde_json::Value = serde_json::from_str(l).unwrap(); (v["_id"].as_str().unwrap().into(), format!("{} {}", v["title"].as_str().unwrap(), v["text"].as_str().unwrap())) }).collect();
    let mut qrels: BTreeMap<String, BTreeMap<String, i32>> = BTreeMap::new();
    for l in read("qrels/test.tsv").lines().skip(1) { let f: Vec<&str> = l.split('\t').collect(); qrels.entry(f[0].into()).or_default().insert(f[1].into(), f[2].parse().unwrap()); }
    let queries: Vec<(String, String)> = read("queries.jsonl").lines().map(|l| { let v: serde_json::Value = serde_json::from_str(l).unwrap(); (v["_id"].as_str().unwrap().to_owned(), v["text"].as_str().unwrap().to_owned()) }).filter(|q| qrels.contains_key(&q.0)).collect();
    let e = ablate_models::encoder::SentenceEncoder::load(&dir, &candle_core::Device::Cpu).map_err(|e| e.to_string()).unwrap();
    let enc = |t: Vec<String>| { let s = Instant::now(); let n = t.len(); let v = e.encode(&t, 32, &|_, _| Ok(())).map_err(|e| e.to_string()).unwrap(); println!("{n} texts {:.1}s {:.1}/s", s.elapsed().as_secs_f64(), n as f64 / s.elapsed().as_secs_f64()); v };
    let q = enc(queries.iter().map(|d| d.1.clone()).collect());
    let d = enc(docs.iter().map(|d| d.1.clone()).collect());
    let mut total = 0.0; let mut recall = 0.0;
    for ((qid, _), v) in queries.iter().zip(q.rows()) {
        let mut s: Vec<(f32, &str)> = d.rows().zip(&docs).map(|(x, (id, _))| (x.iter().zip(v).map(|(a, b)| a * b).sum::<f32>(), id.as_str())).collect();
        s.sort_by(|a, b| b.0.total_cmp(&a.0));
        let rel = &qrels[qid];
        let dcg: f64 = s.iter().take(10).enumerate().map(|(i, (_, id))| *rel.get(*id).unwrap_or(&0) as f64 / (i as f64 + 2.0).log2()).sum();
        let mut g: Vec<i32> = rel.values().copied().collect(); g.sort(); g.reverse();
        let ideal: f64 = g.iter().take(10).enumerate().map(|(i, g)| *g as f64 / (i as f64 + 2.0).log2()).sum();
        total += dcg / ideal; recall += s.iter().take(100).filter(|(_, id)| rel.get(*id).is_some_and(|g| *g > 0)).count() as f64 / rel.values().filter(|g| **g > 0).count() as f64;
    }
    println!("nDCG@10 {:.5} R@100 {:.5} over {}", total / queries.len() as f64, recall / queries.len() as f64, queries.len());
}
