use std::time::Instant;
fn main() {
    ops_bench(); if std::env::args().len() < 3 { return; }
    let dir = std::path::PathBuf::from(std::env::args().nth(1).unwrap());
    let n: usize = std::env::args().nth(2).unwrap().parse().unwrap();
    let text = std::fs::read_to_string("/work/shared/data/scifact/corpus.jsonl").unwrap();
    let texts: Vec<String> = text.lines().take(n).map(|l| { let v: serde_json::Value = serde_json::from_str(l).unwrap(); format!("{} {}", v["title"].as_str().unwrap(), v["text"].as_str().unwrap()) }).collect();
    let t = Instant::now();
    let e = ablate_models::encoder::SentenceEncoder::load(&dir, &candle_core::Device::Cpu).map_err(|e| e.to_string()).unwrap();
    println!("load {:?}", t.elapsed());
    let t = Instant::now();
    let ids = e.tokenize(&texts).map_err(|e| e.to_string()).unwrap();
    let tok: usize = ids.iter().map(|i| i.len()).sum();
    println!("tokenize {:?}, {} tokens, mean {}", t.elapsed(), tok, tok as f64 / n as f64);
    for _ in 0..2 {
    let t = Instant::now();
    let v = e.encode(&texts, 32, &|_, _| Ok(())).map_err(|e| e.to_string()).unwrap();
    let s = t.elapsed().as_secs_f64();
    println!("encode {s:.2}s {:.1} docs/s {:.1} GFLOP/s sum {}", n as f64 / s, tok as f64 * 21.2e6 / s / 1e9, v.values.iter().map(|x| *x as f64).sum::<f64>());
    }
    let k = 4000*384*384; let a = vec![0.5f32; 4000*1536]; 
    for (m, kk, nn) in [(2048, 384, 1152), (2048, 384, 1536), (2048, 1536, 384)] {
        let a = ablate_models::ops::product::Matrix::new(&a, m, kk); let bb = vec![0.1f32; kk*nn];
        let t = Instant::now();
        for _ in 0..5 { let p = ablate_models::ops::product::Packed::new(ablate_models::ops::product::Matrix::new(&bb, nn, kk).transposed()); let mut out = vec![0f32; m*nn]; ablate_models::ops::product::multiply(a, &p, &mut out, nn, false); std::hint::black_box(out); }
        println!("{m} {kk} {nn}: 1 thread {:.1} GFLOP/s", (10 * m * kk * nn) as f64 / t.elapsed().as_secs_f64() / 1e9);
        let ta = candle_core::Tensor::ones((m, kk), candle_core::DType::F32, &candle_core::Device::Cpu).unwrap(); let tb = candle_core::Tensor::ones((nn, kk), candle_core::DType::F32, &candle_core::Device::Cpu).unwrap();
        let t = Instant::now(); for _ in 0..5 { std::hint::black_box(ta.matmul(&tb.t().unwrap()).unwrap()); }
        println!("   candle {} threads {:.1} GFLOP/s", std::env::var("RAYON_NUM_THREADS").unwrap_or_default(), (10 * m * kk * nn) as f64 / t.elapsed().as_secs_f64() / 1e9);
    }
    let _ = k;
}
#[allow(dead_code)]
pub fn ops_bench() {
    use candle_core::{Tensor, Device, DType}; use ablate_models::ops::*;
    let m = 8 * 240; let dev = Device::Cpu;
    let x = Tensor::ones((m, 384), DType::F32, &dev).unwrap(); let q = Tensor::rand(-1f32, 1f32, (m, 1152), &dev).unwrap(); let f = Tensor::rand(-1f32, 1f32, (m, 1536), &dev).unwrap();
    let w1 = Tensor::rand(-1f32,1f32,(1152,384),&dev).unwrap(); let b1 = Tensor::zeros(1152, DType::F32, &dev).unwrap();
    let w2 = Tensor::rand(-1f32,1f32,(1536,384),&dev).unwrap(); let b2 = Tensor::zeros(1536, DType::F32, &dev).unwrap();
    let w3 = Tensor::rand(-1f32,1f32,(384,1536),&dev).unwrap(); let b3 = Tensor::zeros(384, DType::F32, &dev).unwrap();
    let seg = Segments::new(vec![240; 8]);
    let t = |name: &str, g: &dyn Fn() -> Tensor| { let mut best = f64::MAX; for _ in 0..7 { let s = Instant::now(); std::hint::black_box(g()); best = best.min(s.elapsed().as_secs_f64()); } println!("{name} {:.2} ms", best * 1e3); };
    t("qkv linear", &|| linear(&x, &w1, &b1).unwrap());
    t("ffn1 linear", &|| linear(&x, &w2, &b2).unwrap());
    t("ffn2 linear", &|| linear(&f, &w3, &b3).unwrap());
    t("attention", &|| attention(&q, &seg, 12, None).unwrap());
    t("gelu", &|| gelu(&f).unwrap());
    t("ln", &|| layer_norm(&x, &b3, &b3, 1e-12).unwrap());
    t("add", &|| (&x + &x).unwrap());
    t("cat", &|| Tensor::cat(&[&w1, &w1, &w1], 0).unwrap());
}
