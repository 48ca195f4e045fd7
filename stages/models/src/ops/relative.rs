//! Attention of T5 (Raffel et al., 2020): scores are not scaled, and a learned number for the distance between two
//! tokens is added to them. Queries and keys may belong to different sequences. A kernel for use, operations of candle
//! where a gradient is asked for.

use candle_core::{D, DType, Device, Result, Tensor};
use rayon::prelude::*;

use super::{
    Dropout, Segments,
    attention::softmax_rows,
    dropout,
    product::{Matrix, Packed, multiply},
    product_nn, product_nt,
    storage::with_numbers,
};
use crate::params::to_vec;

/// What is added to the score of a query and a key that stand `key − query` apart, by head.
#[derive(Clone, Debug)]
pub struct Distances {
    values: Vec<f32>,
    reach: usize,
    /// The table the values are from, `(buckets, heads)`, and the bucket of each distance: for gradients.
    learnt: Option<(Tensor, Vec<u32>)>,
}

impl Distances {
    /// From `values`, for each head the numbers of the distances `-reach..=reach`.
    ///
    /// # Panics
    /// If there are not `heads · (2 reach + 1)` values.
    pub fn new(values: Vec<f32>, heads: usize, reach: usize) -> Self {
        assert_eq!(
            values.len(),
            heads * (2 * reach + 1),
            "a value for every head and distance"
        );
        Self {
            values,
            reach,
            learnt: None,
        }
    }

    /// From a `table` of `(buckets, heads)` and the bucket of each distance `-reach..=reach`; gradients reach the table.
    pub fn of_table(table: &Tensor, buckets: &[usize]) -> Result<Self> {
        let (reach, heads) = (buckets.len() / 2, table.dim(1)?);
        let numbers = to_vec(&table.to_dtype(DType::F32)?)?;
        let values = (0..heads).flat_map(|head| buckets.iter().map(move |bucket| bucket * heads + head));
        let values = values.map(|at| numbers[at]).collect();
        let learnt = table.track_op().then(|| {
            let buckets = buckets.iter().map(|bucket| *bucket as u32).collect();
            (table.clone(), buckets)
        });
        Ok(Self {
            learnt,
            ..Self::new(values, heads, reach)
        })
    }

    /// The numbers of a query against keys `0..keys`.
    fn row(&self, head: usize, query: usize, keys: usize) -> &[f32] {
        let first = head * (2 * self.reach + 1) + self.reach - query;
        &self.values[first..first + keys]
    }

    /// `(heads, queries, keys)` of one text.
    fn tensor(&self, heads: usize, [queries, keys]: [usize; 2], device: &Device) -> Result<Tensor> {
        if let Some((table, buckets)) = &self.learnt {
            let row = |query: usize| &buckets[self.reach - query..][..keys];
            let places: Vec<u32> = (0..queries).flat_map(row).copied().collect();
            let numbers = table.index_select(&Tensor::from_vec(places, queries * keys, device)?, 0)?;
            return numbers.t()?.reshape((heads, queries, keys));
        }
        let rows =
            (0..heads).flat_map(|head| (0..queries).flat_map(move |query| self.row(head, query, keys)));
        Tensor::from_vec(
            rows.copied().collect::<Vec<f32>>(),
            (heads, queries, keys),
            device,
        )
    }
}

/// Of which shape the sequences of an attention are.
#[derive(Clone, Copy, Debug)]
pub struct Attended<'a> {
    /// Where the queries of each text stand.
    pub queries: &'a Segments,
    /// Where its keys and values stand.
    pub keys: &'a Segments,
    /// Heads of the attention.
    pub heads: usize,
    /// Whether a query sees only the keys up to its own place.
    pub causal: bool,
    /// Dropout of the weights; each text draws from a part of its own.
    pub dropout: Option<Dropout>,
}

impl Attended<'_> {
    /// What the kernel does not do.
    fn is_plain(&self) -> bool {
        !self.causal && self.dropout.is_none()
    }
}

/// `softmax(Q Kᵀ + B) V` per text and head: queries `(rows, width)` and `(tokens, 2 · width)`, keys and values side by
/// side, to `(rows, width)`. B is 0 without `distances`; their reach must be the longest text's.
pub fn attend(
    queries: &Tensor,
    keys_values: &Tensor,
    shape: Attended<'_>,
    distances: Option<&Distances>,
) -> Result<Tensor> {
    let tracked = queries.track_op() || keys_values.track_op();
    if !queries.device().is_cpu() || tracked || !shape.is_plain() {
        return composed(queries, keys_values, shape, distances);
    }
    let size = queries.dims2()?;
    let mut out = vec![0.0; size.0 * size.1];
    with_numbers(queries, |queries| {
        with_numbers(keys_values, |keys_values| {
            let texts = shape.queries.split(queries, size.1).into_par_iter();
            let outs = shape.queries.split_mut(&mut out, size.1);
            let texts = texts.zip(shape.keys.split(keys_values, 2 * size.1)).zip(outs);
            texts.for_each(|((queries, keys_values), out)| {
                let heads = (0..shape.heads).map(|index| Head {
                    queries,
                    keys_values,
                    width: size.1,
                    heads: shape.heads,
                    index,
                });
                heads.for_each(|head| head.attend(distances, out));
            });
        })
    })??;
    Tensor::from_vec(out, size, queries.device())
}

