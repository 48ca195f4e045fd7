//! Scaled dot-product attention of many heads (Vaswani et al., 2017) within each text of a ragged batch.

use candle_core::{CpuStorage, CustomOp1, D, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{
    Dropout, Segments,
    math::{exp, maximum, sum_of, vectorized},
    product::{Matrix, Packed, multiply},
    storage::{computed, numbers, result},
};

/// `softmax(Q Kᵀ / √d) V` per text and head.
///
/// `qkv` is `(tokens, 3 · hidden)`: queries, keys and values side by side, each `heads` heads wide. The result is
/// `(tokens, hidden)`. Every token attends to all tokens of its text. `dropout` falls on the weights. The backward pass
/// computes the weights again instead of keeping them.
pub fn attention(
    qkv: &Tensor,
    segments: &Segments,
    heads: usize,
    dropout: Option<Dropout>,
) -> Result<Tensor> {
    let operation = Attention {
        segments: segments.clone(),
        heads,
        dropout,
    };
    if qkv.device().is_cpu() {
        qkv.contiguous()?.apply_op1(operation)
    } else {
        operation.composed(qkv)
    }
}

/// A score that is below every other: of what is not seen.
pub(super) const HIDDEN: f32 = -1e30;

#[derive(Clone)]
struct Attention {
    segments: Segments,
    heads: usize,
    dropout: Option<Dropout>,
}

vectorized! {
    /// `scores` to weights: the softmax of each row of `length`, of its numbers times `scale`.
    fn softmax_rows<'a>(scores: &'a mut [f32], length: usize, scale: f32) {
        for row in scores.chunks_exact_mut(length) {
            let most = maximum(row);
            for x in &mut *row {
                *x = exp((*x - most) * scale);
            }
            let inverse = 1.0 / sum_of(row, row, |x, _| x);
            for x in row {
                *x *= inverse;
            }
        }
    }
}

vectorized! {
    /// Gradients of the weights to gradients of the scores: w (g − Σ g w) scale.
    fn softmax_backward<'a>(gradients: &'a mut [f32], weights: &'a [f32], length: usize, scale: f32) {
        let rows = gradients.chunks_exact_mut(length).zip(weights.chunks_exact(length));
        for (gradients, weights) in rows {
            let mean = sum_of(gradients, weights, |g, w| g * w);
            for (gradient, weight) in gradients.iter_mut().zip(weights) {
                *gradient = weight * (*gradient - mean) * scale;
            }
        }
    }
}

/// One head of one text: windows into its rows of queries, keys and values.
struct Head<'a> {
    qkv: &'a [f32],
    length: usize,
    width: usize,
    hidden: usize,
    first: usize,
}

impl<'a> Head<'a> {
    /// Queries (0), keys (1) or values (2), `(length, width)`.
    fn part(&self, part: usize) -> Matrix<'a> {
        let from = part * self.hidden + self.first;
        Matrix::window(&self.qkv[from..], self.length, self.width, 3 * self.hidden)
    }

    fn scale(&self) -> f32 {
        1.0 / (self.width as f32).sqrt()
    }

    /// The attention weights, `(length, length)`.
    fn weights(&self) -> Vec<f32> {
        let mut scores = vec![0.0; self.length * self.length];
        let keys = Packed::new(self.part(1).transposed());
        multiply(self.part(0), &keys, &mut scores, self.length, false);
        softmax_rows(&mut scores, self.length, self.scale());
        scores
    }

    fn square<'b>(&self, numbers: &'b [f32]) -> Matrix<'b> {
        Matrix::new(numbers, self.length, self.length)
    }
}

/// Drops weights in place, the first of which draws number `first` of the stream.
pub(super) fn drop_weights(weights: &mut [f32], dropout: Option<Dropout>, first: usize) {
    if let Some(mask) = dropout {
        for (at, weight) in weights.iter_mut().enumerate() {
            *weight *= mask.factor(first + at);
        }
    }
}

