//! Linear layers with LoRA adapters beside their frozen weights (Hu et al., 2022, arXiv:2106.09685): one operation for all layers that read the same
//! rows, so that nothing but the answers is written out.

use candle_core::{CpuStorage, CustomOp3, Error, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{
    product::{BLOCK_ROWS, Matrix, Packed, multiply, multiply_shared, product},
    storage::{numbers, result, with_all, with_numbers},
};

/// `x Wᵀ + scale · (x Aᵀ) Bᵀ` of every layer, side by side, on the CPU: `(rows, in)` to `(rows, Σ out)`.
///
/// `weights` are `(out, in)` and get no gradient; of each layer A is `(rank, in)`, B `(out, rank)`.
pub fn adapted_linear(
    x: &Tensor,
    weights: Vec<Tensor>,
    adapters: &[[Tensor; 2]],
    scale: f64,
) -> Result<Tensor> {
    let stacked = |at: usize| {
        Tensor::cat(
            &adapters.iter().map(|adapter| &adapter[at]).collect::<Vec<_>>(),
            0,
        )
    };
    let operation = AdaptedLinear {
        weights,
        scale: scale as f32,
    };
    x.contiguous()?.apply_op3(&stacked(0)?, &stacked(1)?, operation)
}

struct AdaptedLinear {
    weights: Vec<Tensor>,
    scale: f32,
}

/// A layer's place among the others.
struct Place {
    /// Its first column.
    first: usize,
    cols: usize,
}

/// The matrices of a call.
struct Call<'a> {
    x: &'a [f32],
    a: &'a [f32],
    b: &'a [f32],
    /// Width of a row of x.
    depth: usize,
    /// Of one adapter.
    rank: usize,
    /// Rows of all A.
    ranks: usize,
    places: Vec<Place>,
}

impl Call<'_> {
    fn rows(&self) -> usize {
        self.x.len() / self.depth
    }

    fn total(&self) -> usize {
        self.places.iter().map(|place| place.cols).sum()
    }

    /// The layers' parts of B, `(out, rank)`.
    fn each_b(&self) -> impl Iterator<Item = Matrix<'_>> {
        let part = |place: &Place| Matrix::new(&self.b[place.first * self.rank..], place.cols, self.rank);
        self.places.iter().map(part)
    }

    /// `scale · x Aᵀ`, `(rows, ranks)`.
    fn low(&self, scale: f32) -> Vec<f32> {
        let x = Matrix::new(self.x, self.rows(), self.depth);
        let a = Packed::new(Matrix::new(self.a, self.ranks, self.depth).transposed());
        let mut low = product(x, &a, None);
        low.iter_mut().for_each(|number| *number *= scale);
        low
    }
}

