//! The decoder on the CPU: f32, over the bit-stable products of [`crate::ops`].

mod attention;
mod cache;
mod states;

use std::sync::Arc;

use ablate_core::StageError;

use self::{
    attention::{Seen, attended},
    states::{Linear, States},
};
use super::{
    Activation, Config, Decoder, Layout, TensorSpec, Transformer, Weights,
    experts::{Routing, Sent, route},
    rotary::Angles,
    skeleton::{Backend, Load},
    weights::{MatrixSpec, Norm},
};
use crate::ops::{
    decoder::{activate, gate, layer_norm, rms_norm, rope},
    product::{Matrix, Packed},
};
use cache::Cache;

/// Tokens that go through the layers together at most: their states stay in the caches.
const PASS: usize = 256;

/// A decoder on the CPU.
pub type CpuDecoder = Transformer<Cpu>;

/// Computes on this thread, in f32.
pub struct Cpu {
    neighbours: bool,
}

/// A row under way: new tokens after a cache of its own, behind an optional prefix it shares.
struct Row<'a> {
    /// Tokens to feed.
    tokens: &'a [u32],
    /// The row's own cache; the tokens are added to it.
    cache: &'a mut Cache,
}

/// What the layers share.
pub(super) struct Step<'s> {
    prefix: &'s Cache,
    rows: Vec<(usize, &'s mut Cache)>,
    /// Of every token, by rotation.
    angles: Vec<Angles>,
}

impl Load for Cpu {
    fn matrix(&self, spec: &MatrixSpec, weights: &mut dyn Weights) -> Result<Linear, StageError> {
        let parts = if spec.transposed {
            let numbers = spec.take(weights)?;
            let weight = Matrix::new(&numbers.weight, numbers.rows, numbers.cols);
            vec![Packed::new(weight.transposed())]
        } else {
            let parts = spec.parts.iter().map(|part| packed(part, spec.cols, weights));
            parts.collect::<Result<_, _>>()?
        };
        Ok(Linear {
            width: parts.iter().map(Packed::cols).sum(),
            parts: parts.into_iter().map(Arc::new).collect(),
            bias: spec.bias(weights)?,
        })
    }

    fn norm(&self, numbers: Norm<Vec<f32>>) -> Result<Self::Norm, StageError> {
        Ok(numbers)
    }

    fn table(
        &self,
        spec: &TensorSpec,
        width: usize,
        weights: &mut dyn Weights,
    ) -> Result<Self::Table, StageError> {
        packed(spec, width, weights).map(Arc::new)
    }
}

/// A matrix with rows of `cols` numbers, packed as a right operand: its transpose.
fn packed(tensor: &TensorSpec, cols: usize, weights: &mut dyn Weights) -> Result<Packed, StageError> {
    if let Some(blocks) = weights.blocks(tensor)? {
        return Ok(Packed::of_blocks(&blocks, cols));
    }
    let numbers = weights.take(tensor)?;
    let rows = numbers.len() / cols.max(1);
    Ok(Packed::new(Matrix::new(&numbers, rows, cols).transposed()))
}

impl Backend for Cpu {
    type Matrix = Linear;
    type Norm = Norm<Vec<f32>>;
    /// A row of the table is a column.
    type Table = Arc<Packed>;
    type States = States;
    type Weights = Vec<f32>;
    type Step<'s> = Step<'s>;

    fn tied(&self, table: &Self::Table) -> Result<Linear, StageError> {
        Ok(Linear {
            width: table.cols(),
            parts: vec![table.clone()],
            bias: None,
        })
    }

    fn rows(&self, table: &Self::Table, rows: &[u32]) -> Result<States, StageError> {
        let row = |row: &u32| table.column(*row as usize);
        Ok(States::new(rows.iter().flat_map(row).collect(), table.depth()))
    }

    fn scale(&self, mut x: States, factor: f64) -> Result<States, StageError> {
        x.numbers.iter_mut().for_each(|x| *x *= factor as f32);
        Ok(x)
    }

    fn add(&self, x: &mut States, y: States) -> Result<(), StageError> {
        x.numbers.iter_mut().zip(&y.numbers).for_each(|(x, y)| *x += y);
        Ok(())
    }

    fn normed(&self, norm: &Self::Norm, x: &States) -> Result<States, StageError> {
        let mut out = vec![0.0; x.numbers.len()];
        normed(norm, &x.numbers, &mut out);
        Ok(States::new(out, x.width))
    }

