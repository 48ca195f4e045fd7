//! The parts of a decoder computed with candle's tensors, in f32 or bf16. Fused operations without gradients.

use ablate_core::StageError;
use candle_core::{DType, Device, Tensor, shape::ShapeWithOneHole};
use candle_nn::{
    ops::{layer_norm, rms_norm, softmax_last_dim},
    rotary_emb::{rope, rope_i},
};

use super::{
    Activation, Config, TensorSpec, Weights,
    experts::{Routing, Sent, route},
    group::{Group, Slots},
    skeleton::{Backend, Load},
    weights::{MatrixSpec, Norm},
};
use crate::Precision;

/// Computes with candle's tensors.
pub struct Tensors {
    pub(super) device: Device,
    pub(super) precision: Precision,
    /// Whether a rotation pairs numbers that stand beside each other.
    pub(super) neighbours: bool,
}

/// A linear layer: `(out, in)` and `(out)`.
pub(super) struct Layer {
    weight: Tensor,
    bias: Option<Tensor>,
}

/// What the layers share in a step of `rows` rows of `tokens` tokens, padding included.
pub(super) struct Step<'s> {
    group: &'s mut Group,
    rows: usize,
    pub(super) tokens: usize,
    /// Cosines and sines, `(rows, tokens, pairs)`, by rotation.
    turns: Vec<(Tensor, Tensor)>,
    /// What each token may see, `(rows, 1, tokens, slots)`, by window.
    masks: Vec<(Option<usize>, Tensor)>,
}

impl Tensors {
    /// Numbers as they are computed with.
    fn tensor<S: ShapeWithOneHole>(&self, numbers: Vec<f32>, shape: S) -> candle_core::Result<Tensor> {
        Tensor::from_vec(numbers, shape, &self.device)?.to_dtype(self.precision.dtype())
    }

    /// What a step of these feeds needs, and the position of each token, padding included.
    pub(super) fn step<'s>(
        &self,
        config: &Config,
        group: &'s mut Group,
        feeds: &[&[u32]],
    ) -> candle_core::Result<(Step<'s>, Vec<usize>)> {
        let (rows, tokens) = (
            feeds.len(),
            feeds.iter().map(|feed| feed.len()).max().unwrap_or(0),
        );
        let positions: Vec<usize> = group.positions(tokens).collect();
        let turn = |table: Vec<f32>| self.tensor(table, (rows, tokens, ()));
        let turns = config.rotaries.iter().map(|rotary| {
            let angles = rotary.angles(&positions);
            Ok((turn(angles.cos)?, turn(angles.sin)?))
        });
        let turns = turns.collect::<candle_core::Result<_>>()?;
        group.reserve(config, (self.precision.dtype(), &self.device), tokens)?;
        group.feed(feeds, tokens);
        let mut windows: Vec<Option<usize>> = config.layers.iter().map(|layer| layer.window).collect();
        windows.sort_unstable();
        windows.dedup();
        let masks = windows.into_iter().map(|window| {
            let mask = group.mask(tokens, window);
            let mask = Tensor::from_vec(mask, (rows, 1, tokens, group.used), &self.device)?;
            Ok((window, mask))
        });
        let masks = masks.collect::<candle_core::Result<_>>()?;
        let step = Step {
            group,
            rows,
            tokens,
            turns,
            masks,
        };
        Ok((step, positions))
    }

    /// Rotates the first numbers of each head: `(rows, heads, tokens, width)`.
    fn turned(&self, heads: &Tensor, (cos, sin): &(Tensor, Tensor)) -> candle_core::Result<Tensor> {
        let (width, turned) = (heads.dim(3)?, 2 * cos.dim(2)?);
        let turn = |part: &Tensor| match self.neighbours {
            true => rope_i(part, cos, sin),
            false => rope(part, cos, sin),
        };
        if turned == width {
            return turn(heads);
        }
        let first = turn(&heads.narrow(3, 0, turned)?.contiguous()?)?;
        Tensor::cat(&[first, heads.narrow(3, turned, width - turned)?], 3)?.contiguous()
    }

    /// The new tokens' queries; their keys and values go to the slots of layer `index`.
    fn keep(
        &self,
        config: &Config,
        index: usize,
        head_norms: Option<&[Norm<Tensor>; 2]>,
        qkv: &Tensor,
        step: &mut Step<'_>,
    ) -> candle_core::Result<Tensor> {
        let (heads, shared) = (config.num_attention_heads, config.num_key_value_heads);
        let (rows, tokens) = (step.rows, step.tokens);
        let qkv = qkv.reshape((rows, tokens, heads + 2 * shared, config.head_width))?;
        let part = |first: usize, count: usize| qkv.narrow(2, first, count)?.transpose(1, 2)?.contiguous();
        let (mut queries, mut keys) = (part(0, heads)?, part(heads, shared)?);
        if let Some([of_query, of_key]) = head_norms {
            (queries, keys) = (normed(of_query, &queries)?, normed(of_key, &keys)?);
        }
        if let Some(rotary) = config.layers[index].rotary {
            let turns = &step.turns[rotary];
            (queries, keys) = (self.turned(&queries, turns)?, self.turned(&keys, turns)?);
        }
        let from = step.group.used - tokens;
        let Slots { keys: all, values } = &step.group.layers[index];
        all.slice_set(&keys, 2, from)?;
        values.slice_set(&part(heads + shared, shared)?, 2, from)?;
        Ok(queries)
    }
}

