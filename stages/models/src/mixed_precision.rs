//! Mixed precision (Micikevicius et al., 2018, arXiv:1710.03740), as PyTorch's autocast: products of bf16 numbers while parameters,
//! sums, norms, losses and the optimiser are f32. bf16 has the range of f32, so losses need no scaling.

use candle_core::{DType, Result, Tensor};

use crate::{
    Precision,
    ops::{linear, product_nt, rounded_to_bf16},
};

impl Precision {
    /// Numbers as a product takes or gives them.
    pub(crate) fn rounded(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::F32 => Ok(x.clone()),
            Self::Bf16 => rounded_to_bf16(x),
        }
    }

    /// `x Wᵀ + b`: `(rows, in)`, `(out, in)` and `(out)` to `(rows, out)`.
    pub(crate) fn linear(self, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        if self == Self::Bf16 && !x.device().is_cpu() {
            let cast = |x: &Tensor| x.to_dtype(DType::BF16);
            let product = cast(x)?.matmul(&cast(weight)?.t()?)?;
            return match bias {
                Some(bias) => product.broadcast_add(&cast(bias)?)?,
                None => product,
            }
            .to_dtype(DType::F32);
        }
        let (x, weight) = (self.rounded(x)?, self.rounded(weight)?);
        self.rounded(&match bias {
            Some(bias) => linear(&x, &weight, &self.rounded(bias)?)?,
            None => product_nt(&x, &weight)?,
        })
    }
}
