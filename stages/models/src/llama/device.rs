//! The decoder on a device, with candle's tensors, in f32 as the stage's numeric mode says. Fused operations without
//! gradients.

use ablate_core::StageError;
use candle_core::{DType, Device, DeviceLocation, Result, Tensor};
use candle_nn::{
    ops::{rms_norm, silu, softmax_last_dim},
    rotary_emb::{rope, rope_i},
};

use super::{
    Config, Decoder, Weights,
    group::{Cache, Group},
};

struct Layer {
    attention_norm: Tensor,
    /// `(query + key + value, hidden)`.
    qkv: Tensor,
    output: Tensor,
    feed_forward_norm: Tensor,
    /// `(gate + up, hidden)`.
    gate_up: Tensor,
    down: Tensor,
}

/// A model whose weights stand on a device.
pub struct DeviceLlama {
    config: Config,
    device: Device,
    /// What states and weights are kept in.
    dtype: DType,
    /// `(vocabulary, hidden)`.
    embeddings: Tensor,
    layers: Vec<Layer>,
    /// Final norm and head are f32: bf16 would make ties of close logits.
    norm: Tensor,
    /// `(vocabulary, hidden)`.
    head: Tensor,
    /// Cosines and sines, `(positions, head width / 2)`.
    turns: (Tensor, Tensor),
}

/// What the layers share in a step of `rows` rows of `tokens` tokens, padding included.
struct Step {
    rows: usize,
    tokens: usize,
    /// Cosines and sines, `(rows, tokens, head width / 2)`.
    turns: (Tensor, Tensor),
    /// What each token may see, as [`Group::mask`] has it: `(rows, 1, tokens, slots)`.
    mask: Tensor,
}

impl DeviceLlama {
    /// Takes the weights to `device`.
    pub fn load<W: Weights>(
        config: Config,
        weights: &mut W,
        device: &Device,
    ) -> std::result::Result<Self, W::Error>
    where
        W::Error: From<candle_core::Error>,
    {
        let dtype = DType::F32;
        let (hidden, table) = (config.hidden_size, [config.vocab_size, config.hidden_size]);
        let embeddings = tensor(weights.take("model.embed_tokens.weight", &table)?, hidden, device)?;
        let layers = (0..config.num_hidden_layers)
            .map(|index| layer(&config, index, weights, (device, dtype)))
            .collect::<std::result::Result<_, W::Error>>()?;
        let norm = Tensor::from_vec(weights.take("model.norm.weight", &[hidden])?, hidden, device)?;
        let head = match weights.has("lm_head.weight") {
            true => tensor(weights.take("lm_head.weight", &table)?, hidden, device)?,
            false => embeddings.clone(),
        };
        Ok(Self {
            turns: turns(&config, device, dtype)?,
            embeddings: embeddings.to_dtype(dtype)?,
            device: device.clone(),
            config,
            dtype,
            layers,
            norm,
            head,
        })
    }

    /// The model's shape.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where it computes and in what numbers: `cuda:0 in f32`.
    pub fn place(&self) -> String {
        let device = match self.device.location() {
            DeviceLocation::Cpu => "cpu".to_owned(),
            DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
            DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
        };
        format!("{device} in {}", self.dtype.as_str())
    }

    /// The states, `(rows · tokens, hidden)`, after all layers.
    fn states(&self, group: &mut Group, feeds: &[&[u32]]) -> Result<Tensor> {
        let step = self.begin(group, feeds)?;
        let padded = |feed: &&[u32]| {
            let empty = step.tokens - feed.len();
            feed.iter()
                .copied()
                .chain(std::iter::repeat_n(0, empty))
                .collect::<Vec<_>>()
        };
        let ids: Vec<u32> = feeds.iter().flat_map(padded).collect();
        let mut x = self
            .embeddings
            .index_select(&Tensor::new(ids, &self.device)?, 0)?;
        let from = group.used - step.tokens;
        for (layer, cache) in self.layers.iter().zip(&group.caches) {
            x = (&x + self.attention(layer, cache, from, &step, &x)?)?;
            x = (&x + self.feed_forward(layer, &x)?)?;
        }
        Ok(x)
    }

