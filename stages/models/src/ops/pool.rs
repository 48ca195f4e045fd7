//! From the states of a text's tokens to one vector, and vectors to length 1.

use candle_core::{CpuStorage, CustomOp1, D, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{
    Segments,
    storage::{computed, numbers, result},
};

/// The mean state of each text: `(tokens, width)` to `(texts, width)`.
pub fn pool_mean(x: &Tensor, segments: &Segments) -> Result<Tensor> {
    if x.device().is_cpu() {
        return x.contiguous()?.apply_op1(MeanPool(segments.clone()));
    }
    composed_mean(x, segments)
}

/// The same of differentiable operations: for devices without a kernel here.
fn composed_mean(x: &Tensor, segments: &Segments) -> Result<Tensor> {
    let (texts, tokens) = (segments.lengths().len(), segments.tokens());
    let mut shares = vec![0.0_f32; texts * tokens];
    for (text, (start, length)) in segments.starts().zip(segments.lengths()).enumerate() {
        let row = text * tokens + start;
        shares[row..row + length].fill(1.0 / *length as f32);
    }
    Tensor::from_vec(shares, (texts, tokens), x.device())?.matmul(x)
}

/// The state of each text's first token (`[CLS]`): `(tokens, width)` to `(texts, width)`.
pub fn pool_first(x: &Tensor, segments: &Segments) -> Result<Tensor> {
    let starts: Vec<u32> = segments.starts().map(|start| start as u32).collect();
    let texts = starts.len();
    x.index_select(&Tensor::from_vec(starts, texts, x.device())?, 0)
}

/// Rows to Euclidean length 1; a row shorter than 1e-12 is divided by that instead, as PyTorch does.
pub fn normalize(x: &Tensor) -> Result<Tensor> {
    let length = x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
    x.broadcast_div(&length.maximum(1e-12)?)
}

struct MeanPool(Segments);

impl CustomOp1 for MeanPool {
    fn name(&self) -> &'static str {
        "mean-pool"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let width = layout.shape().dims2()?.1;
        let texts = self.0.split(numbers(x, layout)?, width);
        let mut out = vec![0.0; texts.len() * width];
        out.par_chunks_mut(width).zip(texts).for_each(|(mean, text)| {
            for row in text.chunks_exact(width) {
                mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += x);
            }
            let count = (text.len() / width) as f32;
            for x in mean {
                *x /= count;
            }
        });
        let shape = (out.len() / width, width);
        Ok(result(out, shape))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        // Each text's row, divided by its length, to all of its tokens.
        let (tokens, width) = (self.0.tokens(), gradient.dim(1)?);
        let spread = |[gradient]: [&[f32]; 1]| {
            let mut out = vec![0.0; tokens * width];
            let texts = self.0.split_mut(&mut out, width).into_par_iter();
            texts
                .zip(gradient.par_chunks(width))
                .for_each(|(text, gradient)| {
                    let share = 1.0 / (text.len() / width) as f32;
                    for row in text.chunks_exact_mut(width) {
                        row.iter_mut().zip(gradient).for_each(|(out, g)| *out = g * share);
                    }
                });
            out
        };
        computed([gradient], (tokens, width), spread).map(Some)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ops::agreement::{agree, random};

    #[test]
    fn the_mean_and_the_composition_agree() {
        let segments = Segments::new([4, 1, 7]);
        let composed = |x: &[Tensor]| {
            let means = segments.starts().zip(segments.lengths());
            let means = means.map(|(start, length)| x[0].narrow(0, start, *length)?.mean_keepdim(0));
            Tensor::cat(&means.collect::<Result<Vec<_>>>()?, 0)
        };
        let kernel = |x: &[Tensor]| pool_mean(&x[0], &segments);
        let device = |x: &[Tensor]| composed_mean(&x[0], &segments);
        agree(&[random((12, 9), "x")], kernel, composed, 1e-6);
        agree(&[random((12, 9), "x")], kernel, device, 1e-6);
    }

    #[test]
    fn the_first_tokens_are_found() {
        let x = random((12, 2), "x");
        let first = pool_first(&x, &Segments::new([4, 1, 7]))
            .unwrap()
            .to_vec2::<f32>()
            .unwrap();
        let rows = x.to_vec2::<f32>().unwrap();
        assert_eq!(first, [rows[0].clone(), rows[4].clone(), rows[5].clone()]);
    }

    #[test]
    fn normalised_rows_have_length_one_and_zeros_stay() {
        let x = Tensor::new(&[[3.0_f32, 4.0], [0.0, 0.0]], &candle_core::Device::Cpu).unwrap();
        assert_eq!(
            normalize(&x).unwrap().to_vec2::<f32>().unwrap(),
            [[0.6, 0.8], [0.0, 0.0]]
        );
    }
}
