//! Rounding of f32 to the numbers that bf16 has: 8 significant bits, ties to even.

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{
    math::{ELEMENTS_PER_TASK, vectorized},
    storage::{numbers, result},
};

/// `x` as bf16 has it, in f32. Its gradient is rounded likewise, as by a cast to bf16 and back.
pub fn rounded_to_bf16(x: &Tensor) -> Result<Tensor> {
    match x.device().is_cpu() {
        true => x.contiguous()?.apply_op1(Rounding),
        false => x.to_dtype(DType::BF16)?.to_dtype(DType::F32),
    }
}

vectorized! {
    fn round<'a>(out: &'a mut [f32], x: &'a [f32]) {
        for (out, x) in out.iter_mut().zip(x) {
            let bits = x.to_bits();
            // Half of the last bit kept, or just below where that bit is even already.
            let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) & 0xffff_0000;
            *out = if x.is_nan() { *x } else { f32::from_bits(nearest) };
        }
    }
}

struct Rounding;

impl CustomOp1 for Rounding {
    fn name(&self) -> &'static str {
        "rounded-to-bf16"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = numbers(x, layout)?;
        let mut out = vec![0.0; x.len()];
        out.par_chunks_mut(ELEMENTS_PER_TASK)
            .zip(x.par_chunks(ELEMENTS_PER_TASK))
            .for_each(|(out, x)| round(out, x));
        Ok(result(out, layout.shape()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        gradient.contiguous()?.apply_op1_no_bwd(self).map(Some)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ops::agreement::random;

    #[test]
    fn numbers_are_those_of_half() {
        let ties = [0x3f80_8000, 0x3f81_8000].map(f32::from_bits);
        let edges = [-0.0, f32::MAX, f32::INFINITY, 1e-45];
        let x = crate::params::to_vec(&random(1000, "x")).unwrap();
        let x = [x.as_slice(), &ties, &edges].concat();
        let mut found = vec![0.0; x.len()];
        round(&mut found, &x);
        for (found, x) in found.iter().zip(x) {
            assert_eq!(found.to_bits(), half::bf16::from_f32(x).to_f32().to_bits(), "{x}");
        }
        round(&mut found[..1], &[f32::NAN]);
        assert!(found[0].is_nan());
    }
}
