//! Row operations of decoder-only models on f32 slices. Each works on one row with a fixed order of sums, so a row's
//! bits depend neither on its batch nor on the number of threads.

use super::math::{exp, maximum, normal_cdf, sum_of, vectorized};
use crate::decoder::Activation;

vectorized! {
    /// Root-mean-square norm: `out = x / sqrt(mean(x²) + eps) · weight` (Zhang and Sennrich 2019).
    fn rms<'a>(x: &'a [f32], weight: &'a [f32], eps: f32, out: &'a mut [f32]) {
        let mean = sum_of(x, x, |a, b| a * b) / x.len() as f32;
        let scale = 1.0 / (mean + eps).sqrt();
        for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
            *out = x * scale * weight;
        }
    }
}

vectorized! {
    /// Layer norm: `out = (x - mean) / sqrt(variance + eps) · weight + bias` (Ba, Kiros and Hinton 2016).
    fn centred<'a>(x: &'a [f32], weight: &'a [f32], bias: &'a [f32], eps: f32, out: &'a mut [f32]) {
        let count = x.len() as f32;
        let mean = sum_of(x, x, |x, _| x) / count;
        let variance = sum_of(x, x, |x, _| (x - mean) * (x - mean)) / count;
        let scale = 1.0 / (variance + eps).sqrt();
        for (((out, x), weight), bias) in out.iter_mut().zip(x).zip(weight).zip(bias) {
            *out = ((x - mean) * scale).mul_add(*weight, *bias);
        }
    }
}

vectorized! {
    fn silu<'a>(row: &'a mut [f32]) {
        for x in row {
            *x = *x / (1.0 + exp(-*x));
        }
    }
}

vectorized! {
    fn gelu<'a>(row: &'a mut [f32]) {
        for x in row {
            *x *= normal_cdf(*x);
        }
    }
}

vectorized! {
    /// `x / 2 · (1 + tanh u)` is `x / (1 + e^(-2u))`, u = √(2/π) (x + 0.044715 x³).
    fn gelu_tanh<'a>(row: &'a mut [f32]) {
        const TWICE_ROOT: f32 = 1.595_769_2; // 2 √(2/π)
        for x in row {
            let u = TWICE_ROOT * (*x * *x * *x).mul_add(0.044_715, *x);
            *x /= 1.0 + exp(-u);
        }
    }
}

vectorized! {
    fn relu<'a>(row: &'a mut [f32]) {
        for x in row {
            *x = x.max(0.0);
        }
    }
}

vectorized! {
    fn multiplied<'a>(row: &'a mut [f32], factors: &'a [f32]) {
        for (x, factor) in row.iter_mut().zip(factors) {
            *x *= factor;
        }
    }
}

vectorized! {
    /// Weights of the scores from `first` up to `end`, of which `scale` is a factor, before division by their sum,
    /// which is given; what stands elsewhere gets weight 0. A whole number of [`LANES`](super::math::LANES) scores.
    fn weigh_row<'a>(scores: &'a mut [f32], first: usize, end: usize, scale: f32) -> f32 {
        let (head, tail) = scores.split_at_mut(end);
        tail.fill(0.0);
        let (before, seen) = head.split_at_mut(first);
        before.fill(0.0);
        for score in seen.iter_mut() {
            *score *= scale;
        }
        let top = maximum(seen);
        for score in seen {
            *score = exp(*score - top);
        }
        sum_of(scores, scores, |weight, _| weight)
    }
}

/// Norms each row of `x` into `out`.
pub fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    for (x, out) in x
        .chunks_exact(weight.len())
        .zip(out.chunks_exact_mut(weight.len()))
    {
        rms(x, weight, eps, out);
    }
}

/// Layer-norms each row of `x` into `out`.
pub(crate) fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], eps: f32, out: &mut [f32]) {
    let rows = x.chunks_exact(weight.len());
    for (x, out) in rows.zip(out.chunks_exact_mut(weight.len())) {
        centred(x, weight, bias, eps, out);
    }
}

/// Activates numbers in place.
pub(crate) fn activate(row: &mut [f32], activation: Activation) {
    match activation {
        Activation::Silu => silu(row),
        Activation::Gelu => gelu(row),
        Activation::GeluTanh => gelu_tanh(row),
        Activation::Relu => relu(row),
    }
}

/// The gated linear unit over a row that holds gate and up side by side; the result replaces the gate.
pub(crate) fn gate(row: &mut [f32], activation: Activation) {
    let half = row.len() / 2;
    let (gate, up) = row.split_at_mut(half);
    activate(gate, activation);
    multiplied(gate, up);
}

/// The softmax of the scores in a range, times `scale`, before the division by the sum it gives; 0 elsewhere. Their
/// places decide the order of the sum, so that scores outside the range change nothing.
pub(crate) fn weigh(scores: &mut [f32], (first, end): (usize, usize), scale: f32) -> f32 {
    weigh_row(scores, first, end, scale)
}

/// Rotates each head of `row` in place by the angles of its position (Su et al. 2021), as many pairs as there are: the
/// pairs `(i, i + pairs)` as Hugging Face lays them, or neighbours `(2i, 2i + 1)` as GGUF files of Llama do.
pub fn rope(row: &mut [f32], width: usize, cos: &[f32], sin: &[f32], neighbours: bool) {
    let pairs = cos.len();
    for head in row.chunks_exact_mut(width) {
        for i in 0..pairs {
            let (a, b) = if neighbours {
                (2 * i, 2 * i + 1)
            } else {
                (i, i + pairs)
            };
            let (x, y) = (head[a], head[b]);
            head[a] = x * cos[i] - y * sin[i];
            head[b] = x * sin[i] + y * cos[i];
        }
    }
}
