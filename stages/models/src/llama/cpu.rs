//! The decoder on the CPU: f32, over the bit-stable products of [`crate::ops`].

use ablate_core::StageError;

use super::{Config, Decoder, Weights};
use crate::ops::{
    decoder::{Segment, attend, rms_norm, rope, swiglu},
    product::{Matrix, Packed, multiply},
};

struct Layer {
    attention_norm: Vec<f32>,
    /// `hidden × (query + key + value)`.
    qkv: Packed,
    output: Packed,
    feed_forward_norm: Vec<f32>,
    /// `hidden × (gate + up)`.
    gate_up: Packed,
    down: Packed,
}

/// A loaded model.
pub struct Llama {
    config: Config,
    /// `vocabulary × hidden`.
    embeddings: Vec<f32>,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    /// `hidden × vocabulary`; the embeddings where they are tied.
    head: Packed,
    inverse_frequencies: Vec<f64>,
}

/// Keys and values of a stretch of tokens, by layer.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    layers: Vec<(Vec<f32>, Vec<f32>)>,
    tokens: usize,
}

impl Cache {
    /// How many tokens it holds.
    pub fn len(&self) -> usize {
        self.tokens
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.tokens == 0
    }
}

/// A row under way: new tokens after a cache of its own, behind an optional prefix it shares.
pub struct Row<'a> {
    /// Tokens to feed.
    pub tokens: &'a [u32],
    /// The row's own cache; the tokens are added to it.
    pub cache: &'a mut Cache,
}

impl Llama {
    /// Takes the weights.
    pub fn load<W: Weights>(config: Config, weights: &mut W) -> Result<Self, W::Error> {
        let hidden = config.hidden_size;
        let pack =
            |w: Vec<f32>, rows: usize, cols: usize| Packed::new(Matrix::new(&w, rows, cols).transposed());
        let embeddings = weights.take("model.embed_tokens.weight", &[config.vocab_size, hidden])?;
        let layers = (0..config.num_hidden_layers)
            .map(|i| layer(&config, i, weights, &pack))
            .collect::<Result<_, _>>()?;
        let norm = weights.take("model.norm.weight", &[hidden])?;
        let head = match weights.has("lm_head.weight") {
            true => pack(
                weights.take("lm_head.weight", &[config.vocab_size, hidden])?,
                config.vocab_size,
                hidden,
            ),
            false => pack(embeddings.clone(), config.vocab_size, hidden),
        };
        let inverse_frequencies = config.inverse_frequencies();
        Ok(Self {
            config,
            embeddings,
            layers,
            norm,
            head,
            inverse_frequencies,
        })
    }

