//! Attention of decoders in training: grouped queries (Ainslie et al., 2023), turned by their positions (Su et al., 2021), each text with a
//! mask of what its tokens see. On the CPU, with gradients; the backward pass computes the weights again instead of keeping them.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{
    Segments,
    attention::{HIDDEN, softmax_backward, softmax_rows},
    decoder::rope,
    product::{Matrix, Packed, multiply},
    storage::{computed, numbers, result},
};

/// How far the pairs of numbers of a head are turned, by token.
#[derive(Clone, Debug)]
pub struct Turns {
    /// Cosines, `(tokens, pairs)`.
    pub cos: Vec<f32>,
    /// Sines, likewise.
    pub sin: Vec<f32>,
    /// Whether neighbours are pairs, not the numbers of the two halves.
    pub neighbours: bool,
}

/// An attention over a batch of texts.
#[derive(Clone)]
pub struct Masked {
    /// Where each text stands.
    pub segments: Segments,
    /// Heads of the queries.
    pub heads: usize,
    /// Heads of the keys and the values, each for as many of the queries.
    pub shared: usize,
    /// Numbers of a head.
    pub width: usize,
    /// What scores are multiplied by.
    pub scale: f32,
    /// How queries and keys are turned, if they are.
    pub turns: Option<Arc<Turns>>,
    /// What each token of a text sees: below 0 where it does not, `(tokens, tokens)` a text.
    pub masks: Arc<Vec<Vec<f32>>>,
}

/// `softmax(scale · Q Kᵀ + mask) V`: `(tokens, (heads + 2 · shared) · width)`, queries, keys and values side by side, to
/// `(tokens, heads · width)`.
pub fn masked_attention(qkv: &Tensor, attention: Masked) -> Result<Tensor> {
    qkv.contiguous()?.apply_op1(attention)
}

/// A key-value head of a text and the query heads that share it.
struct Group<'a> {
    attention: &'a Masked,
    text: usize,
    /// The first token of the text.
    start: usize,
    tokens: usize,
    /// Which key-value head.
    at: usize,
}

