//! Times our products of f32 matrices, for comparison with other libraries: `products ROWS DEPTH COLUMNS`. Prints GFLOP/s, the best of six.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::Instant;

use ablate_models::ops::product::{Matrix, Packed, product};

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|at| (at % 13) as f32 * 0.1).collect()
}

fn main() {
    let arguments: Vec<usize> = std::env::args()
        .skip(1)
        .map(|text| text.parse().unwrap())
        .collect();
    let [rows, depth, columns] = arguments[..] else {
        panic!("products ROWS DEPTH COLUMNS");
    };
    let (a, b) = (numbers(rows * depth), numbers(columns * depth));
    let packed = Packed::new(Matrix::new(&b, columns, depth).transposed());
    let seconds = (0..6).map(|_| {
        let begun = Instant::now();
        std::hint::black_box(product(Matrix::new(&a, rows, depth), &packed, None));
        begun.elapsed().as_secs_f64()
    });
    let best = seconds.fold(f64::INFINITY, f64::min);
    println!("{:.0}", 2.0 * (rows * depth * columns) as f64 / best / 1e9);
}