impl Load for Tensors {
    fn matrix(&self, spec: &MatrixSpec, weights: &mut dyn Weights) -> Result<Layer, StageError> {
        let numbers = spec.take(weights)?;
        let bias = numbers.bias.map(|bias| self.tensor(bias, ((),)));
        Ok(Layer {
            weight: self.tensor(numbers.weight, (numbers.rows, numbers.cols))?,
            bias: bias.transpose()?,
        })
    }

    fn norm(&self, numbers: Norm<Vec<f32>>) -> Result<Self::Norm, StageError> {
        let bias = numbers.bias.map(|bias| self.tensor(bias, ((),)));
        Ok(Norm {
            weight: self.tensor(numbers.weight, ((),))?,
            bias: bias.transpose()?,
            epsilon: numbers.epsilon,
        })
    }

    fn table(
        &self,
        spec: &TensorSpec,
        width: usize,
        weights: &mut dyn Weights,
    ) -> Result<Tensor, StageError> {
        Ok(self.tensor(weights.take(spec)?, ((), width))?)
    }
}

impl Backend for Tensors {
    type Matrix = Layer;
    type Norm = Norm<Tensor>;
    type Table = Tensor;
    type States = Tensor;
    type Weights = Vec<f32>;
    type Step<'s> = Step<'s>;

    fn tied(&self, table: &Tensor) -> Result<Layer, StageError> {
        Ok(Layer {
            weight: table.clone(),
            bias: None,
        })
    }

    fn rows(&self, table: &Tensor, rows: &[u32]) -> Result<Tensor, StageError> {
        Ok(table.index_select(&Tensor::new(rows, &self.device)?, 0)?)
    }

    fn scale(&self, x: Tensor, factor: f64) -> Result<Tensor, StageError> {
        Ok((x * factor)?)
    }

    fn add(&self, x: &mut Tensor, y: Tensor) -> Result<(), StageError> {
        *x = (&*x + y)?;
        Ok(())
    }

    fn normed(&self, norm: &Self::Norm, x: &Tensor) -> Result<Tensor, StageError> {
        Ok(normed(norm, x)?)
    }

    fn linear(&self, matrix: &Layer, x: &Tensor) -> Result<Tensor, StageError> {
        let product = product(x, &matrix.weight.t()?)?;
        Ok(match &matrix.bias {
            Some(bias) => product.broadcast_add(bias)?,
            None => product,
        })
    }

    fn add_linear(&self, x: &mut Tensor, matrix: &Layer, y: &Tensor) -> Result<(), StageError> {
        self.add(x, self.linear(matrix, y)?)
    }