impl Group<'_> {
    /// Query heads of the group.
    fn size(&self) -> usize {
        self.attention.heads / self.attention.shared
    }

    /// The first columns of its queries, its keys and its values.
    fn columns(&self) -> [usize; 3] {
        let Masked {
            heads, shared, width, ..
        } = self.attention;
        [
            self.at * self.size() * width,
            (heads + self.at) * width,
            (heads + shared + self.at) * width,
        ]
    }

    /// `count` heads from `column` on of rows `stride` wide, head after head: `(count · tokens, width)`.
    fn gathered(&self, rows: &[f32], stride: usize, (column, count): (usize, usize)) -> Vec<f32> {
        let width = self.attention.width;
        let mut out = Vec::with_capacity(count * self.tokens * width);
        for head in 0..count {
            for token in self.start..self.start + self.tokens {
                let from = token * stride + column + head * width;
                out.extend_from_slice(&rows[from..from + width]);
            }
        }
        out
    }

    /// The way back: heads into the rows of a text.
    fn scattered(&self, heads: &[f32], stride: usize, column: usize, out: &mut [f32]) {
        let width = self.attention.width;
        for (at, numbers) in heads.chunks_exact(width).enumerate() {
            let (head, token) = (at / self.tokens, at % self.tokens);
            let to = (self.start + token) * stride + column + head * width;
            out[to..to + width].copy_from_slice(numbers);
        }
    }

    /// Turns heads in place, or back.
    fn turn(&self, heads: &mut [f32], back: bool) {
        let Some(turns) = &self.attention.turns else {
            return;
        };
        let (width, all) = (self.attention.width, self.attention.segments.tokens());
        let pairs = turns.cos.len() / all.max(1);
        let mut sin = vec![0.0; pairs];
        for (at, numbers) in heads.chunks_exact_mut(width).enumerate() {
            let range = (self.start + at % self.tokens) * pairs..;
            let (cos, sines) = (&turns.cos[range.clone()][..pairs], &turns.sin[range][..pairs]);
            let sign = if back { -1.0 } else { 1.0 };
            sin.iter_mut().zip(sines).for_each(|(sin, x)| *sin = sign * x);
            rope(numbers, width, cos, &sin, turns.neighbours);
        }
    }

    /// Queries and keys as they meet, and values.
    fn parts(&self, qkv: &[f32]) -> [Vec<f32>; 3] {
        let stride = (self.attention.heads + 2 * self.attention.shared) * self.attention.width;
        let [queries, keys, values] = self.columns();
        let mut queries = self.gathered(qkv, stride, (queries, self.size()));
        let mut keys = self.gathered(qkv, stride, (keys, 1));
        self.turn(&mut queries, false);
        self.turn(&mut keys, false);
        [queries, keys, self.gathered(qkv, stride, (values, 1))]
    }

    /// The attention weights, `(size · tokens, tokens)`.
    fn weights(&self, queries: &[f32], keys: &[f32]) -> Vec<f32> {
        let mut scores = vec![0.0; self.size() * self.tokens * self.tokens];
        let keys = Packed::new(self.matrix(keys).transposed());
        multiply(self.matrix(queries), &keys, &mut scores, self.tokens, false);
        let mask = &self.attention.masks[self.text];
        let rows = scores.chunks_exact_mut(mask.len());
        rows.for_each(|scores| {
            let masked = scores.iter_mut().zip(mask).filter(|(_, mask)| **mask < 0.0);
            masked.for_each(|(score, _)| *score = HIDDEN);
        });
        softmax_rows(&mut scores, self.tokens, self.attention.scale);
        scores
    }

    /// Heads as rows of their width.
    fn matrix<'b>(&self, heads: &'b [f32]) -> Matrix<'b> {
        let width = self.attention.width;
        Matrix::new(heads, heads.len() / width, width)
    }

    fn product(&self, a: Matrix<'_>, b: Matrix<'_>, rows: usize, cols: usize) -> Vec<f32> {
        let mut out = vec![0.0; rows * cols];
        multiply(a, &Packed::new(b), &mut out, cols, false);
        out
    }

    fn forward(&self, qkv: &[f32]) -> Vec<f32> {
        let [queries, keys, values] = self.parts(qkv);
        let weights = self.weights(&queries, &keys);
        let rows = self.size() * self.tokens;
        let weights = Matrix::new(&weights, rows, self.tokens);
        self.product(weights, self.matrix(&values), rows, self.attention.width)
    }

    /// The gradients of queries, keys and values.
    fn backward(&self, qkv: &[f32], gradient: &[f32]) -> [Vec<f32>; 3] {
        let (width, rows) = (self.attention.width, self.size() * self.tokens);
        let [queries, keys, values] = self.parts(qkv);
        let weights = self.weights(&queries, &keys);
        let stride = self.attention.heads * width;
        let gradient = self.gathered(gradient, stride, (self.columns()[0], self.size()));
        let by_row = |numbers| Matrix::new(numbers, rows, self.tokens);
        let for_values = self.product(
            by_row(&weights).transposed(),
            self.matrix(&gradient),
            self.tokens,
            width,
        );
        let mut scores = self.product(
            self.matrix(&gradient),
            self.matrix(&values).transposed(),
            rows,
            self.tokens,
        );
        softmax_backward(&mut scores, &weights, self.tokens, self.attention.scale);
        let mut for_queries = self.product(by_row(&scores), self.matrix(&keys), rows, width);
        let mut for_keys = self.product(
            by_row(&scores).transposed(),
            self.matrix(&queries),
            self.tokens,
            width,
        );
        self.turn(&mut for_queries, true);
        self.turn(&mut for_keys, true);
        [for_queries, for_keys, for_values]
    }
}

impl Masked {
    fn groups(&self) -> Vec<Group<'_>> {
        let texts = self.segments.starts().zip(self.segments.lengths()).enumerate();
        let heads = |(text, (start, tokens)): (usize, (usize, &usize))| {
            let tokens = *tokens;
            (0..self.shared).map(move |at| Group {
                attention: self,
                text,
                start,
                tokens,
                at,
            })
        };
        texts.flat_map(heads).collect()
    }
}

impl CustomOp1 for Masked {
    fn name(&self) -> &'static str {
        "masked-attention"
    }

    fn cpu_fwd(&self, qkv: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (qkv, groups) = (numbers(qkv, layout)?, self.groups());
        let (tokens, wide) = (layout.shape().dims2()?.0, self.heads * self.width);
        let answers: Vec<_> = groups.par_iter().map(|group| group.forward(qkv)).collect();
        let mut out = vec![0.0; tokens * wide];
        for (group, answer) in groups.iter().zip(&answers) {
            group.scattered(answer, wide, group.columns()[0], &mut out);
        }
        Ok(result(out, (tokens, wide)))
    }

    fn bwd(&self, qkv: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (tokens, wide) = qkv.dims2()?;
        let backward = |[qkv, gradient]: [&[f32]; 2]| {
            let groups = self.groups();
            let gradients = groups.par_iter().map(|group| group.backward(qkv, gradient));
            let gradients: Vec<_> = gradients.collect();
            let mut out = vec![0.0; tokens * wide];
            for (group, parts) in groups.iter().zip(&gradients) {
                for (part, column) in parts.iter().zip(group.columns()) {
                    group.scattered(part, wide, column, &mut out);
                }
            }
            out
        };
        computed([qkv, gradient], (tokens, wide), backward).map(Some)
    }
}