    /// The model's shape.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Feeds the tokens of every row behind `prefix` and its own cache; gives the logits (`vocabulary` each) after
    /// each row's last token. Runs on this thread.
    pub fn forward(&self, prefix: &Cache, rows: &mut [Row<'_>]) -> Vec<Vec<f32>> {
        let hidden = self.config.hidden_size;
        let mut x: Vec<f32> = Vec::new();
        for token in rows.iter().flat_map(|row| row.tokens) {
            let at = *token as usize * hidden;
            x.extend(&self.embeddings[at..at + hidden]);
        }
        let angles = self.angles(prefix, rows);
        for (index, layer) in self.layers.iter().enumerate() {
            self.attention(index, layer, prefix, rows, &angles, &mut x);
            self.feed_forward(layer, &mut x);
        }
        rows.iter_mut()
            .for_each(|row| row.cache.tokens += row.tokens.len());
        self.logits(rows, &x)
    }

    /// Cosines and sines of every new token's position.
    fn angles(&self, prefix: &Cache, rows: &[Row<'_>]) -> Vec<(Vec<f32>, Vec<f32>)> {
        let positions = rows.iter().flat_map(|row| {
            let first = prefix.len() + row.cache.len();
            first..first + row.tokens.len()
        });
        let angle = |position: usize| {
            let turns = self
                .inverse_frequencies
                .iter()
                .map(|frequency| position as f64 * frequency);
            turns.map(|turn| (turn.cos() as f32, turn.sin() as f32)).unzip()
        };
        positions.map(angle).collect()
    }

    fn attention(
        &self,
        index: usize,
        layer: &Layer,
        prefix: &Cache,
        rows: &mut [Row<'_>],
        angles: &[(Vec<f32>, Vec<f32>)],
        x: &mut [f32],
    ) {
        let config = &self.config;
        let (hidden, width, kv) = (config.hidden_size, config.head_width(), config.key_value_width());
        let mut normed = vec![0.0; x.len()];
        rms_norm(x, &layer.attention_norm, config.rms_norm_eps as f32, &mut normed);
        let tokens = x.len() / hidden;
        let stride = hidden + 2 * kv;
        let mut qkv = vec![0.0; tokens * stride];
        multiply(
            Matrix::new(&normed, tokens, hidden),
            &layer.qkv,
            &mut qkv,
            stride,
            false,
        );
        for (row, (cos, sin)) in qkv.chunks_exact_mut(stride).zip(angles) {
            rope(&mut row[..hidden + kv], width, cos, sin, config.neighbours);
        }
        let (mut scores, mut at) = (Vec::new(), 0);
        for row in rows {
            let cache = &mut *row.cache;
            cache
                .layers
                .resize_with(config.num_hidden_layers, Default::default);
            let own = cache.tokens;
            for new in 0..row.tokens.len() {
                let line = &qkv[(at + new) * stride..(at + new + 1) * stride];
                cache.layers[index].0.extend(&line[hidden..hidden + kv]);
                cache.layers[index].1.extend(&line[hidden + kv..]);
            }
            for new in 0..row.tokens.len() {
                let shared = prefix
                    .layers
                    .get(index)
                    .map(|(keys, values)| segment(keys, values, prefix.tokens, kv));
                let (keys, values) = &cache.layers[index];
                let own = segment(keys, values, own + new + 1, kv);
                let (query, out) = ((at + new) * stride, (at + new) * hidden);
                let out = &mut normed[out..out + hidden];
                let query = &qkv[query..query + hidden];
                match shared {
                    Some(shared) => attend(query, &[shared, own], width, &mut scores, out),
                    None => attend(query, &[own], width, &mut scores, out),
                }
            }
            at += row.tokens.len();
        }
        multiply(
            Matrix::new(&normed, tokens, hidden),
            &layer.output,
            x,
            hidden,
            true,
        );
    }

    fn feed_forward(&self, layer: &Layer, x: &mut [f32]) {
        let (hidden, inner) = (self.config.hidden_size, self.config.intermediate_size);
        let tokens = x.len() / hidden;
        let mut normed = vec![0.0; x.len()];
        rms_norm(
            x,
            &layer.feed_forward_norm,
            self.config.rms_norm_eps as f32,
            &mut normed,
        );
        let mut gate_up = vec![0.0; tokens * 2 * inner];
        multiply(
            Matrix::new(&normed, tokens, hidden),
            &layer.gate_up,
            &mut gate_up,
            2 * inner,
            false,
        );
        gate_up.chunks_exact_mut(2 * inner).for_each(swiglu);
        multiply(
            Matrix::window(&gate_up, tokens, inner, 2 * inner),
            &layer.down,
            x,
            hidden,
            true,
        );
    }

    fn logits(&self, rows: &[Row<'_>], x: &[f32]) -> Vec<Vec<f32>> {
        let (hidden, vocabulary) = (self.config.hidden_size, self.config.vocab_size);
        let ends = rows.iter().scan(0, |at, row| {
            *at += row.tokens.len();
            Some(*at)
        });
        let last: Vec<f32> = ends
            .flat_map(|end| x[(end - 1) * hidden..end * hidden].iter().copied())
            .collect();
        let mut normed = vec![0.0; last.len()];
        rms_norm(&last, &self.norm, self.config.rms_norm_eps as f32, &mut normed);
        let mut logits = vec![0.0; rows.len() * vocabulary];
        multiply(
            Matrix::new(&normed, rows.len(), hidden),
            &self.head,
            &mut logits,
            vocabulary,
            false,
        );
        logits.chunks_exact(vocabulary).map(<[f32]>::to_vec).collect()
    }
}

impl Decoder for Llama {
    const GROUPS_AT_ONCE: bool = true;
    type Prefix = Cache;
    type Group = Vec<Cache>;

    fn prefix(&self, tokens: &[u32]) -> Result<Cache, StageError> {
        let mut cache = Cache::default();
        if !tokens.is_empty() {
            let row = Row {
                tokens,
                cache: &mut cache,
            };
            self.forward(&Cache::default(), &mut [row]);
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
        let row = |(cache, tokens)| Row { tokens, cache };
        let mut rows: Vec<Row<'_>> = group.iter_mut().zip(feeds.iter().copied()).map(row).collect();
        Ok(self.forward(prefix, &mut rows))
    }

    fn keep(&self, group: &mut Vec<Cache>, rows: &[usize]) -> Result<(), StageError> {
        *group = rows.iter().map(|row| std::mem::take(&mut group[*row])).collect();
        Ok(())
    }
}

fn segment<'a>(keys: &'a [f32], values: &'a [f32], rows: usize, stride: usize) -> Segment<'a> {
    Segment {
        keys,
        values,
        rows,
        stride,
    }
}

fn layer<W: Weights>(
    config: &Config,
    index: usize,
    weights: &mut W,
    pack: &impl Fn(Vec<f32>, usize, usize) -> Packed,
) -> Result<Layer, W::Error> {
    let (hidden, kv, inner) = (
        config.hidden_size,
        config.key_value_width(),
        config.intermediate_size,
    );
    let mut take =
        |name: &str, shape: &[usize]| weights.take(&format!("model.layers.{index}.{name}.weight"), shape);
    let mut qkv = take("self_attn.q_proj", &[hidden, hidden])?;
    qkv.extend(take("self_attn.k_proj", &[kv, hidden])?);
    qkv.extend(take("self_attn.v_proj", &[kv, hidden])?);
    let mut gate_up = take("mlp.gate_proj", &[inner, hidden])?;
    gate_up.extend(take("mlp.up_proj", &[inner, hidden])?);
    Ok(Layer {
        attention_norm: take("input_layernorm", &[hidden])?,
        qkv: pack(qkv, hidden + 2 * kv, hidden),
        output: pack(take("self_attn.o_proj", &[hidden, hidden])?, hidden, hidden),
        feed_forward_norm: take("post_attention_layernorm", &[hidden])?,
        gate_up: pack(gate_up, 2 * inner, hidden),
        down: pack(take("mlp.down_proj", &[hidden, inner])?, hidden, inner),
    })
}
