//! Linear layers and products of two tensors, with gradients.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

use super::{
    math::column_sums,
    product::{Matrix, Packed, product},
    storage::{numbers, result},
};

/// `x Wᵀ + b`: `(rows, in)`, `(out, in)` and `(out)` to `(rows, out)`.
pub fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() {
        let weight = weight.contiguous()?;
        x.contiguous()?.apply_op3(&weight, &bias.contiguous()?, Linear)
    } else {
        x.matmul(&weight.t()?)?.broadcast_add(bias)
    }
}

/// `a bᵀ`: `(m, k)` and `(n, k)` to `(m, n)`.
pub fn product_nt(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if a.device().is_cpu() {
        a.contiguous()?.apply_op2(&b.contiguous()?, Product::NT)
    } else {
        a.matmul(&b.t()?)
    }
}

struct Linear;

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
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
        let ((rows, depth), (cols, _)) = (x_layout.shape().dims2()?, weight_layout.shape().dims2()?);
        let bias = numbers(bias, bias_layout)?;
        let weight = Matrix::new(numbers(weight, weight_layout)?, cols, depth);
        let x = Matrix::new(numbers(x, x_layout)?, rows, depth);
        let out = product(x, &Packed::new(weight.transposed()), Some(bias));
        Ok(result(out, (rows, cols)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let for_x = x
            .track_op()
            .then(|| gradient.apply_op2_no_bwd(weight, &Product::NN));
        let for_weight = weight
            .track_op()
            .then(|| gradient.apply_op2_no_bwd(x, &Product::TN));
        let for_bias = bias.track_op().then(|| gradient.apply_op1_no_bwd(&ColumnSums));
        Ok((for_x.transpose()?, for_weight.transpose()?, for_bias.transpose()?))
    }
}

/// A product of two matrices, either of them transposed.
struct Product {
    transpose_a: bool,
    transpose_b: bool,
}

impl Product {
    const NN: Self = Self::of(false, false);
    const NT: Self = Self::of(false, true);
    const TN: Self = Self::of(true, false);

    const fn of(transpose_a: bool, transpose_b: bool) -> Self {
        Self {
            transpose_a,
            transpose_b,
        }
    }
}

fn operand<'a>(
    storage: &'a CpuStorage,
    layout: &Layout,
    transpose: bool,
) -> Result<(Matrix<'a>, (usize, usize))> {
    let (rows, cols) = layout.shape().dims2()?;
    let matrix = Matrix::new(numbers(storage, layout)?, rows, cols);
    Ok(if transpose {
        (matrix.transposed(), (cols, rows))
    } else {
        (matrix, (rows, cols))
    })
}

impl CustomOp2 for Product {
    fn name(&self) -> &'static str {
        "product"
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (a, (rows, depth)) = operand(a, a_layout, self.transpose_a)?;
        let (b, (other, cols)) = operand(b, b_layout, self.transpose_b)?;
        if depth != other {
            candle_core::bail!("a product of {rows} × {depth} and {other} × {cols} matrices");
        }
        Ok(result(product(a, &Packed::new(b), None), (rows, cols)))
    }

    /// Of `a bᵀ`, the one product that tensors are built from.
    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        if self.transpose_a || !self.transpose_b {
            return Err(candle_core::Error::BackwardNotSupported { op: "product" });
        }
        let gradient = gradient.contiguous()?;
        // Of a frozen weight nobody asks for the gradient, which costs as much as the answer.
        let for_a = a.track_op().then(|| gradient.apply_op2_no_bwd(b, &Self::NN));
        let for_b = b.track_op().then(|| gradient.apply_op2_no_bwd(a, &Self::TN));
        Ok((for_a.transpose()?, for_b.transpose()?))
    }
}

/// Sums over the rows of a matrix.
struct ColumnSums;

impl CustomOp1 for ColumnSums {
    fn name(&self) -> &'static str {
        "column-sums"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, cols) = layout.shape().dims2()?;
        let x = numbers(x, layout)?;
        let add = |row: usize, sums: &mut [f32]| {
            sums.iter_mut()
                .zip(&x[row * cols..])
                .for_each(|(sum, x)| *sum += x);
        };
        Ok(result(column_sums(rows, cols, add), cols))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::agreement::{agree, random};

    #[test]
    fn linear_and_the_composition_agree() {
        let inputs = [
            random((300, 37), "x"),
            random((50, 37), "weight"),
            random(50, "bias"),
        ];
        let composed = |x: &[Tensor]| x[0].matmul(&x[1].t()?)?.broadcast_add(&x[2]);
        agree(&inputs, |x| linear(&x[0], &x[1], &x[2]), composed, 3e-5);
    }

    #[test]
    fn the_product_and_candle_agree() {
        let inputs = [random((30, 37), "a"), random((50, 37), "b")];
        agree(
            &inputs,
            |x| product_nt(&x[0], &x[1]),
            |x| x[0].matmul(&x[1].t()?),
            1e-5,
        );
    }
}
