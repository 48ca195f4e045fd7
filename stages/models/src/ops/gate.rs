//! Gated linear units (Shazeer, 2020, arXiv:2002.05202): `activation(gate) · up`, with gradients.

use candle_core::{CpuStorage, CustomOp1, Error, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{
    decoder,
    math::{ROWS_PER_TASK, exp, vectorized},
    storage::{computed, numbers, result},
};
use crate::decoder::Activation;

/// `activation(gate) · up` of rows that hold gate and up side by side: `(rows, 2 · width)` to `(rows, width)`.
pub fn gated(x: &Tensor, activation: Activation) -> Result<Tensor> {
    let has_kernel = match activation {
        Activation::Silu | Activation::GeluTanh => true,
        Activation::Gelu | Activation::Relu => !x.track_op(),
    };
    match x.device().is_cpu() && has_kernel {
        true => x.contiguous()?.apply_op1(Gate(activation)),
        false => composed(x, activation),
    }
}

/// The activation of all numbers, of candle's operations.
pub fn activated(x: &Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::Silu => x.silu(),
        Activation::Gelu => x.gelu_erf(),
        Activation::GeluTanh => x.gelu(),
        Activation::Relu => x.relu(),
    }
}

/// The same of differentiable operations: for devices and activations without a kernel here.
fn composed(x: &Tensor, activation: Activation) -> Result<Tensor> {
    let width = x.dim(1)? / 2;
    activated(&x.narrow(1, 0, width)?.contiguous()?, activation)? * x.narrow(1, width, width)?
}

vectorized! {
    /// One row's gradients of gate and up. SiLU is `x σ(x)`, its derivative `σ (1 + x (1 − σ))`.
    fn silu_backward<'a>(out: &'a mut [f32], row: &'a [f32], gradient: &'a [f32]) {
        let width = gradient.len();
        let ((gate, up), (for_gate, for_up)) = (row.split_at(width), out.split_at_mut(width));
        for i in 0..width {
            let sigmoid = 1.0 / (1.0 + exp(-gate[i]));
            for_gate[i] = gradient[i] * up[i] * sigmoid * gate[i].mul_add(1.0 - sigmoid, 1.0);
            for_up[i] = gradient[i] * gate[i] * sigmoid;
        }
    }
}

vectorized! {
    /// The same of GELU by the hyperbolic tangent, `x σ(u)` with u = 2 √(2/π) (x + 0.044715 x³).
    fn gelu_tanh_backward<'a>(out: &'a mut [f32], row: &'a [f32], gradient: &'a [f32]) {
        const TWICE_ROOT: f32 = 1.595_769_2;
        const CUBIC: f32 = 0.044_715;
        let width = gradient.len();
        let ((gate, up), (for_gate, for_up)) = (row.split_at(width), out.split_at_mut(width));
        for i in 0..width {
            let (x, square) = (gate[i], gate[i] * gate[i]);
            let sigmoid = 1.0 / (1.0 + exp(-TWICE_ROOT * (x * square).mul_add(CUBIC, x)));
            let slope = TWICE_ROOT * square.mul_add(3.0 * CUBIC, 1.0);
            for_gate[i] = gradient[i] * up[i] * sigmoid * (x * slope).mul_add(1.0 - sigmoid, 1.0);
            for_up[i] = gradient[i] * x * sigmoid;
        }
    }
}

struct Gate(Activation);

impl CustomOp1 for Gate {
    fn name(&self) -> &'static str {
        "gate"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, wide) = layout.shape().dims2()?;
        let (x, width) = (numbers(x, layout)?, wide / 2);
        let mut out = vec![0.0; rows * width];
        let tasks = out.par_chunks_mut(ROWS_PER_TASK * width);
        tasks
            .zip(x.par_chunks(ROWS_PER_TASK * wide))
            .for_each(|(out, x)| {
                for (out, row) in out.chunks_exact_mut(width).zip(x.chunks_exact(wide)) {
                    let (gate, up) = row.split_at(width);
                    out.copy_from_slice(gate);
                    decoder::activate(out, self.0);
                    decoder::multiplied(out, up);
                }
            });
        Ok(result(out, (rows, width)))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let derive = match self.0 {
            Activation::Silu => silu_backward,
            Activation::GeluTanh => gelu_tanh_backward,
            Activation::Gelu | Activation::Relu => {
                return Err(Error::BackwardNotSupported { op: "gate" });
            }
        };
        let (rows, wide) = x.dims2()?;
        let derived = |[x, gradient]: [&[f32]; 2]| {
            let mut out = vec![0.0; rows * wide];
            let outs = out.par_chunks_mut(wide).with_min_len(ROWS_PER_TASK);
            outs.zip(x.par_chunks(wide))
                .zip(gradient.par_chunks(wide / 2))
                .for_each(|((out, row), gradient)| derive(out, row, gradient));
            out
        };
        computed([x, gradient], (rows, wide), derived).map(Some)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ops::agreement::{agree, random};

    #[test]
    fn kernels_and_compositions_agree() {
        let x = [(random((70, 38), "x") * 3.0).unwrap()];
        for activation in [
            Activation::Silu,
            Activation::GeluTanh,
            Activation::Gelu,
            Activation::Relu,
        ] {
            agree(
                &x,
                |x| gated(&x[0], activation),
                |x| composed(&x[0], activation),
                1e-5,
            );
            // The error function is the one that candle approximates otherwise.
            let tolerance = if activation == Activation::Gelu {
                1e-5
            } else {
                2e-6
            };
            let numbers = |x: Result<Tensor>| crate::params::to_vec(&x.unwrap()).unwrap();
            let both = numbers(gated(&x[0], activation)).into_iter();
            for (a, b) in both.zip(numbers(composed(&x[0], activation))) {
                assert!(
                    (a - b).abs() < tolerance * b.abs().max(1.0),
                    "{activation:?}: {a} and {b}"
                );
            }
        }
    }
}