/// One head of one text: windows into the rows of all heads.
struct Head<'a> {
    queries: &'a [f32],
    keys_values: &'a [f32],
    /// Width of all heads.
    width: usize,
    heads: usize,
    index: usize,
}

impl Head<'_> {
    fn attend(&self, distances: Option<&Distances>, out: &mut [f32]) {
        let own = self.width / self.heads;
        let (rows, tokens) = (
            self.queries.len() / self.width,
            self.keys_values.len() / (2 * self.width),
        );
        let part = |part: usize| {
            let from = part * self.width + self.index * own;
            Matrix::window(&self.keys_values[from..], tokens, own, 2 * self.width)
        };
        let queries = Matrix::window(&self.queries[self.index * own..], rows, own, self.width);
        let mut scores = vec![0.0; rows * tokens];
        multiply(
            queries,
            &Packed::new(part(0).transposed()),
            &mut scores,
            tokens,
            false,
        );
        if let Some(distances) = distances {
            for (query, row) in scores.chunks_exact_mut(tokens).enumerate() {
                let added = distances.row(self.index, query, tokens);
                row.iter_mut()
                    .zip(added)
                    .for_each(|(score, added)| *score += added);
            }
        }
        softmax_rows(&mut scores, tokens, 1.0);
        let weights = Matrix::new(&scores, rows, tokens);
        multiply(
            weights,
            &Packed::new(part(1)),
            &mut out[self.index * own..],
            self.width,
            false,
        );
    }
}

/// The same of operations of candle, text by text: for gradients, and for devices without a kernel here.
fn composed(
    queries: &Tensor,
    keys_values: &Tensor,
    shape: Attended<'_>,
    distances: Option<&Distances>,
) -> Result<Tensor> {
    let width = queries.dim(1)?;
    let by_head = |x: Tensor| {
        let rows = x.dim(0)?;
        x.reshape((rows, shape.heads, width / shape.heads))?
            .transpose(0, 1)?
            .contiguous()
    };
    let places = |segments: &Segments| {
        segments
            .starts()
            .zip(segments.lengths().to_vec())
            .collect::<Vec<_>>()
    };
    let texts = places(shape.queries).into_iter().zip(places(shape.keys));
    let attended = texts.enumerate().map(|(text, ((row, rows), (token, tokens)))| {
        let of = |part: usize| {
            by_head(
                keys_values
                    .narrow(0, token, tokens)?
                    .narrow(1, part * width, width)?,
            )
        };
        let scores = product_nt(&by_head(queries.narrow(0, row, rows)?)?, &of(0)?)?;
        let scores = match distances {
            Some(distances) => (scores + distances.tensor(shape.heads, [rows, tokens], queries.device())?)?,
            None => scores,
        };
        let scores = match shape.causal {
            true => scores.broadcast_add(&unseen(rows, tokens, queries.device())?)?,
            false => scores,
        };
        let weights = candle_nn::ops::softmax(&scores, D::Minus1)?;
        let weights = dropout(&weights, shape.dropout.map(|dropout| dropout.part(text)))?;
        let mixed = product_nn(&weights, &of(1)?)?;
        mixed.transpose(0, 1)?.contiguous()?.reshape((rows, width))
    });
    Tensor::cat(&attended.collect::<Result<Vec<_>>>()?, 0)
}

/// −∞ where a key stands behind its query, else 0: `(queries, keys)`.
fn unseen(queries: usize, keys: usize, device: &Device) -> Result<Tensor> {
    let masked = |(query, key): (usize, usize)| if key > query { f32::NEG_INFINITY } else { 0.0 };
    let places = (0..queries).flat_map(|query| (0..keys).map(move |key| (query, key)));
    Tensor::from_vec(places.map(masked).collect::<Vec<f32>>(), (queries, keys), device)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ops::agreement::random;

    #[test]
    fn the_kernel_and_the_composition_agree() {
        let (queries, keys) = (Segments::new([4, 1, 7]), Segments::new([4, 5, 7]));
        let distances = Distances::new(to_vec(&random(3 * 13, "bias")).unwrap(), 3, 6);
        let shape = Attended {
            queries: &queries,
            keys: &keys,
            heads: 3,
            causal: false,
            dropout: None,
        };
        let (q, kv) = (random((12, 12), "q"), random((16, 24), "kv"));
        for distances in [None, Some(&distances)] {
            let kernel = to_vec(&attend(&q, &kv, shape, distances).unwrap()).unwrap();
            let composition = to_vec(&composed(&q, &kv, shape, distances).unwrap()).unwrap();
            for (a, b) in kernel.iter().zip(&composition) {
                assert!((a - b).abs() < 1e-5, "{a} and {b}");
            }
        }
    }

    #[test]
    fn a_distance_is_key_less_query() {
        let distances = Distances::new((0..10).map(|x| x as f32).collect(), 2, 2);
        assert_eq!(distances.row(0, 0, 3), [2.0, 3.0, 4.0]);
        assert_eq!(distances.row(1, 2, 3), [5.0, 6.0, 7.0]);
    }
}