impl AdaptedLinear {
    fn call<'a>(&self, [x, a, b]: [&'a [f32]; 3], depth: usize) -> Result<Call<'a>> {
        let ranks = a.len() / depth;
        let mut places: Vec<Place> = Vec::new();
        for weight in &self.weights {
            let first = places.last().map_or(0, |last| last.first + last.cols);
            let cols = weight.dim(0)?;
            places.push(Place { first, cols });
        }
        Ok(Call {
            x,
            a,
            b,
            depth,
            rank: ranks / self.weights.len(),
            ranks,
            places,
        })
    }

    fn packed(&self, pack: impl Fn(Matrix<'_>) -> Packed) -> Result<Vec<Packed>> {
        let one = |weight: &Tensor| {
            let (out, depth) = weight.dims2()?;
            with_numbers(weight, |numbers| pack(Matrix::new(numbers, out, depth)))
        };
        self.weights.iter().map(one).collect()
    }

    fn forward(&self, call: &Call<'_>) -> Result<Vec<f32>> {
        let (rows, total, low) = (call.rows(), call.total(), call.low(self.scale));
        let weights = self.packed(|weight| Packed::new(weight.transposed()))?;
        let bs: Vec<Packed> = call.each_b().map(|b| Packed::new(b.transposed())).collect();
        let mut out = vec![0.0; rows * total];
        let blocks = out.par_chunks_mut(BLOCK_ROWS * total).enumerate();
        blocks.for_each(|(block, out)| {
            let (first, rows) = (block * BLOCK_ROWS, out.len() / total);
            let x = Matrix::new(&call.x[first * call.depth..], rows, call.depth);
            for (layer, place) in call.places.iter().enumerate() {
                let low = &low[first * call.ranks + layer * call.rank..];
                let low = Matrix::window(low, rows, call.rank, call.ranks);
                let out = &mut out[place.first..];
                multiply(x, &weights[layer], out, total, false);
                multiply(low, &bs[layer], out, total, true);
            }
        });
        Ok(out)
    }

    /// `scale · G B` of all layers, `(rows, ranks)`.
    fn low_gradient(&self, call: &Call<'_>, gradient: &[f32]) -> Vec<f32> {
        let (rows, total) = (call.rows(), call.total());
        let bs: Vec<Packed> = call.each_b().map(Packed::new).collect();
        let mut low = vec![0.0; rows * call.ranks];
        let blocks = low.par_chunks_mut(BLOCK_ROWS * call.ranks).enumerate();
        blocks.for_each(|(block, low)| {
            let rows = low.len() / call.ranks;
            for (layer, place) in call.places.iter().enumerate() {
                let gradient = &gradient[block * BLOCK_ROWS * total + place.first..];
                let gradient = Matrix::window(gradient, rows, place.cols, total);
                multiply(
                    gradient,
                    &bs[layer],
                    &mut low[layer * call.rank..],
                    call.ranks,
                    false,
                );
            }
            low.iter_mut().for_each(|number| *number *= self.scale);
        });
        low
    }

    /// The gradient of x: `Σ G W + low A`.
    fn input_gradient(&self, call: &Call<'_>, gradient: &[f32], low: &[f32]) -> Result<Vec<f32>> {
        let (rows, total, depth) = (call.rows(), call.total(), call.depth);
        let weights = self.packed(Packed::new)?;
        let a = Packed::new(Matrix::new(call.a, call.ranks, depth));
        let mut out = vec![0.0; rows * depth];
        let blocks = out.par_chunks_mut(BLOCK_ROWS * depth).enumerate();
        blocks.for_each(|(block, out)| {
            let (first, rows) = (block * BLOCK_ROWS, out.len() / depth);
            for (layer, place) in call.places.iter().enumerate() {
                let gradient =
                    Matrix::window(&gradient[first * total + place.first..], rows, place.cols, total);
                multiply(gradient, &weights[layer], out, depth, layer > 0);
            }
            let low = Matrix::new(&low[first * call.ranks..], rows, call.ranks);
            multiply(low, &a, out, depth, true);
        });
        Ok(out)
    }

    /// The gradients of A and B, stacked as they are.
    fn adapter_gradients(&self, call: &Call<'_>, gradient: &[f32], low: &[f32]) -> [Vec<f32>; 2] {
        let (rows, total) = (call.rows(), call.total());
        let x = Packed::new(Matrix::new(call.x, rows, call.depth));
        let mut for_a = vec![0.0; call.ranks * call.depth];
        let low = Matrix::new(low, rows, call.ranks).transposed();
        multiply_shared(low, &x, &mut for_a, call.depth, false);
        let answers = call.low(self.scale);
        let for_b = call.places.iter().enumerate().map(|(layer, place)| {
            let gradient = Matrix::window(&gradient[place.first..], rows, place.cols, total).transposed();
            let answers = Matrix::window(&answers[layer * call.rank..], rows, call.rank, call.ranks);
            product(gradient, &Packed::new(answers), None)
        });
        [for_a, for_b.collect::<Vec<_>>().concat()]
    }
}

impl CustomOp3 for AdaptedLinear {
    fn name(&self) -> &'static str {
        "adapted-linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (rows, depth) = x_layout.shape().dims2()?;
        let operands = [
            numbers(x, x_layout)?,
            numbers(a, a_layout)?,
            numbers(b, b_layout)?,
        ];
        let call = self.call(operands, depth)?;
        Ok(result(self.forward(&call)?, (rows, call.total())))
    }

    fn bwd(
        &self,
        x: &Tensor,
        a: &Tensor,
        b: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (depth, device, wanted) = (x.dim(1)?, x.device(), x.track_op());
        let backward = |[x, a, b, gradient]: [&[f32]; 4]| {
            let call = self.call([x, a, b], depth)?;
            let low = self.low_gradient(&call, gradient);
            // Of embeddings nobody asks for the gradient, which costs as much as the answer.
            let for_x = wanted.then(|| self.input_gradient(&call, gradient, &low));
            Ok::<_, Error>((for_x.transpose()?, self.adapter_gradients(&call, gradient, &low)))
        };
        let (for_x, [for_a, for_b]) = with_all([x, a, b, gradient], backward)??;
        let tensor = |numbers: Vec<f32>, like: &Tensor| Tensor::from_vec(numbers, like.shape(), device);
        let for_x = for_x.map(|numbers| tensor(numbers, x));
        Ok((
            for_x.transpose()?,
            Some(tensor(for_a, a)?),
            Some(tensor(for_b, b)?),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::agreement::{agree, random};

    #[test]
    fn the_operation_and_its_composition_agree() {
        let weights = [random((50, 37), "one"), random((23, 37), "other")];
        let names = ["x", "a", "b", "c", "d"];
        let shapes = [(210, 37), (4, 37), (50, 4), (4, 37), (23, 4)];
        let inputs: Vec<Tensor> = names
            .iter()
            .zip(shapes)
            .map(|(name, shape)| random(shape, name))
            .collect();
        let kernel = |x: &[Tensor]| {
            let adapters = [[x[1].clone(), x[2].clone()], [x[3].clone(), x[4].clone()]];
            adapted_linear(&x[0], weights.to_vec(), &adapters, 0.5)
        };
        let composed = |x: &[Tensor]| {
            let one = |layer: usize| {
                let [a, b] = [&x[1 + 2 * layer], &x[2 + 2 * layer]];
                x[0].matmul(&weights[layer].t()?)? + (x[0].matmul(&a.t()?)?.matmul(&b.t()?)? * 0.5)?
            };
            Tensor::cat(&[one(0)?, one(1)?], 1)
        };
        agree(&inputs, kernel, composed, 2e-5);
    }
}
