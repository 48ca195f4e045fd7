//! Dropout (Srivastava et al., 2014) from named random streams.

use ablate_core::Seed;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{
    math::ELEMENTS_PER_TASK,
    storage::{numbers, result},
};

/// Which elements are dropped: a probability and the key of a stream.
///
/// The decision on an element is a function of the key and the element's index alone (SplitMix64 over a counter), so
/// the backward pass draws the same mask again, in any order, on any thread.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    key: u64,
    /// An element is dropped if its 24 random bits are below this.
    threshold: u32,
    scale: f32,
}

impl Dropout {
    /// Drops elements with `probability` in `[0, 1)`, by the stream of `seed`.
    pub fn new(probability: f32, seed: &Seed) -> Self {
        Self {
            key: seed.number(),
            threshold: (probability * (1 << 24) as f32) as u32,
            scale: 1.0 / (1.0 - probability),
        }
    }

    /// The independent stream of part `index`.
    #[must_use]
    pub fn part(&self, index: usize) -> Self {
        Self {
            key: mix(self.key, index),
            ..*self
        }
    }

    /// What element `index` is multiplied by: 0, or `1 / (1 − probability)`.
    pub fn factor(&self, index: usize) -> f32 {
        let bits = (mix(self.key, index) >> 40) as u32;
        if bits < self.threshold { 0.0 } else { self.scale }
    }
}

/// The `index`-th output of the SplitMix64 generator (Steele, Lea and Flood, 2014) seeded with `key`.
fn mix(key: u64, index: usize) -> u64 {
    let z = key.wrapping_add((index as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// `x` with elements dropped and the others scaled up; `x` itself without dropout.
pub fn dropout(x: &Tensor, dropout: Option<Dropout>) -> Result<Tensor> {
    match dropout {
        None => Ok(x.clone()),
        Some(mask) if x.device().is_cpu() => x.contiguous()?.apply_op1(mask),
        Some(mask) => {
            let factors = (0..x.elem_count()).into_par_iter().map(|i| mask.factor(i));
            let factors: Vec<f32> = factors.collect();
            x * Tensor::from_vec(factors, x.shape(), x.device())?
        }
    }
}

impl CustomOp1 for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = numbers(x, layout)?;
        let mut out = vec![0.0; x.len()];
        let chunk = |(chunk, (out, x)): (usize, (&mut [f32], &[f32]))| {
            for (i, (out, x)) in out.iter_mut().zip(x).enumerate() {
                *out = x * self.factor(chunk * ELEMENTS_PER_TASK + i);
            }
        };
        out.par_chunks_mut(ELEMENTS_PER_TASK)
            .zip(x.par_chunks(ELEMENTS_PER_TASK))
            .enumerate()
            .for_each(chunk);
        Ok(result(out, layout.shape()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        gradient.contiguous()?.apply_op1_no_bwd(self).map(Some)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_share_dropped_and_the_mean_are_right() {
        let mask = Dropout::new(0.1, &Seed::root(3));
        let factors: Vec<f32> = (0..200_000).map(|i| mask.part(5).factor(i)).collect();
        let dropped = factors.iter().filter(|f| **f == 0.0).count() as f32 / 200_000.0;
        let mean = factors.iter().sum::<f32>() / 200_000.0;
        assert!((dropped - 0.1).abs() < 0.003, "{dropped}");
        assert!((mean - 1.0).abs() < 0.005, "{mean}");
    }

    #[test]
    fn splitmix_gives_its_published_numbers() {
        // The first outputs for seed 1234567, from the reference implementation's test vector.
        assert_eq!(mix(1_234_567, 0), 6_457_827_717_110_365_317);
        assert_eq!(mix(1_234_567, 1), 3_203_168_211_198_807_973);
    }
}