impl Attention {
    /// The heads of text `text`, each with its own dropout stream.
    fn heads<'a>(
        &'a self,
        text: usize,
        qkv: &'a [f32],
        hidden: usize,
    ) -> impl Iterator<Item = (Head<'a>, Option<Dropout>)> {
        let width = hidden / self.heads;
        (0..self.heads).map(move |head| {
            let dropout = self.dropout.map(|mask| mask.part(text * self.heads + head));
            let head = Head {
                qkv,
                length: qkv.len() / (3 * hidden),
                width,
                hidden,
                first: head * width,
            };
            (head, dropout)
        })
    }

    fn forward_text(&self, text: usize, qkv: &[f32], out: &mut [f32], hidden: usize) {
        for (head, dropout) in self.heads(text, qkv, hidden) {
            let mut weights = head.weights();
            drop_weights(&mut weights, dropout, 0);
            let values = Packed::new(head.part(2));
            multiply(
                head.square(&weights),
                &values,
                &mut out[head.first..],
                hidden,
                false,
            );
        }
    }

    fn backward_text(&self, text: usize, qkv: &[f32], gradient: &[f32], out: &mut [f32], hidden: usize) {
        for (head, dropout) in self.heads(text, qkv, hidden) {
            let weights = head.weights();
            let mut dropped = weights.clone();
            drop_weights(&mut dropped, dropout, 0);
            let gradient = Matrix::window(&gradient[head.first..], head.length, head.width, hidden);
            let mut write = |part: usize, a: Matrix<'_>, b: Matrix<'_>| {
                let out = &mut out[part * hidden + head.first..];
                multiply(a, &Packed::new(b), out, 3 * hidden, false);
            };
            write(2, head.square(&dropped).transposed(), gradient);
            let mut scores = vec![0.0; weights.len()];
            let values = Packed::new(head.part(2).transposed());
            multiply(gradient, &values, &mut scores, head.length, false);
            drop_weights(&mut scores, dropout, 0);
            softmax_backward(&mut scores, &weights, head.length, head.scale());
            write(0, head.square(&scores), head.part(1));
            write(1, head.square(&scores).transposed(), head.part(0));
        }
    }

    /// The same of differentiable operations, on a padded copy: for devices without a kernel here.
    fn composed(&self, qkv: &Tensor) -> Result<Tensor> {
        let (tokens, wide) = qkv.dims2()?;
        let (texts, longest) = (self.segments.lengths().len(), self.segments.longest());
        let (hidden, device) = (wide / 3, qkv.device());
        let padded = Tensor::cat(&[qkv, &Tensor::zeros((1, wide), qkv.dtype(), device)?], 0)?
            .index_select(&Tensor::new(self.padding(tokens as u32), device)?, 0)?
            .reshape((texts, longest, 3, self.heads, hidden / self.heads))?
            .permute((2, 0, 3, 1, 4))?
            .contiguous()?;
        let (queries, keys, values) = (padded.get(0)?, padded.get(1)?, padded.get(2)?);
        let scale = 1.0 / ((hidden / self.heads) as f64).sqrt();
        let scores = (queries.matmul(&keys.t()?.contiguous()?)? * scale)?;
        let scores = scores.broadcast_add(&self.mask(device)?)?;
        let weights = candle_nn::ops::softmax(&scores, D::Minus1)?;
        let weights = match self.factors(device)? {
            Some(factors) => (weights * factors)?,
            None => weights,
        };
        let mixed = weights.matmul(&values)?.transpose(1, 2)?.contiguous()?;
        let rows = self.padding(u32::MAX).into_iter().zip(0..);
        let kept: Vec<u32> = rows
            .filter(|(row, _)| *row != u32::MAX)
            .map(|(_, at)| at)
            .collect();
        mixed
            .reshape((texts * longest, hidden))?
            .index_select(&Tensor::new(kept, device)?, 0)
    }

    /// The row of each place of the padded batch; `empty` where there is none.
    fn padding(&self, empty: u32) -> Vec<u32> {
        let longest = self.segments.longest();
        let texts = self.segments.starts().zip(self.segments.lengths());
        let place = |start: usize, length: usize, at: usize| {
            if at < length { (start + at) as u32 } else { empty }
        };
        texts
            .flat_map(|(start, length)| (0..longest).map(move |at| place(start, *length, at)))
            .collect()
    }

    /// 0 for keys of a text, a very small number for padding: `(texts, 1, 1, longest)`.
    fn mask(&self, device: &candle_core::Device) -> Result<Tensor> {
        let empty = |row: u32| if row == u32::MAX { HIDDEN } else { 0.0_f32 };
        let mask: Vec<f32> = self.padding(u32::MAX).into_iter().map(empty).collect();
        let (texts, longest) = (self.segments.lengths().len(), self.segments.longest());
        Tensor::from_vec(mask, (texts, 1, 1, longest), device)
    }

    /// The dropout of the weights, `(texts, heads, longest, longest)`.
    fn factors(&self, device: &candle_core::Device) -> Result<Option<Tensor>> {
        let Some(dropout) = self.dropout else {
            return Ok(None);
        };
        let (longest, lengths) = (self.segments.longest(), self.segments.lengths());
        let square = |at: usize| {
            let (mask, length) = (dropout.part(at), lengths[at / self.heads]);
            (0..longest * longest).map(move |i| mask.factor(i / longest * length + i % longest))
        };
        let squares = (0..lengths.len() * self.heads).into_par_iter();
        let factors: Vec<f32> = squares.flat_map_iter(square).collect();
        let shape = (lengths.len(), self.heads, longest, longest);
        Tensor::from_vec(factors, shape, device).map(Some)
    }
}

