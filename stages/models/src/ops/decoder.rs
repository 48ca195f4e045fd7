//! Row operations of decoder-only models on f32 slices. Each works on one row with a fixed order of sums, so a row's
//! bits depend neither on its batch nor on the number of threads.

use super::math::{exp, maximum, sum_of, vectorized};

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
    /// `gate[i] = silu(gate[i]) · up[i]`.
    fn gated<'a>(gate: &'a mut [f32], up: &'a [f32]) {
        for (gate, up) in gate.iter_mut().zip(up) {
            *gate = *gate / (1.0 + exp(-*gate)) * up;
        }
    }
}

vectorized! {
    /// One head's attention of one query row over `keys` and `values`, rows of `stride` floats from `offset` on.
    fn attend_head<'a>(
        query: &'a [f32],
        segments: &'a [Segment<'a>],
        offset: usize,
        scores: &'a mut Vec<f32>,
        out: &'a mut [f32],
    ) {
        let scale = 1.0 / (query.len() as f32).sqrt();
        scores.clear();
        for segment in segments {
            for key in segment.keys.chunks_exact(segment.stride).take(segment.rows) {
                scores.push(scale * sum_of(query, &key[offset..offset + query.len()], |a, b| a * b));
            }
        }
        let top = maximum(scores);
        let mut total = 0.0f32;
        for score in scores.iter_mut() {
            *score = exp(*score - top);
        }
        for score in scores.iter() {
            total += score;
        }
        out.fill(0.0);
        let mut weights = scores.iter();
        for segment in segments {
            for value in segment.values.chunks_exact(segment.stride).take(segment.rows) {
                let weight = weights.next().copied().unwrap_or(0.0) / total;
                for (out, value) in out.iter_mut().zip(&value[offset..]) {
                    *out += weight * value;
                }
            }
        }
    }
}

/// Keys and values of a stretch of tokens, row-major.
#[derive(Clone, Copy)]
pub struct Segment<'a> {
    /// Keys, `rows × stride`.
    pub keys: &'a [f32],
    /// Values, `rows × stride`.
    pub values: &'a [f32],
    /// How many rows count.
    pub rows: usize,
    /// Floats a row: key-value heads × head width.
    pub stride: usize,
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

/// The gated linear unit over a row that holds gate and up side by side; the result replaces the gate.
pub fn swiglu(row: &mut [f32]) {
    let half = row.len() / 2;
    let (gate, up) = row.split_at_mut(half);
    gated(gate, up);
}

/// Grouped-query attention of one row: `heads` query heads of `width` share the key-value heads of the segments.
pub fn attend(query: &[f32], segments: &[Segment<'_>], width: usize, scores: &mut Vec<f32>, out: &mut [f32]) {
    let heads = query.len() / width;
    let shared = segments
        .first()
        .map_or(1, |segment| heads * width / segment.stride);
    for (head, (query, out)) in query
        .chunks_exact(width)
        .zip(out.chunks_exact_mut(width))
        .enumerate()
    {
        attend_head(query, segments, head / shared * width, scores, out);
    }
}

/// Rotates each head of `row` in place by the angles of its position (Su et al. 2021): pairs `(i, i + width/2)` as
/// Hugging Face lays them, or neighbours `(2i, 2i + 1)` as GGUF files of Llama do.
pub fn rope(row: &mut [f32], width: usize, cos: &[f32], sin: &[f32], neighbours: bool) {
    for head in row.chunks_exact_mut(width) {
        for i in 0..width / 2 {
            let (a, b) = if neighbours {
                (2 * i, 2 * i + 1)
            } else {
                (i, i + width / 2)
            };
            let (x, y) = (head[a], head[b]);
            head[a] = x * cos[i] - y * sin[i];
            head[b] = x * sin[i] + y * cos[i];
        }
    }
}
