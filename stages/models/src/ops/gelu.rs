//! GELU by the normal distribution function (Hendrycks and Gimpel, 2016), as `hidden_act: gelu` means it.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{
    linear::linear,
    math::{ELEMENTS_PER_TASK, exp, normal_cdf, vectorized},
    product::{Matrix, Packed, chained},
    storage::{computed, numbers, result},
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
    fn activate<'a>(x: &'a mut [f32]) {
        for x in x {
            *x *= normal_cdf(*x);
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

/// The feed-forward network of a transformer: a linear layer, GELU, a linear layer; each layer as weight and bias.
///
/// Without gradients the two layers run together, so that the wide states between them are never written out.
pub fn feed_forward(x: &Tensor, layers: [(&Tensor, &Tensor); 2]) -> Result<Tensor> {
    let tensors = || {
        layers
            .iter()
            .flat_map(|(weight, bias)| [*weight, *bias])
            .chain([x])
    };
    let [(inner, inner_bias), (outer, outer_bias)] = layers;
    if tensors().any(Tensor::track_op) || !x.device().is_cpu() {
        return linear(&gelu(&linear(x, inner, inner_bias)?)?, outer, outer_bias);
    }
    let ((rows, depth), (width, _), (cols, _)) = (x.dims2()?, inner.dims2()?, outer.dims2()?);
    if x.dim(1)? != inner.dim(1)? || outer.dim(1)? != width {
        candle_core::bail!("a feed-forward network of {:?} and {:?} on {:?}", inner, outer, x);
    }
    let tensors = [x, inner, inner_bias, outer, outer_bias];
    computed(
        tensors,
        (rows, cols),
        |[x, inner, inner_bias, outer, outer_bias]| {
            let inner = Packed::new(Matrix::new(inner, width, depth).transposed());
            let outer = Packed::new(Matrix::new(outer, cols, width).transposed());
            chained(
                Matrix::new(x, rows, depth),
                [(&inner, inner_bias), (&outer, outer_bias)],
                activate,
            )
        },
    )
}

struct Gelu;

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = numbers(x, layout)?;
        let mut out = x.to_vec();
        out.par_chunks_mut(ELEMENTS_PER_TASK).for_each(activate);
        Ok(result(out, layout.shape()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let derived = |[x, gradient]: [&[f32]; 2]| {
            let mut out = vec![0.0; x.len()];
            out.par_chunks_mut(ELEMENTS_PER_TASK)
                .zip(x.par_chunks(ELEMENTS_PER_TASK))
                .zip(gradient.par_chunks(ELEMENTS_PER_TASK))
                .for_each(|((out, x), gradient)| derive(out, x, gradient));
            out
        };
        computed([x, gradient], x.shape(), derived).map(Some)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ops::agreement::{agree, random};

    #[test]
    fn the_network_without_gradients_gives_the_bits_of_its_layers() {
        let x = random((203, 37), "x");
        let [inner, inner_bias] = [random((50, 37), "inner"), random(50, "inner bias")];
        let [outer, outer_bias] = [random((37, 50), "outer"), random(37, "outer bias")];
        let numbers = |tensor: Result<Tensor>| tensor.and_then(|tensor| tensor.to_vec2::<f32>()).unwrap();
        let fused = feed_forward(&x, [(&inner, &inner_bias), (&outer, &outer_bias)]);
        let states = gelu(&linear(&x, &inner, &inner_bias).unwrap()).unwrap();
        assert_eq!(numbers(fused), numbers(linear(&states, &outer, &outer_bias)));
    }

    #[test]
    fn the_kernel_and_candle_agree() {
        let wide = (random((300, 70), "x") * 3.0).unwrap();
        agree(&[wide], |x| gelu(&x[0]), |x| x[0].gelu_erf(), 2e-6);
    }
}