    /// Makes room for the feeds and notes them.
    fn begin(&self, group: &mut Group, feeds: &[&[u32]]) -> Result<Step> {
        let (rows, tokens) = (
            feeds.len(),
            feeds.iter().map(|feed| feed.len()).max().unwrap_or(0),
        );
        let last = self.config.max_position_embeddings.saturating_sub(1);
        let positions: Vec<u32> = group
            .rows
            .iter()
            .flat_map(|row| (row.tokens..row.tokens + tokens).map(|position| position.min(last) as u32))
            .collect();
        let positions = Tensor::new(positions, &self.device)?;
        let turn = |table: &Tensor| table.index_select(&positions, 0)?.reshape((rows, tokens, ()));
        let turns = (turn(&self.turns.0)?, turn(&self.turns.1)?);
        group.reserve(&self.config, (&self.device, self.dtype), tokens)?;
        group.used += tokens;
        for (row, feed) in group.rows.iter_mut().zip(feeds) {
            row.tokens += feed.len();
            row.slots.extend((0..tokens).map(|at| at < feed.len()));
        }
        Ok(Step {
            rows,
            tokens,
            turns,
            mask: group.mask(tokens, &self.device)?,
        })
    }

    /// Attention of the new tokens, whose keys and values go to the slots from `from` on.
    fn attention(
        &self,
        layer: &Layer,
        cache: &Cache,
        from: usize,
        step: &Step,
        x: &Tensor,
    ) -> Result<Tensor> {
        let config = &self.config;
        let (heads, shared, width) = (
            config.num_attention_heads,
            config.num_key_value_heads,
            config.head_width(),
        );
        let (rows, tokens, slots) = (step.rows, step.tokens, from + step.tokens);
        let normed = rms_norm(x, &layer.attention_norm, config.rms_norm_eps as f32)?;
        let qkv = normed
            .matmul(&layer.qkv.t()?)?
            .reshape((rows, tokens, heads + 2 * shared, width))?;
        let part = |first: usize, count: usize| qkv.narrow(2, first, count)?.transpose(1, 2)?.contiguous();
        let queries = self.turned(&part(0, heads)?, step)?;
        cache
            .keys
            .slice_set(&self.turned(&part(heads, shared)?, step)?, 2, from)?;
        cache.values.slice_set(&part(heads + shared, shared)?, 2, from)?;
        // The query heads of a key-value head are one matrix, so that nothing is repeated.
        let folded = (rows, shared, heads / shared * tokens);
        let scores = queries
            .reshape((folded.0, folded.1, folded.2, width))?
            .matmul(&cache.keys.narrow(2, 0, slots)?.t()?)?
            .reshape((rows, heads, tokens, slots))?;
        let scores = (scores.to_dtype(DType::F32)? * (1.0 / (width as f64).sqrt()))?;
        let weights = softmax_last_dim(&scores.broadcast_add(&step.mask)?)?.to_dtype(self.dtype)?;
        weights
            .reshape((folded.0, folded.1, folded.2, slots))?
            .matmul(&cache.values.narrow(2, 0, slots)?)?
            .reshape((rows, heads, tokens, width))?
            .transpose(1, 2)?
            .reshape((rows * tokens, heads * width))?
            .matmul(&layer.output.t()?)
    }

    fn turned(&self, heads: &Tensor, step: &Step) -> Result<Tensor> {
        let (cos, sin) = &step.turns;
        match self.config.neighbours {
            true => rope_i(heads, cos, sin),
            false => rope(heads, cos, sin),
        }
    }

    fn feed_forward(&self, layer: &Layer, x: &Tensor) -> Result<Tensor> {
        let inner = self.config.intermediate_size;
        let normed = rms_norm(x, &layer.feed_forward_norm, self.config.rms_norm_eps as f32)?;
        let gate_up = normed.matmul(&layer.gate_up.t()?)?;
        let (gate, up) = (gate_up.narrow(1, 0, inner)?, gate_up.narrow(1, inner, inner)?);
        (silu(&gate)? * up)?.matmul(&layer.down.t()?)
    }

