//! Root-mean-square norm, with gradients.

use candle_core::{CpuStorage, CustomOp2, D, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{
    decoder,
    math::{ROWS_PER_TASK, sum_of, vectorized},
    row_gradients,
    storage::{numbers, result},
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
        let for_x = || {
            row_gradients::of_rows([x, weight, gradient], |out, [x, weight, gradient]| {
                backward(out, x, weight, gradient, self.0);
            })
        };
        let for_weight = || {
            let sums = row_gradients::of_parameters([x, gradient], 1, |sums, [x, gradient]| {
                add_weight(sums, x, gradient, self.0);
            });
            sums?.get(0)
        };
        Ok((
            x.track_op().then(for_x).transpose()?,
            weight.track_op().then(for_weight).transpose()?,
        ))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ops::agreement::{agree, random};

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
}