impl CustomOp1 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, qkv: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (tokens, wide) = layout.shape().dims2()?;
        let hidden = wide / 3;
        let texts = self.segments.split(numbers(qkv, layout)?, wide);
        let mut out = vec![0.0; tokens * hidden];
        let outs = self.segments.split_mut(&mut out, hidden);
        texts
            .into_par_iter()
            .zip(outs)
            .enumerate()
            .for_each(|(text, (qkv, out))| {
                self.forward_text(text, qkv, out, hidden);
            });
        Ok(result(out, (tokens, hidden)))
    }

    fn bwd(&self, qkv: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (tokens, wide) = qkv.dims2()?;
        let hidden = wide / 3;
        let backward = |[qkv, gradient]: [&[f32]; 2]| {
            let texts = self.segments.split(qkv, wide).into_par_iter();
            let gradients = self.segments.split(gradient, hidden);
            let mut out = vec![0.0; tokens * wide];
            let outs = self.segments.split_mut(&mut out, wide);
            let texts = texts.zip(gradients).zip(outs).enumerate();
            texts.for_each(|(text, ((qkv, gradient), out))| {
                self.backward_text(text, qkv, gradient, out, hidden);
            });
            out
        };
        computed([qkv, gradient], (tokens, wide), backward).map(Some)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use ablate_core::Seed;

    use super::*;
    use crate::ops::agreement::{agree, random};

    fn operation(dropout: Option<Dropout>) -> Attention {
        Attention {
            segments: Segments::new([5, 1, 19]),
            heads: 3,
            dropout,
        }
    }

    #[test]
    fn the_kernel_and_the_composition_agree() {
        for dropout in [None, Some(Dropout::new(0.3, &Seed::root(9)))] {
            let attention = operation(dropout);
            let kernel = |x: &[Tensor]| x[0].apply_op1(attention.clone());
            let composed = |x: &[Tensor]| attention.composed(&x[0]);
            agree(&[random((25, 36), "qkv")], kernel, composed, 2e-5);
        }
    }

    #[test]
    fn a_text_of_one_token_returns_its_values() {
        let qkv = random((1, 36), "qkv");
        let out = attention(&qkv, &Segments::new([1]), 3, None).unwrap();
        let values = qkv.narrow(1, 24, 12).unwrap();
        assert_eq!(out.to_vec2::<f32>().unwrap(), values.to_vec2::<f32>().unwrap());
    }
}
