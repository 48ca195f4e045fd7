//! Layer normalisation (Ba, Kiros and Hinton, 2016).

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{
    math::{ROWS_PER_TASK, sum_of, vectorized},
    row_gradients,
    storage::{numbers, result},
};

/// Rows of `x`, `(rows, width)`, to mean 0 and variance 1, then times `weight` plus `bias`, both `(width)`.
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, epsilon: f64) -> Result<Tensor> {
    if x.device().is_cpu() {
        let operation = LayerNorm(epsilon as f32);
        x.contiguous()?
            .apply_op3(&weight.contiguous()?, &bias.contiguous()?, operation)
    } else {
        candle_nn::ops::layer_norm_slow(x, weight, bias, epsilon as f32)
    }
}

/// Mean and inverse standard deviation of a row.
#[inline(always)]
fn moments(row: &[f32], epsilon: f32) -> (f32, f32) {
    let count = row.len() as f32;
    let mean = sum_of(row, row, |x, _| x) / count;
    let variance = sum_of(row, row, |x, _| (x - mean) * (x - mean)) / count;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

vectorized! {
    fn forward<'a>(out: &'a mut [f32], x: &'a [f32], weight: &'a [f32], bias: &'a [f32], epsilon: f32) {
        let width = weight.len();
        for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            let (mean, inverse) = moments(x, epsilon);
            for (((out, x), weight), bias) in out.iter_mut().zip(x).zip(weight).zip(bias) {
                *out = ((x - mean) * inverse).mul_add(*weight, *bias);
            }
        }
    }
}

vectorized! {
    /// The gradient of `x`: σ⁻¹ (g w − mean(g w) − x̂ mean(g w x̂)).
    fn backward<'a>(out: &'a mut [f32], x: &'a [f32], weight: &'a [f32], gradient: &'a [f32], epsilon: f32) {
        let width = weight.len();
        let rows = x.chunks_exact(width).zip(gradient.chunks_exact(width));
        for (out, (x, gradient)) in out.chunks_exact_mut(width).zip(rows) {
            let (mean, inverse) = moments(x, epsilon);
            for ((out, gradient), weight) in out.iter_mut().zip(gradient).zip(weight) {
                *out = gradient * weight;
            }
            let level = sum_of(out, out, |g, _| g) / width as f32;
            let slope = sum_of(out, x, |g, x| g * (x - mean)) * inverse / width as f32;
            for (out, x) in out.iter_mut().zip(x) {
                *out = inverse * (*out - level - (x - mean) * inverse * slope);
            }
        }
    }
}

vectorized! {
    /// Adds one row's gradients of weight and bias to the halves of `sums`.
    fn add_parameters<'a>(sums: &'a mut [f32], x: &'a [f32], gradient: &'a [f32], epsilon: f32) {
        let (mean, inverse) = moments(x, epsilon);
        let (weight, bias) = sums.split_at_mut(x.len());
        for (((weight, bias), x), gradient) in weight.iter_mut().zip(bias).zip(x).zip(gradient) {
            *weight += gradient * ((x - mean) * inverse);
            *bias += gradient;
        }
    }
}

struct LayerNorm(f32);

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight) = (numbers(x, x_layout)?, numbers(weight, weight_layout)?);
        let bias = numbers(bias, bias_layout)?;
        let mut out = vec![0.0; x.len()];
        let task = ROWS_PER_TASK * weight.len();
        out.par_chunks_mut(task)
            .zip(x.par_chunks(task))
            .for_each(|(out, x)| forward(out, x, weight, bias, self.0));
        Ok(result(out, x_layout.shape()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _bias: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let for_x = row_gradients::of_rows([x, weight, gradient], |out, [x, weight, gradient]| {
            backward(out, x, weight, gradient, self.0);
        })?;
        let parameters = row_gradients::of_parameters([x, gradient], 2, |sums, [x, gradient]| {
            add_parameters(sums, x, gradient, self.0);
        })?;
        Ok((Some(for_x), Some(parameters.get(0)?), Some(parameters.get(1)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::agreement::{agree, random};

    #[test]
    fn the_kernel_and_the_composition_agree() {
        let inputs = [random((300, 37), "x"), random(37, "weight"), random(37, "bias")];
        let composed = |x: &[Tensor]| candle_nn::ops::layer_norm_slow(&x[0], &x[1], &x[2], 1e-12);
        agree(
            &inputs,
            |x| layer_norm(&x[0], &x[1], &x[2], 1e-12),
            composed,
            3e-5,
        );
    }
}
