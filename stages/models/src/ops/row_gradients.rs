//! Gradients of operations that norm each row by itself, by their kernels over rows.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::{
    math::{ROWS_PER_TASK, column_sums},
    storage::computed,
};

/// That of `x`: `kernel` writes it for some rows, from those of `x`, the weight and the gradient of the answer.
pub(super) fn of_rows(
    [x, weight, gradient]: [&Tensor; 3],
    kernel: impl Fn(&mut [f32], [&[f32]; 3]) + Sync,
) -> Result<Tensor> {
    computed([x, weight, gradient], x.shape(), |[x, weight, gradient]| {
        let mut out = vec![0.0; x.len()];
        let task = ROWS_PER_TASK * weight.len();
        out.par_chunks_mut(task)
            .zip(x.par_chunks(task))
            .zip(gradient.par_chunks(task))
            .for_each(|((out, x), gradient)| kernel(out, [x, weight, gradient]));
        out
    })
}

/// Those of so many parameters as wide as a row, `(parameters, width)`: `add` adds one row's to sums that stand one after the other.
pub(super) fn of_parameters(
    [x, gradient]: [&Tensor; 2],
    parameters: usize,
    add: impl Fn(&mut [f32], [&[f32]; 2]) + Sync,
) -> Result<Tensor> {
    let (rows, width) = x.dims2()?;
    computed([x, gradient], (parameters, width), |[x, gradient]| {
        column_sums(rows, parameters * width, |row, sums| {
            let row = row * width..(row + 1) * width;
            add(sums, [&x[row.clone()], &gradient[row]]);
        })
    })
}
