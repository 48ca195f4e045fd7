use super::*;
use ablate_core::Seed;

fn random(count: usize, name: &str) -> Vec<f32> {
    let mut stream = Seed::root(1).child(name).stream();
    (0..count).map(|_| stream.normal() as f32).collect()
}

/// The definition: one chain of fused multiply-adds per element.
fn chain(a: &[f32], b: &[f32], (rows, depth, cols): (usize, usize, usize)) -> Vec<f32> {
    let product =
        |row: usize, col: usize, sum: f32, p: usize| a[row * depth + p].mul_add(b[p * cols + col], sum);
    let element = |row, col| (0..depth).fold(0.0, |sum, p| product(row, col, sum, p));
    (0..rows * cols).map(|at| element(at / cols, at % cols)).collect()
}

fn transpose(x: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    (0..rows * cols)
        .map(|at| x[at % rows * cols + at / rows])
        .collect()
}

#[test]
fn every_shape_and_transposition_is_the_chain_to_the_bit() {
    for (m, k, n) in [
        (1, 1, 1),
        (1, 300, 5),
        (6, 32, 16),
        (7, 17, 33),
        (100, 700, 40),
        (13, 256, 64),
        (200, 3, 2),
    ] {
        let (a, b) = (random(m * k, "a"), random(k * n, "b"));
        let expected = chain(&a, &b, (m, k, n));
        let (at, bt) = (transpose(&a, m, k), transpose(&b, k, n));
        let lefts = [Matrix::new(&a, m, k), Matrix::new(&at, k, m).transposed()];
        let rights = [Matrix::new(&b, k, n), Matrix::new(&bt, n, k).transposed()];
        for left in lefts {
            for right in rights {
                assert_eq!(
                    product(left, &Packed::new(right), None),
                    expected,
                    "{m} × {k} × {n}"
                );
            }
        }
    }
}

#[test]
fn windows_are_read_and_written_in_place() {
    let (a, b) = (random(4 * 10, "a"), random(3 * 8, "b"));
    let window = Matrix::window(&a[2..], 4, 3, 10);
    let mut out = [7.0; 4 * 9];
    multiply(
        window,
        &Packed::new(Matrix::new(&b, 3, 8)),
        &mut out[1..],
        9,
        false,
    );
    let dense: Vec<f32> = (0..4).flat_map(|r| a[r * 10 + 2..r * 10 + 5].to_vec()).collect();
    let expected = chain(&dense, &b, (4, 3, 8));
    for r in 0..4 {
        assert_eq!(out[r * 9], 7.0);
        assert_eq!(out[r * 9 + 1..r * 9 + 9], expected[r * 8..r * 8 + 8]);
    }
}

#[test]
fn an_empty_inner_dimension_gives_zeros() {
    let nothing = Packed::new(Matrix::new(&[], 0, 3));
    assert_eq!(product(Matrix::new(&[], 2, 0), &nothing, None), vec![0.0; 6]);
}

/// Blocks of codes from `low` to `high` and their numbers give the same bits, whichever rows and columns.
#[test]
fn codes_are_the_numbers_they_stand_for() {
    for (low, high, length, offset) in [
        (-8, 7, 32, 0.0),
        (0, 15, 32, 1.0),
        (-128, 127, 32, 0.0),
        (-32, 31, 16, 1.0),
    ] {
        for (rows, depth, cols) in [
            (1, 32, 5),
            (1, 320, 40),
            (2, 64, 33),
            (3, 320, 33),
            (7, 288, 64),
            (100, 64, 48),
        ] {
            let stretches = cols * depth / length;
            let codes = random(cols * depth, "codes").into_iter();
            let blocks = Blocks {
                codes: codes
                    .map(|x| (x * 64.0).clamp(low as f32, high as f32) as i8)
                    .collect(),
                scales: random(stretches, "scales"),
                offsets: random(stretches, "offsets")
                    .into_iter()
                    .map(|x| x * offset)
                    .collect(),
                length,
            };
            let numbers = blocks.numbers();
            let packed = Packed::of_blocks(&blocks, depth);
            let dense = Packed::new(Matrix::new(&numbers, cols, depth).transposed());
            for column in 0..cols {
                assert_eq!(packed.column(column), numbers[column * depth..][..depth]);
                assert_eq!(dense.column(column), packed.column(column));
            }
            let a = random(rows * depth, "a");
            let a = Matrix::new(&a, rows, depth);
            let expected = product(a, &dense, None);
            assert_eq!(product(a, &packed, None), expected);
            let mut shared = vec![0.0; rows * cols];
            multiply_shared(a, &packed, &mut shared, cols, false);
            assert_eq!(shared, expected);
            let mut twice = expected.clone();
            multiply(a, &dense, &mut twice, cols, true);
            multiply(a, &packed, &mut shared, cols, true);
            assert_eq!(shared, twice, "added");
        }
    }
}

#[test]
fn columns_computed_beside_each_other_are_the_chain() {
    let (rows, depth, cols) = (5, 600, 900);
    let (a, b, start) = (
        random(rows * depth, "a"),
        random(depth * cols, "b"),
        random(rows * cols, "start"),
    );
    let (a, b) = (
        Matrix::new(&a, rows, depth),
        Packed::new(Matrix::new(&b, depth, cols)),
    );
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    for add in [false, true] {
        let (mut one, mut shared) = (start.clone(), start.clone());
        multiply(a, &b, &mut one, cols, add);
        pool.install(|| multiply_shared(a, &b, &mut shared, cols, add));
        assert_eq!(one, shared);
    }
}
