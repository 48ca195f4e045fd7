//! Linear layers and products of two tensors, with gradients.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{
    math::column_sums,
    product::{Matrix, Packed, multiply, product},
    storage::{computed, numbers, result},
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

/// `a bᵀ`: `(…, m, k)` and `(…, n, k)` to `(…, m, n)`, matrix by matrix.
pub fn product_nt(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if a.device().is_cpu() {
        a.contiguous()?.apply_op2(&b.contiguous()?, Product::NT)
    } else {
        // A transposed matrix is multiplied where it lies; of a batch candle wants a copy.
        let transposed = b.t()?;
        match b.rank() {
            2 => a.matmul(&transposed),
            _ => a.matmul(&transposed.contiguous()?),
        }
    }
}

/// `a b`: `(…, m, k)` and `(…, k, n)` to `(…, m, n)`, matrix by matrix.
pub fn product_nn(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if a.device().is_cpu() {
        a.contiguous()?.apply_op2(&b.contiguous()?, Product::NN)
    } else {
        a.matmul(b)
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
        let for_bias = bias.track_op().then(|| sum_of_rows(&gradient));
        Ok((for_x.transpose()?, for_weight.transpose()?, for_bias.transpose()?))
    }
}

/// Products of matrices one by one, either operand transposed.
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

/// Matrices that stand one after the other.
struct Stacked<'a> {
    numbers: &'a [f32],
    /// All dimensions but the last two.
    batch: &'a [usize],
    rows: usize,
    cols: usize,
    transpose: bool,
}

impl<'a> Stacked<'a> {
    fn new(storage: &'a CpuStorage, layout: &'a Layout, transpose: bool) -> Result<Self> {
        let [batch @ .., rows, cols] = layout.dims() else {
            bail!("a product of a tensor of shape {:?}", layout.shape());
        };
        Ok(Self {
            numbers: numbers(storage, layout)?,
            batch,
            rows: *rows,
            cols: *cols,
            transpose,
        })
    }

    /// Rows and columns as the product takes them.
    fn dims(&self) -> (usize, usize) {
        match self.transpose {
            true => (self.cols, self.rows),
            false => (self.rows, self.cols),
        }
    }

    fn matrix(&self, at: usize) -> Matrix<'a> {
        let size = self.rows * self.cols;
        let matrix = Matrix::new(&self.numbers[at * size..][..size], self.rows, self.cols);
        if self.transpose {
            matrix.transposed()
        } else {
            matrix
        }
    }
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
        let a = Stacked::new(a, a_layout, self.transpose_a)?;
        let b = Stacked::new(b, b_layout, self.transpose_b)?;
        let ((rows, depth), (other, cols)) = (a.dims(), b.dims());
        if depth != other || a.batch != b.batch {
            bail!(
                "a product of {:?} {rows} × {depth} and {:?} {other} × {cols} matrices",
                a.batch,
                b.batch
            );
        }
        let out = match a.batch.iter().product() {
            1 => product(a.matrix(0), &Packed::new(b.matrix(0)), None),
            many => {
                let mut out = vec![0.0; many * rows * cols];
                let outs = out.par_chunks_mut((rows * cols).max(1)).enumerate();
                outs.for_each(|(at, out)| {
                    multiply(a.matrix(at), &Packed::new(b.matrix(at)), out, cols, false)
                });
                out
            }
        };
        Ok(result(out, [a.batch, &[rows, cols]].concat()))
    }

    /// Of the two products that tensors are built from.
    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        if self.transpose_a {
            return Err(candle_core::Error::BackwardNotSupported { op: "product" });
        }
        let gradient = gradient.contiguous()?;
        // Of a frozen weight nobody asks for the gradient, which costs as much as the answer.
        let for_a = a.track_op().then(|| match self.transpose_b {
            true => gradient.apply_op2_no_bwd(b, &Self::NN),
            false => gradient.apply_op2_no_bwd(b, &Self::NT),
        });
        let for_b = b.track_op().then(|| match self.transpose_b {
            true => gradient.apply_op2_no_bwd(a, &Self::TN),
            false => a.apply_op2_no_bwd(&gradient, &Self::TN),
        });
        Ok((for_a.transpose()?, for_b.transpose()?))
    }
}

/// The sum of the rows of a matrix.
fn sum_of_rows(x: &Tensor) -> Result<Tensor> {
    let (rows, cols) = x.dims2()?;
    computed([x], cols, |[x]| {
        column_sums(rows, cols, |row, sums| {
            let row = &x[row * cols..][..cols];
            sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        })
    })
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

    #[test]
    fn products_matrix_by_matrix_and_candle_agree() {
        let transposed = |x: &Tensor| x.t()?.contiguous();
        let inputs = [random((3, 30, 37), "a"), random((3, 50, 37), "b")];
        let composed = |x: &[Tensor]| x[0].matmul(&transposed(&x[1])?);
        agree(&inputs, |x| product_nt(&x[0], &x[1]), composed, 1e-5);
        let inputs = [random((2, 3, 30, 37), "a"), random((2, 3, 37, 50), "b")];
        agree(
            &inputs,
            |x| product_nn(&x[0], &x[1]),
            |x| x[0].matmul(&x[1]),
            1e-5,
        );
    }
}