    /// The logits after each feed's last token, in one copy to the host.
    fn logits(&self, x: &Tensor, feeds: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
        let tokens = x.dim(0)? / feeds.len();
        let last = |(row, feed): (usize, &&[u32])| (row * tokens + feed.len().max(1) - 1) as u32;
        let last: Vec<u32> = feeds.iter().enumerate().map(last).collect();
        let last = x
            .index_select(&Tensor::new(last, &self.device)?, 0)?
            .to_dtype(DType::F32)?;
        let normed = rms_norm(&last, &self.norm, self.config.rms_norm_eps as f32)?;
        normed.matmul(&self.head.t()?)?.to_vec2()
    }
}

impl Decoder for DeviceLlama {
    const GROUPS_AT_ONCE: bool = false;
    type Prefix = Group;
    type Group = Group;

    fn prefix(&self, tokens: &[u32]) -> std::result::Result<Group, StageError> {
        let mut group = Group::of(1);
        if !tokens.is_empty() {
            self.states(&mut group, &[tokens])?;
        }
        Ok(group)
    }

    fn group(&self, prefix: &Group, rows: usize) -> std::result::Result<Group, StageError> {
        Ok(prefix.copies(rows)?)
    }

    fn step(
        &self,
        _: &Group,
        group: &mut Group,
        feeds: &[&[u32]],
    ) -> std::result::Result<Vec<Vec<f32>>, StageError> {
        let states = self.states(group, feeds)?;
        Ok(self.logits(&states, feeds)?)
    }

    fn keep(&self, group: &mut Group, rows: &[usize]) -> std::result::Result<(), StageError> {
        Ok(group.keep(rows, &self.device)?)
    }
}

/// Rows of `width` numbers, f32.
fn tensor(numbers: Vec<f32>, width: usize, device: &Device) -> Result<Tensor> {
    let rows = numbers.len() / width.max(1);
    Tensor::from_vec(numbers, (rows, width), device)
}

/// Cosines and sines of every position.
fn turns(config: &Config, device: &Device, dtype: DType) -> Result<(Tensor, Tensor)> {
    let frequencies = config.inverse_frequencies();
    let table = |f: fn(f64) -> f64| {
        let row = |position: usize| {
            frequencies
                .iter()
                .map(move |turn| f(position as f64 * turn) as f32)
        };
        let all: Vec<f32> = (0..config.max_position_embeddings).flat_map(row).collect();
        tensor(all, frequencies.len(), device)?.to_dtype(dtype)
    };
    Ok((table(f64::cos)?, table(f64::sin)?))
}

fn layer<W: Weights>(
    config: &Config,
    index: usize,
    weights: &mut W,
    (device, dtype): (&Device, DType),
) -> std::result::Result<Layer, W::Error>
where
    W::Error: From<candle_core::Error>,
{
    let (hidden, kv, inner) = (
        config.hidden_size,
        config.key_value_width(),
        config.intermediate_size,
    );
    let mut join = |parts: &[(&str, usize)], width: usize| -> std::result::Result<Tensor, W::Error> {
        let mut all = Vec::new();
        for (name, rows) in parts {
            all.extend(weights.take(&format!("model.layers.{index}.{name}.weight"), &[*rows, width])?);
        }
        Ok(tensor(all, width, device)?.to_dtype(dtype)?)
    };
    let qkv = join(
        &[
            ("self_attn.q_proj", hidden),
            ("self_attn.k_proj", kv),
            ("self_attn.v_proj", kv),
        ],
        hidden,
    )?;
    let output = join(&[("self_attn.o_proj", hidden)], hidden)?;
    let gate_up = join(&[("mlp.gate_proj", inner), ("mlp.up_proj", inner)], hidden)?;
    let down = join(&[("mlp.down_proj", hidden)], inner)?;
    let mut norm = |name: &str| -> std::result::Result<Tensor, W::Error> {
        let numbers = weights.take(&format!("model.layers.{index}.{name}.weight"), &[hidden])?;
        Ok(Tensor::from_vec(numbers, hidden, device)?.to_dtype(dtype)?)
    };
    Ok(Layer {
        attention_norm: norm("input_layernorm")?,
        qkv,
        output,
        feed_forward_norm: norm("post_attention_layernorm")?,
        gate_up,
        down,
    })
}