    fn linear(&self, matrix: &Linear, x: &States) -> Result<States, StageError> {
        let (width, add) = (matrix.width, matrix.bias.is_some());
        let mut out = match &matrix.bias {
            Some(bias) => bias.repeat(x.tokens()),
            None => vec![0.0; x.tokens() * width],
        };
        matrix.multiply(x, &mut out, add);
        Ok(States::new(out, width))
    }

    fn add_linear(&self, x: &mut States, matrix: &Linear, y: &States) -> Result<(), StageError> {
        if let Some(bias) = &matrix.bias {
            for row in x.numbers.chunks_exact_mut(x.width) {
                row.iter_mut().zip(bias).for_each(|(x, bias)| *x += bias);
            }
        }
        matrix.multiply(y, &mut x.numbers, true);
        Ok(())
    }

    fn attend(
        &self,
        config: &Config,
        index: usize,
        head_norms: Option<&[Self::Norm; 2]>,
        mut qkv: States,
        step: &mut Step<'_>,
    ) -> Result<States, StageError> {
        let (query, key) = config.query_and_key_widths();
        let kind = config.layers[index];
        for (token, row) in qkv.numbers.chunks_exact_mut(qkv.stride).enumerate() {
            if let Some([of_query, of_key]) = head_norms {
                norm_in_place(of_query, &mut row[..query]);
                norm_in_place(of_key, &mut row[query..query + key]);
            }
            if let Some(rotary) = kind.rotary {
                let (cos, sin) = step.angles[rotary].of(token, config.rotaries[rotary].pairs());
                rope(
                    &mut row[..query + key],
                    config.head_width,
                    cos,
                    sin,
                    self.neighbours,
                );
            }
        }
        let mut lines = qkv.numbers.chunks_exact(qkv.stride);
        for (tokens, cache) in &mut step.rows {
            for (new, line) in lines.by_ref().take(*tokens).enumerate() {
                cache.put(
                    config,
                    index,
                    new,
                    [&line[query..query + key], &line[query + key..]],
                );
            }
        }
        let rows = step.rows.iter().map(|(tokens, cache)| (*tokens, &**cache));
        let seen = Seen::new(config, index, step.prefix, rows);
        Ok(States::new(attended(&seen, &qkv.numbers, qkv.stride), query))
    }

    fn activate(&self, mut x: States, activation: Activation) -> Result<States, StageError> {
        activate(&mut x.numbers, activation);
        Ok(x)
    }

    fn gate(&self, mut x: States, activation: Activation) -> Result<States, StageError> {
        x.numbers
            .chunks_exact_mut(x.stride)
            .for_each(|row| gate(row, activation));
        Ok(States {
            width: x.width / 2,
            ..x
        })
    }

    fn pick(&self, x: &States, tokens: &[usize]) -> Result<States, StageError> {
        let row = |token: &usize| &x.numbers[token * x.stride..][..x.width];
        Ok(States::new(
            tokens.iter().flat_map(row).copied().collect(),
            x.width,
        ))
    }

    fn routed(&self, logits: States, routing: Routing) -> Result<Vec<Sent>, StageError> {
        Ok(route(&logits.numbers, routing))
    }

    fn add_at(&self, x: &mut States, sent: &Sent, y: States) -> Result<(), StageError> {
        let shares = sent.tokens.iter().zip(&sent.weights);
        for ((token, weight), y) in shares.zip(y.numbers.chunks_exact(y.stride)) {
            let row = &mut x.numbers[token * x.stride..][..x.width];
            row.iter_mut().zip(y).for_each(|(x, y)| *x += weight * y);
        }
        Ok(())
    }

    fn capped(&self, mut x: States, cap: f64) -> Result<States, StageError> {
        let cap = cap as f32;
        let capped = |logit: &mut f32| *logit = cap * (*logit / cap).tanh();
        x.numbers.iter_mut().for_each(capped);
        Ok(x)
    }
}

fn normed(norm: &Norm<Vec<f32>>, x: &[f32], out: &mut [f32]) {
    match &norm.bias {
        None => rms_norm(x, &norm.weight, norm.epsilon, out),
        Some(bias) => layer_norm(x, &norm.weight, bias, norm.epsilon, out),
    }
}

fn norm_in_place(norm: &Norm<Vec<f32>>, heads: &mut [f32]) {
    let given = heads.to_vec();
    normed(norm, &given, heads);
}