    fn attend(
        &self,
        config: &Config,
        index: usize,
        head_norms: Option<&[Self::Norm; 2]>,
        qkv: Tensor,
        step: &mut Step<'_>,
    ) -> Result<Tensor, StageError> {
        let queries = self.keep(config, index, head_norms, &qkv, step)?;
        let (heads, shared, width) = (
            config.num_attention_heads,
            config.num_key_value_heads,
            config.head_width,
        );
        let (rows, tokens, slots) = (step.rows, step.tokens, step.group.used);
        let Slots { keys, values } = &step.group.layers[index];
        // The query heads of a key-value head are one matrix, so that nothing is repeated.
        let folded = heads / shared * tokens;
        let queries = queries.reshape((rows, shared, folded, width))?;
        let scores =
            product(&queries, &keys.narrow(2, 0, slots)?.t()?)?.reshape((rows, heads, tokens, slots))?;
        let window = config.layers[index].window;
        let Some((_, mask)) = step.masks.iter().find(|(of, _)| *of == window) else {
            return Err(StageError::new("a window without a mask"));
        };
        let scores = (scores.to_dtype(DType::F32)? * config.score_scale)?;
        let weights = softmax_last_dim(&scores.broadcast_add(mask)?)?.to_dtype(self.precision.dtype())?;
        let weights = weights.reshape((rows, shared, folded, slots))?;
        Ok(product(&weights, &values.narrow(2, 0, slots)?)?
            .reshape((rows, heads, tokens, width))?
            .transpose(1, 2)?
            .reshape((rows * tokens, heads * width))?)
    }

    fn activate(&self, x: Tensor, activation: Activation) -> Result<Tensor, StageError> {
        Ok(match activation {
            Activation::Silu => x.silu(),
            Activation::Gelu => x.gelu_erf(),
            Activation::GeluTanh => x.gelu(),
            Activation::Relu => x.relu(),
        }?)
    }

    fn gate(&self, x: Tensor, activation: Activation) -> Result<Tensor, StageError> {
        let half = x.dim(1)? / 2;
        let gate = self.activate(x.narrow(1, 0, half)?, activation)?;
        Ok((gate * x.narrow(1, half, half)?)?)
    }

    fn pick(&self, x: &Tensor, tokens: &[usize]) -> Result<Tensor, StageError> {
        Ok(x.index_select(&indices(tokens, &self.device)?, 0)?)
    }

    fn routed(&self, logits: Tensor, routing: Routing) -> Result<Vec<Sent>, StageError> {
        let logits: Vec<f32> = logits.flatten_all()?.to_dtype(DType::F32)?.to_vec1()?;
        Ok(route(&logits, routing))
    }

    fn add_at(&self, x: &mut Tensor, sent: &Sent, y: Tensor) -> Result<(), StageError> {
        let weights = self.tensor(sent.weights.clone(), (sent.weights.len(), 1))?;
        *x = x.index_add(
            &indices(&sent.tokens, &self.device)?,
            &y.broadcast_mul(&weights)?,
            0,
        )?;
        Ok(())
    }

    fn capped(&self, x: Tensor, cap: f64) -> Result<Tensor, StageError> {
        Ok(((x.to_dtype(DType::F32)? / cap)?.tanh()? * cap)?)
    }
}

/// `a · b`. candle has no bf16 product on the CPU: there the factors are widened, which changes none, and the sums rounded, as
/// a device does it.
fn product(a: &Tensor, b: &Tensor) -> candle_core::Result<Tensor> {
    match (a.device(), a.dtype()) {
        (Device::Cpu, DType::BF16) => a
            .to_dtype(DType::F32)?
            .matmul(&b.to_dtype(DType::F32)?)?
            .to_dtype(DType::BF16),
        _ => a.matmul(b),
    }
}

fn normed(norm: &Norm<Tensor>, x: &Tensor) -> candle_core::Result<Tensor> {
    match &norm.bias {
        None => rms_norm(x, &norm.weight, norm.epsilon),
        Some(bias) => layer_norm(x, &norm.weight, bias, norm.epsilon),
    }
}

fn indices(tokens: &[usize], device: &Device) -> candle_core::Result<Tensor> {
    Tensor::new(
        tokens.iter().map(|token| *token as u32).collect::<Vec<_>>(),
        device,
    )
}
