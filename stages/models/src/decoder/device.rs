//! The decoder on a device: rows padded to one length go through [`super::candle`] together.

use ablate_core::StageError;
use candle_core::{D, DType, Device, DeviceLocation, Tensor};

use super::{Config, Decoder, Layout, Transformer, Weights, candle::Tensors, group::Group};
use crate::{Precision, device::free_bytes};

/// A decoder on a device.
pub type DeviceDecoder = Transformer<Tensors>;

impl DeviceDecoder {
    /// Takes the weights to `device`.
    ///
    /// # Errors
    /// If a tensor is missing, misshapen or of an unknown type; all such tensors are told. If the device has no room.
    pub fn load_on(
        config: Config,
        layout: &Layout,
        weights: &mut dyn Weights,
        device: &Device,
        precision: Precision,
    ) -> Result<Self, StageError> {
        let backend = Tensors {
            device: device.clone(),
            precision,
            neighbours: layout.neighbours,
        };
        Self::build(config, layout, weights, backend)
    }

    /// In what numbers it computes.
    pub fn precision(&self) -> Precision {
        self.backend.precision
    }

    /// Where it computes and in what numbers: `cuda:0 in f32`.
    pub fn place(&self) -> String {
        let device = match self.backend.device.location() {
            DeviceLocation::Cpu => "cpu".to_owned(),
            DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
            DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
        };
        format!("{device} in {}", self.backend.precision.word())
    }

    /// The logits after each row's last token, `(rows, vocabulary)` in f32.
    fn last_logits(&self, group: &mut Group, feeds: &[&[u32]]) -> Result<Tensor, StageError> {
        let states = self.fed(group, feeds)?;
        let tokens = states.dim(0)? / feeds.len();
        let last = |(row, feed): (usize, &&[u32])| row * tokens + feed.len().max(1) - 1;
        let last: Vec<usize> = feeds.iter().enumerate().map(last).collect();
        Ok(self.logits(&states, &last)?.to_dtype(DType::F32)?)
    }

    /// The states, `(rows · tokens, hidden)`, after all layers; rows are padded to the longest feed.
    fn fed(&self, group: &mut Group, feeds: &[&[u32]]) -> Result<Tensor, StageError> {
        let (mut step, mut positions) = self.backend.step(self.config(), group, feeds)?;
        let tokens = step.tokens;
        let mut ids = Vec::with_capacity(positions.len());
        for (feed, positions) in feeds.iter().zip(positions.chunks_exact_mut(tokens)) {
            // Padding stands where the row's last token does, so that no position is asked for that is not learned.
            let last = positions[feed.len().max(1) - 1];
            positions[feed.len()..].fill(last);
            ids.extend(
                feed.iter()
                    .copied()
                    .chain(std::iter::repeat_n(0, tokens - feed.len())),
            );
        }
        self.states(&ids, &positions, &mut step)
    }
}

/// The first place in each row of `logits`, `(rows, vocabulary)`, of the row's number in `best`, `(rows, 1)`. Not `argmax`, which on
/// CUDA takes any of equals: logits in bf16 are often equal.
fn first_of(logits: &Tensor, best: &Tensor) -> candle_core::Result<Vec<u32>> {
    let (_, vocabulary) = logits.dims2()?;
    let places = Tensor::arange(0, vocabulary as u32, logits.device())?.broadcast_as(logits.shape())?;
    let nowhere = Tensor::full(u32::MAX, logits.shape(), logits.device())?;
    let found = logits.broadcast_eq(best)?.where_cond(&places, &nowhere)?;
    let found: Vec<u32> = found.min(D::Minus1)?.to_vec1()?;
    // NaN equals nothing; what is made of it is refused later.
    let known = |place: u32| if place < vocabulary as u32 { place } else { 0 };
    Ok(found.into_iter().map(known).collect())
}

impl Decoder for DeviceDecoder {
    const GROUPS_AT_ONCE: bool = false;
    const MOST_ROWS: usize = 256;
    type Prefix = Group;
    type Group = Group;

    /// Half of what the device has left: the rest is for states and logits, and for caches that move to more room.
    fn cache_bytes(&self) -> usize {
        free_bytes(&self.backend.device).map_or(4 << 30, |free| free / 2)
    }

    fn prefix(&self, tokens: &[u32]) -> Result<Group, StageError> {
        let mut group = Group::of(1);
        if !tokens.is_empty() {
            self.fed(&mut group, &[tokens])?;
        }
        Ok(group)
    }

    fn group(&self, prefix: &Group, rows: usize) -> Result<Group, StageError> {
        Ok(prefix.copies(rows)?)
    }

    fn step(&self, _: &Group, group: &mut Group, feeds: &[&[u32]]) -> Result<Vec<Vec<f32>>, StageError> {
        let logits = self.last_logits(group, feeds)?;
        Ok(logits.to_vec2()?)
    }

    fn step_likeliest(
        &self,
        _: &Group,
        group: &mut Group,
        feeds: &[&[u32]],
    ) -> Result<Vec<(u32, f32)>, StageError> {
        let logits = self.last_logits(group, feeds)?;
        let best = logits.max_keepdim(D::Minus1)?;
        let logprobs = best.squeeze(D::Minus1)?.sub(&logits.log_sum_exp(D::Minus1)?)?;
        Ok(first_of(&logits, &best)?
            .into_iter()
            .zip(logprobs.to_vec1()?)
            .collect())
    }

    fn keep(&self, group: &mut Group, rows: &[usize]) -> Result<(), StageError> {
        Ok(group.keep(rows, &self.backend.device)?)
    }

    fn join(&self, group: &mut Group, others: Group) -> Result<(), StageError> {
        Ok(group.join(others, &self.backend.device)?)
    }

    fn row_bytes(&self, prefix: usize, tokens: usize) -> usize {
        let config = self.config();
        let (_, key) = config.query_and_key_widths();
        2 * (prefix + tokens) * key * config.layers.len() * self.backend.precision.dtype().size_in_bytes()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn of_equals_the_first_is_taken() {
        let rows = [[1.0_f32, 3.0, 3.0, 3.0], [2.0, 2.0, 0.0, 2.0], [f32::NAN; 4]];
        let logits = Tensor::new(&rows, &Device::Cpu).unwrap();
        let best = logits.max_keepdim(D::Minus1).unwrap();
        assert_eq!(first_of(&logits, &best).unwrap(), [1, 0, 0]);
    }
}
