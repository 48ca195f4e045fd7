//! The decoder with gradients: kernels on the CPU, candle's operations elsewhere and where there is no kernel, f32, texts one after the other
//! without padding.

use ablate_core::StageError;
use candle_core::{D, Result, Tensor};
use candle_nn::ops::softmax;

use super::{
    batch::{Batch, Seen},
    parameters::Parameters,
};
use crate::{
    Mode, Precision,
    decoder::{
        Activation, Config,
        experts::{Routing, Sent, route},
        skeleton::Backend,
        weights::Norm,
    },
    ops::{activated, adapted_linear, gated, layer_norm, masked_attention, product_nn, product_nt, rms_norm},
};

/// Computes with parameters by name.
pub(super) struct Graph<'p> {
    pub(super) parameters: &'p Parameters,
    pub(super) mode: Mode<'static>,
    /// Whether neighbouring numbers are turned together.
    pub(super) neighbours: bool,
}

/// A linear layer of a checkpoint; its parameters' names begin with `name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Module {
    pub(super) name: String,
    pub(super) bias: bool,
}

impl Module {
    /// The layer whose weight is a table.
    pub(super) fn tied(table: &str) -> Vec<Self> {
        let name = table.to_owned();
        vec![Self { name, bias: false }]
    }
}

impl Graph<'_> {
    fn value(&self, name: &str, part: &str) -> Result<Tensor> {
        self.parameters.value(&format!("{name}.{part}"), self.mode)
    }

    /// A layer's answer and what its adapter adds.
    fn product(&self, module: &Module, x: &Tensor) -> Result<Tensor> {
        let weight = self.value(&module.name, "weight")?;
        let bias = module.bias.then(|| self.value(&module.name, "bias"));
        let precision = self.mode.precision();
        let out = precision.linear(x, &weight, bias.transpose()?.as_ref())?;
        match self.parameters.added(&module.name, x, self.mode)? {
            Some(added) => out + added,
            None => Ok(out),
        }
    }

    /// The answers of layers that read the same rows, where all are frozen, have an adapter and no bias, and nothing is dropped: by one kernel.
    fn adapted(&self, layers: &[Module], x: &Tensor) -> Result<Option<Tensor>> {
        let plain = x.device().is_cpu() && self.mode.precision() == Precision::F32;
        if !plain || layers.iter().any(|layer| layer.bias) {
            return Ok(None);
        }
        let names: Vec<&str> = layers.iter().map(|layer| layer.name.as_str()).collect();
        match self.parameters.adapters(&names, self.mode)? {
            Some((weights, adapters, scale)) => adapted_linear(x, weights, &adapters, scale).map(Some),
            None => Ok(None),
        }
    }

    /// Rows of numbers, `(…, width)`, normed.
    fn norm(&self, norm: &Norm<String>, x: &Tensor) -> Result<Tensor> {
        let epsilon = f64::from(norm.epsilon);
        let rows = x.flatten_to(x.rank() - 2)?.contiguous()?;
        let weight = self.parameters.value(&norm.weight, self.mode)?;
        let normed = match &norm.bias {
            None => rms_norm(&rows, &weight, epsilon)?,
            Some(bias) => layer_norm(&rows, &weight, &self.parameters.value(bias, self.mode)?, epsilon)?,
        };
        normed.reshape(x.shape())
    }

    /// Rotates the first numbers of each head: `(tokens, heads, width)`.
    fn turned(&self, heads: &Tensor, (cos, sin): &(Tensor, Tensor)) -> Result<Tensor> {
        let (tokens, count, width) = heads.dims3()?;
        let pairs = cos.dim(2)?;
        let turned = heads.narrow(2, 0, 2 * pairs)?;
        let (pair, joined) = match self.neighbours {
            true => (turned.reshape((tokens, count, pairs, 2))?, 3),
            false => (turned.reshape((tokens, count, 2, pairs))?.transpose(2, 3)?, 2),
        };
        let (a, b) = (
            pair.narrow(3, 0, 1)?.squeeze(3)?,
            pair.narrow(3, 1, 1)?.squeeze(3)?,
        );
        let first = (a.broadcast_mul(cos)? - b.broadcast_mul(sin)?)?;
        let second = (b.broadcast_mul(cos)? + a.broadcast_mul(sin)?)?;
        let turned = Tensor::stack(&[first, second], joined)?.reshape((tokens, count, 2 * pairs))?;
        match width - 2 * pairs {
            0 => Ok(turned),
            rest => Tensor::cat(&[turned, heads.narrow(2, 2 * pairs, rest)?], 2),
        }
    }

    /// Attention of one text: queries `(tokens, heads, width)`, keys and values likewise.
    fn attention(
        &self,
        config: &Config,
        [queries, keys, values]: [Tensor; 3],
        mask: &Tensor,
    ) -> Result<Tensor> {
        let (tokens, heads, width) = queries.dims3()?;
        let shared = keys.dim(1)?;
        let precision = self.mode.precision();
        let by_head = |x: &Tensor| precision.rounded(&x.transpose(0, 1)?.contiguous()?);
        let (keys, values) = (by_head(&keys)?, by_head(&values)?);
        // The query heads of a key-value head are one matrix, so that nothing is repeated.
        let folded = (shared, heads / shared * tokens, ());
        let scores = product_nt(&by_head(&queries)?.reshape(folded)?, &keys)?;
        let scores = scores.reshape((heads, tokens, tokens))?;
        let weights = softmax(&(scores * config.score_scale)?.broadcast_add(mask)?, D::Minus1)?;
        let answers = product_nn(&precision.rounded(&weights)?.reshape(folded)?, &values)?;
        answers
            .reshape((heads, tokens, width))?
            .transpose(0, 1)?
            .reshape((tokens, heads * width))
    }

    fn attention_of_all(
        &self,
        config: &Config,
        index: usize,
        head_norms: Option<&[Norm<String>; 2]>,
        qkv: &Tensor,
        batch: &Batch,
    ) -> Result<Tensor> {
        let (heads, shared) = (config.num_attention_heads, config.num_key_value_heads);
        let qkv = qkv.reshape((qkv.dim(0)?, heads + 2 * shared, config.head_width))?;
        let (mut queries, mut keys) = (qkv.narrow(1, 0, heads)?, qkv.narrow(1, heads, shared)?);
        let values = qkv.narrow(1, heads + shared, shared)?;
        if let Some([of_query, of_key]) = head_norms {
            (queries, keys) = (self.norm(of_query, &queries)?, self.norm(of_key, &keys)?);
        }
        let tensors = match &batch.seen {
            Seen::Tensors(tensors) => tensors,
            Seen::Kernel(kernel) => {
                let qkv = match head_norms {
                    Some(_) => Tensor::cat(&[&queries, &keys, &values], 1)?,
                    None => qkv,
                };
                return masked_attention(&qkv.flatten_from(1)?, kernel.attention(config, index));
            }
        };
        if let Some(rotary) = config.layers[index].rotary {
            let turns = &tensors.turns[rotary];
            (queries, keys) = (self.turned(&queries, turns)?, self.turned(&keys, turns)?);
        }
        let masks = &tensors.masks[&config.layers[index].window];
        let mut start = 0;
        let mut answers = Vec::with_capacity(masks.len());
        for (length, mask) in batch.lengths.iter().zip(masks) {
            let part = |x: &Tensor| x.narrow(0, start, *length);
            let parts = [part(&queries)?, part(&keys)?, part(&values)?];
            answers.push(self.attention(config, parts, mask)?);
            start += length;
        }
        Tensor::cat(&answers, 0)
    }
}