impl CpuDecoder {
    /// Takes the weights.
    ///
    /// # Errors
    /// If a tensor is missing, misshapen or of an unknown type; all such tensors are told.
    pub fn load(config: Config, layout: &Layout, weights: &mut dyn Weights) -> Result<Self, StageError> {
        let neighbours = layout.neighbours;
        Self::build(config, layout, weights, Cpu { neighbours })
    }

    /// The states of every row's tokens, at least one each, behind `prefix` and its own cache.
    fn forward(&self, prefix: &Cache, rows: &mut [Row<'_>]) -> Result<States, StageError> {
        let tokens: Vec<u32> = rows.iter().flat_map(|row| row.tokens).copied().collect();
        let positions: Vec<usize> = rows
            .iter()
            .flat_map(|row| (prefix.tokens() + row.cache.tokens()..).take(row.tokens.len()))
            .collect();
        let rotaries = self.config().rotaries.iter();
        let mut step = Step {
            prefix,
            angles: rotaries.map(|rotary| rotary.angles(&positions)).collect(),
            rows: rows
                .iter_mut()
                .map(|row| (row.tokens.len(), &mut *row.cache))
                .collect(),
        };
        let states = self.states(&tokens, &positions, &mut step)?;
        for row in rows {
            row.cache.advance(row.tokens.len());
        }
        Ok(states)
    }

    /// Feeds a row all but the last pass of its tokens, and gives these.
    fn fed_but_last<'t>(
        &self,
        prefix: &Cache,
        cache: &mut Cache,
        mut tokens: &'t [u32],
    ) -> Result<&'t [u32], StageError> {
        while let Some((first, rest)) = tokens.split_at_checked(PASS).filter(|(_, rest)| !rest.is_empty()) {
            self.forward(prefix, &mut [Row { tokens: first, cache }])?;
            tokens = rest;
        }
        Ok(tokens)
    }
}

/// Where the last tokens of rows stand among those of all.
fn ends(rows: &[Row<'_>]) -> Vec<usize> {
    let ends = rows.iter().scan(0, |end, row| {
        *end += row.tokens.len();
        Some(end.saturating_sub(1))
    });
    ends.collect()
}

impl Decoder for CpuDecoder {
    const GROUPS_AT_ONCE: bool = true;
    const MOST_ROWS: usize = 48;
    type Prefix = Cache;
    type Group = Vec<Cache>;

    fn cache_bytes(&self) -> usize {
        512 << 20
    }

    fn prefix(&self, tokens: &[u32]) -> Result<Cache, StageError> {
        let mut cache = Cache::default();
        for tokens in tokens.chunks(PASS) {
            let row = Row {
                tokens,
                cache: &mut cache,
            };
            self.forward(&Cache::default(), &mut [row])?;
        }
        Ok(cache)
    }

    fn group(&self, _: &Cache, rows: usize) -> Result<Vec<Cache>, StageError> {
        Ok(vec![Cache::default(); rows])
    }

    fn step(
        &self,
        prefix: &Cache,
        group: &mut Vec<Cache>,
        feeds: &[&[u32]],
    ) -> Result<Vec<Vec<f32>>, StageError> {
        let (mut logits, mut rows) = (Vec::new(), Vec::new());
        let (mut tokens, mut feeds) = (0, group.iter_mut().zip(feeds.iter().copied()).peekable());
        while let Some((cache, feed)) = feeds.next() {
            let last = self.fed_but_last(prefix, cache, feed)?;
            tokens += last.len();
            rows.push(Row { tokens: last, cache });
            let room = |next: &(&mut Cache, &[u32])| tokens + next.1.len() <= PASS;
            if !feeds.peek().is_some_and(room) {
                let states = self.forward(prefix, &mut rows)?;
                let numbers = self.logits(&states, &ends(&rows))?.numbers;
                let of_rows = numbers.chunks_exact(self.config().vocab_size);
                logits.extend(of_rows.map(<[f32]>::to_vec));
                (tokens, rows) = (0, Vec::new());
            }
        }
        Ok(logits)
    }

    fn keep(&self, group: &mut Vec<Cache>, rows: &[usize]) -> Result<(), StageError> {
        *group = rows.iter().map(|row| std::mem::take(&mut group[*row])).collect();
        Ok(())
    }

    fn join(&self, group: &mut Vec<Cache>, mut others: Vec<Cache>) -> Result<(), StageError> {
        group.append(&mut others);
        Ok(())
    }

    fn row_bytes(&self, _: usize, tokens: usize) -> usize {
        Cache::bytes(self.config(), tokens)
    }
}
