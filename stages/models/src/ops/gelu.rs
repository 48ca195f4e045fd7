//! GELU by the normal distribution function (Hendrycks and Gimpel, 2016), as `hidden_act: gelu` means it.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{
    math::{ELEMENTS_PER_TASK, exp, normal_cdf, vectorized},
    storage::{numbers, result},
};

/// `x Φ(x)`, element by element.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() {
        x.contiguous()?.apply_op1(Gelu)
    } else {
        x.gelu_erf()
    }
}

vectorized! {
    fn activate<'a>(out: &'a mut [f32], x: &'a [f32]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out = x * normal_cdf(*x);
        }
    }
}

vectorized! {
    /// The derivative, Φ(x) + x φ(x), times `gradient`.
    fn derive<'a>(out: &'a mut [f32], x: &'a [f32], gradient: &'a [f32]) {
        const DENSITY_AT_0: f32 = 0.398_942_3; // 1 / √(2π)
        for ((out, x), gradient) in out.iter_mut().zip(x).zip(gradient) {
            let density = DENSITY_AT_0 * exp(-0.5 * x * x);
            *out = gradient * x.mul_add(density, normal_cdf(*x));
        }
    }
}

struct Gelu;

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = numbers(x, layout)?;
        let mut out = vec![0.0; x.len()];
        out.par_chunks_mut(ELEMENTS_PER_TASK)
            .zip(x.par_chunks(ELEMENTS_PER_TASK))
            .for_each(|(out, x)| activate(out, x));
        Ok(result(out, layout.shape()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        x.apply_op2_no_bwd(&gradient.contiguous()?, &GeluBackward)
            .map(Some)
    }
}

struct GeluBackward;

impl CustomOp2 for GeluBackward {
    fn name(&self) -> &'static str {
        "gelu-backward"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, gradient) = (numbers(x, layout)?, numbers(gradient, gradient_layout)?);
        let mut out = vec![0.0; x.len()];
        out.par_chunks_mut(ELEMENTS_PER_TASK)
            .zip(x.par_chunks(ELEMENTS_PER_TASK))
            .zip(gradient.par_chunks(ELEMENTS_PER_TASK))
            .for_each(|((out, x), gradient)| derive(out, x, gradient));
        Ok(result(out, layout.shape()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::agreement::{agree, random};

    #[test]
    fn the_kernel_and_candle_agree() {
        let wide = (random((300, 70), "x") * 3.0).unwrap_or_else(|error| panic!("{error}"));
        agree(&[wide], |x| gelu(&x[0]), |x| x[0].gelu_erf(), 2e-6);
    }
}