impl Backend for Graph<'_> {
    /// Side by side.
    type Matrix = Vec<Module>;
    type Norm = Norm<String>;
    type Table = String;
    type States = Tensor;
    type Weights = Tensor;
    type Step<'s> = &'s Batch;

    fn tied(&self, table: &String) -> std::result::Result<Vec<Module>, StageError> {
        Ok(Module::tied(table))
    }

    fn rows(&self, table: &String, rows: &[u32]) -> std::result::Result<Tensor, StageError> {
        let table = self.value(table, "weight")?;
        Ok(table.index_select(&Tensor::new(rows, table.device())?, 0)?)
    }

    fn scale(&self, x: Tensor, factor: f64) -> std::result::Result<Tensor, StageError> {
        Ok((x * factor)?)
    }

    fn add(&self, x: &mut Tensor, y: Tensor) -> std::result::Result<(), StageError> {
        *x = (&*x + y)?;
        Ok(())
    }

    fn normed(&self, norm: &Norm<String>, x: &Tensor) -> std::result::Result<Tensor, StageError> {
        Ok(self.norm(norm, x)?)
    }

    fn linear(&self, matrix: &Vec<Module>, x: &Tensor) -> std::result::Result<Tensor, StageError> {
        if let Some(answers) = self.adapted(matrix, x)? {
            return Ok(answers);
        }
        let answers = matrix.iter().map(|module| self.product(module, x));
        let mut answers = answers.collect::<Result<Vec<_>>>()?;
        Ok(match answers.len() {
            1 => answers.remove(0),
            _ => Tensor::cat(&answers, 1)?,
        })
    }

    fn add_linear(
        &self,
        x: &mut Tensor,
        matrix: &Vec<Module>,
        y: &Tensor,
    ) -> std::result::Result<(), StageError> {
        self.add(x, self.linear(matrix, y)?)
    }

    fn attend(
        &self,
        config: &Config,
        index: usize,
        head_norms: Option<&[Norm<String>; 2]>,
        qkv: Tensor,
        batch: &mut &Batch,
    ) -> std::result::Result<Tensor, StageError> {
        Ok(self.attention_of_all(config, index, head_norms, &qkv, batch)?)
    }

    fn activate(&self, x: Tensor, activation: Activation) -> std::result::Result<Tensor, StageError> {
        Ok(activated(&x, activation)?)
    }

    fn gate(&self, x: Tensor, activation: Activation) -> std::result::Result<Tensor, StageError> {
        Ok(gated(&x, activation)?)
    }

    fn capped(&self, x: Tensor, cap: f64) -> std::result::Result<Tensor, StageError> {
        Ok(((x / cap)?.tanh()? * cap)?)
    }

    fn pick(&self, x: &Tensor, tokens: &[usize]) -> std::result::Result<Tensor, StageError> {
        let tokens: Vec<u32> = tokens.iter().map(|token| *token as u32).collect();
        Ok(x.index_select(&Tensor::new(tokens, x.device())?, 0)?)
    }

    /// Which experts are asked has no gradient; how much each counts has one.
    fn routed(&self, logits: Tensor, routing: Routing) -> std::result::Result<Vec<Sent<Tensor>>, StageError> {
        let (tokens, count) = logits.dims2()?;
        let sent = route(&logits.detach().flatten_all()?.to_vec1::<f32>()?, routing);
        let mut chosen = vec![0_f32; tokens * count];
        for (expert, sent) in sent.iter().enumerate() {
            sent.tokens
                .iter()
                .for_each(|token| chosen[token * count + expert] = 1.0);
        }
        let chosen = Tensor::from_vec(chosen, (tokens, count), logits.device())?;
        let mut shares = (softmax(&logits, D::Minus1)? * chosen)?;
        if routing.renormalise {
            shares = shares.broadcast_div(&shares.sum_keepdim(D::Minus1)?)?;
        }
        let of_expert = |(expert, sent): (usize, Sent)| {
            let weights = shares.narrow(1, expert, 1)?.contiguous()?;
            Ok(Sent {
                weights: self.pick(&weights, &sent.tokens)?,
                tokens: sent.tokens,
            })
        };
        sent.into_iter().enumerate().map(of_expert).collect()
    }

    fn add_at(&self, x: &mut Tensor, sent: &Sent<Tensor>, y: Tensor) -> std::result::Result<(), StageError> {
        let tokens: Vec<u32> = sent.tokens.iter().map(|token| *token as u32).collect();
        let tokens = Tensor::new(tokens, x.device())?;
        *x = x.index_add(&tokens, &y.broadcast_mul(&sent.weights)?, 0)?;
        Ok(())
    }
}
