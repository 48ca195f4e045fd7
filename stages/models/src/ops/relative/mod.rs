//! Attention of T5 (Raffel et al., 2020): scores are not scaled, and a learned number for the distance between two
//! tokens is added to them. Queries and keys may belong to different sequences. The backward pass computes the weights again instead
//! of keeping them.

mod head;

use candle_core::{CpuStorage, CustomOp3, D, DType, Device, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{
    Dropout, Segments, dropout, product_nn, product_nt,
    storage::{numbers, result, with_all},
};
use head::{Gradients, Head};

/// What is added to the score of a query and a key that stand `key − query` apart, by head.
#[derive(Clone, Debug)]
pub struct Distances {
    /// `(buckets, heads)`.
    table: Tensor,
    /// The bucket of each distance `-reach..=reach`.
    buckets: Tensor,
}

impl Distances {
    /// From a `table` of `(buckets, heads)` and the bucket of each distance `-reach..=reach`; gradients reach the table.
    pub fn of_table(table: &Tensor, buckets: &[u32]) -> Result<Self> {
        Ok(Self {
            table: table.clone(),
            buckets: Tensor::new(buckets, table.device())?,
        })
    }

    /// The numbers of all distances, `(heads, 2 · reach + 1)`. Every layer takes its own, so that what layers share is a parameter: see [`crate::Mode`].
    fn values(&self) -> Result<Tensor> {
        let values = self.table.to_dtype(DType::F32)?.index_select(&self.buckets, 0)?;
        values.t()?.contiguous()
    }
}

/// Those of [`Distances::values`] for the queries and keys of a text, `(heads, queries, keys)`.
fn of_text(values: &Tensor, queries: usize, keys: usize) -> Result<Tensor> {
    let (heads, distances) = values.dims2()?;
    let row = |query: usize| (0..keys).map(move |key| (distances / 2 + key - query) as u32);
    let places: Vec<u32> = (0..queries).flat_map(row).collect();
    let numbers = values.index_select(&Tensor::new(places, values.device())?, 1)?;
    numbers.reshape((heads, queries, keys))
}

/// Of which shape the sequences of an attention are.
#[derive(Clone, Debug)]
pub struct Attended {
    /// Where the queries of each text stand.
    pub queries: Segments,
    /// Where its keys and values stand.
    pub keys: Segments,
    /// Heads of the attention.
    pub heads: usize,
    /// Whether a query sees only the keys up to its own place.
    pub causal: bool,
    /// Dropout of the weights; each text draws from a part of its own.
    pub dropout: Option<Dropout>,
}

/// `softmax(Q Kᵀ + B) V` per text and head: queries `(rows, width)` and `(tokens, 2 · width)`, keys and values side by
/// side, to `(rows, width)`. B is 0 without `distances`; their reach must be the longest text's.
pub fn attend(
    queries: &Tensor,
    keys_values: &Tensor,
    shape: Attended,
    distances: Option<&Distances>,
) -> Result<Tensor> {
    let values = distances.map(Distances::values).transpose()?;
    if !queries.device().is_cpu() {
        return composed(queries, keys_values, &shape, values.as_ref());
    }
    let values = match values {
        Some(values) => values,
        None => Tensor::zeros((shape.heads, 0), DType::F32, &Device::Cpu)?,
    };
    queries
        .contiguous()?
        .apply_op3(&keys_values.contiguous()?, &values, shape)
}

impl Attended {
    /// Hands every text's heads to `f`, texts side by side, with what `outs` has for the text.
    fn each_text<T: Send, R: Send>(
        &self,
        [queries, keys_values, distances]: [&[f32]; 3],
        outs: Vec<T>,
        f: impl Fn(&[Head<'_>], T) -> R + Sync,
    ) -> Vec<R> {
        let width = queries.len() / self.queries.tokens().max(1);
        let queries = self.queries.split(queries, width);
        let keys_values = self.keys.split(keys_values, 2 * width);
        let texts = queries.into_par_iter().zip(keys_values).zip(outs).enumerate();
        let of_text = |(text, ((queries, keys_values), out))| {
            let each = distances.len() / self.heads;
            let head = |index| Head {
                shape: self,
                text,
                index,
                queries,
                keys_values,
                distances: &distances[index * each..][..each],
                width,
            };
            f(&(0..self.heads).map(head).collect::<Vec<_>>(), out)
        };
        texts.map(of_text).collect()
    }

    /// The gradients of queries, keys and values, and distances.
    fn backward(&self, inputs: [&[f32]; 3], gradient: &[f32]) -> [Vec<f32>; 3] {
        let width = inputs[0].len() / self.queries.tokens().max(1);
        let [mut queries, mut keys_values, mut distances] = inputs.map(|input| vec![0.0; input.len()]);
        let outs = self.queries.split_mut(&mut queries, width).into_iter();
        let outs = outs.zip(self.keys.split_mut(&mut keys_values, 2 * width));
        let outs = outs.zip(self.queries.split(gradient, width)).collect();
        let sums = self.each_text(inputs, outs, |heads, ((queries, keys_values), gradient)| {
            let mut out = Gradients { queries, keys_values };
            let mut sums = vec![0.0; inputs[2].len()];
            let each = sums.len() / self.heads;
            for head in heads {
                head.backward(gradient, &mut out, &mut sums[head.index * each..][..each]);
            }
            sums
        });
        // Text by text, so that the sums do not depend on who was first.
        for text in sums {
            distances.iter_mut().zip(text).for_each(|(all, sum)| *all += sum);
        }
        [queries, keys_values, distances]
    }
}

impl CustomOp3 for Attended {
    fn name(&self) -> &'static str {
        "relative-attention"
    }

    fn cpu_fwd(
        &self,
        queries: &CpuStorage,
        queries_layout: &Layout,
        keys_values: &CpuStorage,
        keys_values_layout: &Layout,
        distances: &CpuStorage,
        distances_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let inputs = [
            numbers(queries, queries_layout)?,
            numbers(keys_values, keys_values_layout)?,
            numbers(distances, distances_layout)?,
        ];
        let mut out = vec![0.0; inputs[0].len()];
        let outs = self
            .queries
            .split_mut(&mut out, queries_layout.shape().dims2()?.1);
        self.each_text(inputs, outs, |heads, out| {
            heads.iter().for_each(|head| head.forward(out));
        });
        Ok(result(out, queries_layout.shape()))
    }

    fn bwd(
        &self,
        queries: &Tensor,
        keys_values: &Tensor,
        distances: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let inputs = [queries, keys_values, distances, gradient];
        let gradients = with_all(inputs, |[queries, keys_values, distances, gradient]| {
            self.backward([queries, keys_values, distances], gradient)
        })?;
        let tensor = |(numbers, like): (Vec<f32>, &Tensor)| {
            let wanted = like.track_op();
            wanted
                .then(|| Tensor::from_vec(numbers, like.shape(), &Device::Cpu))
                .transpose()
        };
        let [for_queries, for_keys_values, for_distances] = gradients;
        Ok((
            tensor((for_queries, queries))?,
            tensor((for_keys_values, keys_values))?,
            tensor((for_distances, distances))?,
        ))
    }
}

/// The same of operations of candle, text by text: for devices without a kernel here.
fn composed(
    queries: &Tensor,
    keys_values: &Tensor,
    shape: &Attended,
    distances: Option<&Tensor>,
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
    let texts = places(&shape.queries).into_iter().zip(places(&shape.keys));
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
            Some(distances) => (scores + of_text(distances, rows, tokens)?)?,
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
    use ablate_core::Seed;

    use super::*;
    use crate::{
        ops::agreement::{agree, random},
        params::to_vec,
    };

    fn shape(queries: [usize; 3], keys: [usize; 3]) -> Attended {
        Attended {
            queries: Segments::new(queries),
            keys: Segments::new(keys),
            heads: 3,
            causal: false,
            dropout: None,
        }
    }

    fn dropouts() -> [Option<Dropout>; 2] {
        [None, Some(Dropout::new(0.3, &Seed::root(9)))]
    }

    #[test]
    fn the_kernel_and_the_composition_agree() {
        let inputs = [random((12, 12), "q"), random((16, 24), "kv")];
        for dropout in dropouts() {
            let shape = Attended {
                dropout,
                ..shape([4, 1, 7], [4, 5, 7])
            };
            agree(
                &inputs,
                |x| attend(&x[0], &x[1], shape.clone(), None),
                |x| composed(&x[0], &x[1], &shape, None),
                2e-5,
            );
        }
    }

    /// Of a table where distances beyond one share a bucket.
    #[test]
    fn they_agree_on_distances_too() {
        let buckets: Vec<u32> = (-6..=6_i32).map(|at| (at.clamp(-2, 2) + 2) as u32).collect();
        let inputs = [
            random((12, 12), "q"),
            random((12, 24), "kv"),
            random((5, 3), "table"),
        ];
        for (causal, dropout) in [false, true]
            .into_iter()
            .flat_map(|causal| dropouts().map(|d| (causal, d)))
        {
            let shape = Attended {
                causal,
                dropout,
                ..shape([4, 1, 7], [4, 1, 7])
            };
            let distances = |x: &[Tensor]| Distances::of_table(&x[2], &buckets);
            agree(
                &inputs,
                |x| attend(&x[0], &x[1], shape.clone(), Some(&distances(x)?)),
                |x| composed(&x[0], &x[1], &shape, Some(&distances(x)?.values()?)),
                2e-5,
            );
        }
    }

    /// Two heads and the distances -2 to 2, each a bucket of its own: numbers 0, 2, … and 1, 3, …
    #[test]
    fn a_distance_is_key_less_query() {
        let table = Tensor::from_vec(
            (0..10).map(|x| x as f32).collect::<Vec<_>>(),
            (5, 2),
            &Device::Cpu,
        );
        let distances = Distances::of_table(&table.unwrap(), &[0, 1, 2, 3, 4]).unwrap();
        let rows = to_vec(&of_text(&distances.values().unwrap(), 3, 3).unwrap()).unwrap();
        assert_eq!(rows[..3], [4.0, 6.0, 8.0], "the first query of the first head");
        assert_eq!(rows[15..], [1.0, 3.0, 5.0], "the last of the second");
    }
}
