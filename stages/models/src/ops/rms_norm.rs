//! Root-mean-square norm, with gradients, and the gated activation of T5: a kernel for use, operations of candle where a gradient
//! is asked for.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, D, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{
    decoder,
    math::{ROWS_PER_TASK, column_sums, exp, sum_of, vectorized},
    storage::{numbers, result, with_numbers},
};

/// `x / sqrt(mean(x²) + eps) · weight` of each row (Zhang and Sennrich, 2019).
pub fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    if x.device().is_cpu() {
        x.contiguous()?
            .apply_op2(&weight.contiguous()?, RmsNorm(eps as f32))
    } else {
        composed(x, weight, eps)
    }
}

/// The same of differentiable operations: for devices without a kernel here.
fn composed(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    let mean = (x.sqr()?.mean_keepdim(D::Minus1)? + eps)?;
    x.broadcast_div(&mean.sqrt()?)?.broadcast_mul(weight)
}

/// What a row is multiplied by.
#[inline(always)]
fn inverse(row: &[f32], epsilon: f32) -> f32 {
    1.0 / (sum_of(row, row, |x, _| x * x) / row.len() as f32 + epsilon).sqrt()
}

vectorized! {
    /// The gradient of `x`: s (g w − x s² mean(g w x)), where s is what the row was multiplied by.
    fn backward<'a>(out: &'a mut [f32], x: &'a [f32], weight: &'a [f32], gradient: &'a [f32], epsilon: f32) {
        let width = weight.len();
        let rows = x.chunks_exact(width).zip(gradient.chunks_exact(width));
        for (out, (x, gradient)) in out.chunks_exact_mut(width).zip(rows) {
            let scale = inverse(x, epsilon);
            for ((out, gradient), weight) in out.iter_mut().zip(gradient).zip(weight) {
                *out = gradient * weight;
            }
            let slope = sum_of(out, x, |g, x| g * x) * scale * scale / width as f32;
            for (out, x) in out.iter_mut().zip(x) {
                *out = scale * (*out - x * slope);
            }
        }
    }
}

vectorized! {
    /// Adds one row's gradient of the weight to `sums`.
    fn add_weight<'a>(sums: &'a mut [f32], x: &'a [f32], gradient: &'a [f32], epsilon: f32) {
        let scale = inverse(x, epsilon);
        for ((sum, x), gradient) in sums.iter_mut().zip(x).zip(gradient) {
            *sum += gradient * (x * scale);
        }
    }
}

struct RmsNorm(f32);

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight) = (numbers(x, x_layout)?, numbers(weight, weight_layout)?);
        let mut out = vec![0.0; x.len()];
        let task = ROWS_PER_TASK * weight.len();
        out.par_chunks_mut(task)
            .zip(x.par_chunks(task))
            .for_each(|(out, x)| decoder::rms_norm(x, weight, self.0, out));
        Ok(result(out, x_layout.shape()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let for_x = x
            .track_op()
            .then(|| x.apply_op3_no_bwd(weight, &gradient, &InputGradient(self.0)));
        let for_weight = weight
            .track_op()
            .then(|| x.apply_op2_no_bwd(&gradient, &WeightGradient(self.0)));
        Ok((for_x.transpose()?, for_weight.transpose()?))
    }
}

struct InputGradient(f32);

impl CustomOp3 for InputGradient {
    fn name(&self) -> &'static str {
        "rms-norm-backward"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight) = (numbers(x, x_layout)?, numbers(weight, weight_layout)?);
        let gradient = numbers(gradient, gradient_layout)?;
        let mut out = vec![0.0; x.len()];
        let task = ROWS_PER_TASK * weight.len();
        out.par_chunks_mut(task)
            .zip(x.par_chunks(task))
            .zip(gradient.par_chunks(task))
            .for_each(|((out, x), gradient)| backward(out, x, weight, gradient, self.0));
        Ok(result(out, x_layout.shape()))
    }
}

struct WeightGradient(f32);

impl CustomOp2 for WeightGradient {
    fn name(&self) -> &'static str {
        "rms-norm-weight-backward"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (rows, width) = x_layout.shape().dims2()?;
        let (x, gradient) = (numbers(x, x_layout)?, numbers(gradient, gradient_layout)?);
        let add = |row: usize, sums: &mut [f32]| {
            let row = row * width..(row + 1) * width;
            add_weight(sums, &x[row.clone()], &gradient[row], self.0);
        };
        Ok(result(column_sums(rows, width, add), width))
    }
}

vectorized! {
    /// `out = gelu(gate) · up` over one row of gate and up, with the hyperbolic tangent's approximation of GELU:
    /// x (1 + tanh y) / 2 is x / (1 + e^-2y).
    fn gate_row<'a>(gate: &'a [f32], up: &'a [f32], out: &'a mut [f32]) {
        const TWICE_ROOT_2_OVER_PI: f32 = 1.595_769;
        for ((out, x), up) in out.iter_mut().zip(gate).zip(up) {
            let twice = TWICE_ROOT_2_OVER_PI * (x + 0.044_715 * x * x * x);
            *out = x / (1.0 + exp(-twice)) * up;
        }
    }
}

/// `gelu(gate) · up` of rows that hold gate and up side by side: `(rows, 2 · width)` to `(rows, width)`
/// (`gated-gelu` of T5 1.1; Shazeer, 2020).
pub fn gated_gelu(x: &Tensor) -> Result<Tensor> {
    let (rows, wide) = x.dims2()?;
    let width = wide / 2;
    if !x.device().is_cpu() || x.track_op() {
        return x.narrow(1, 0, width)?.gelu()? * x.narrow(1, width, width)?;
    }
    let mut out = vec![0.0; rows * width];
    with_numbers(x, |x| {
        let rows = out.par_chunks_mut(width).zip(x.par_chunks(wide));
        rows.for_each(|(out, row)| gate_row(&row[..width], &row[width..], out));
    })?;
    Tensor::from_vec(out, (rows, width), x.device())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{
        ops::agreement::{agree, random},
        params::to_vec,
    };

    fn close(a: &Tensor, b: &Tensor) {
        for (a, b) in to_vec(a).unwrap().iter().zip(to_vec(b).unwrap()) {
            assert!((a - b).abs() < 2e-6 * b.abs().max(1.0), "{a} and {b}");
        }
    }

    #[test]
    fn the_norm_and_its_composition_agree() {
        let inputs = [(random((300, 37), "x") * 3.0).unwrap(), random(37, "weight")];
        agree(
            &inputs,
            |x| rms_norm(&x[0], &x[1], 1e-6),
            |x| composed(&x[0], &x[1], 1e-6),
            3e-5,
        );
    }

    #[test]
    fn the_gate_and_its_composition_agree() {
        let x = (random((100, 18), "x") * 3.0).unwrap();
        let (gate, up) = (x.narrow(1, 0, 9).unwrap(), x.narrow(1, 9, 9).unwrap());
        close(&gated_gelu(&x).unwrap(), &(gate.gelu().unwrap() * up).unwrap());
    }
}
