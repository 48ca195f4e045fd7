//! The size of a gradient.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::{math::ELEMENTS_PER_TASK, storage::with_numbers};

/// The sum of the squares of a tensor's numbers, added up in f64 by fixed chunks.
pub fn squared_norm(x: &Tensor) -> Result<f64> {
    if !x.device().is_cpu() {
        return x.sqr()?.sum_all()?.to_scalar::<f32>().map(f64::from);
    }
    let square = |x: &f32| f64::from(*x) * f64::from(*x);
    with_numbers(x, |x| {
        let chunks = x
            .par_chunks(ELEMENTS_PER_TASK)
            .map(|chunk| chunk.iter().map(square).sum());
        chunks.collect::<Vec<f64>>().iter().sum()
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::float_cmp)]
mod tests {
    use super::*;

    #[test]
    fn squares_add_up() {
        let x = Tensor::new(&[[3.0_f32, 4.0], [0.0, -12.0]], &candle_core::Device::Cpu).unwrap();
        assert_eq!(squared_norm(&x).unwrap(), 169.0);
        assert_eq!(squared_norm(&x.t().unwrap()).unwrap(), 169.0);
    }
}
