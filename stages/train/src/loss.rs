//! Losses over the vectors of a batch.

use ablate_models::ops::{normalize, product_nt};
use candle_core::{Result, Tensor};

/// Multiple negatives ranking (Henderson et al., 2017; sentence-transformers' `MultipleNegativesRankingLoss`).
///
/// `queries` is `(b, dim)`, `candidates` `(n, dim)` with n ≥ b, of which candidate i is the positive of query i; all
/// others, the hard negatives of other rows included, are its negatives:
/// −(1/b) Σᵢ log( exp(s·cos(qᵢ, cᵢ)) / Σⱼ exp(s·cos(qᵢ, cⱼ)) ).
pub fn multiple_negatives_ranking(queries: &Tensor, candidates: &Tensor, scale: f64) -> Result<Tensor> {
    let scores = (product_nt(&normalize(queries)?, &normalize(candidates)?)? * scale)?;
    let positives = Tensor::arange(0, queries.dim(0)? as u32, queries.device())?;
    candle_nn::loss::cross_entropy(&scores, &positives)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn the_formula_holds_on_four_candidates() {
        let queries = Tensor::new(&[[2.0_f32, 0.0], [0.0, 3.0]], &Device::Cpu).unwrap();
        let candidates = [[1.0_f32, 0.0], [3.0, 4.0], [0.0, 1.0], [-1.0, 0.0]];
        let candidates = Tensor::new(&candidates, &Device::Cpu).unwrap();
        let loss = multiple_negatives_ranking(&queries, &candidates, 2.0).unwrap();
        // Cosines: query 0 to [1, .6, 0, -1], query 1 to [0, .8, 1, 0]; positives are 0 and 1.
        let row = |cosines: [f64; 4], positive: usize| {
            let total: f64 = cosines.iter().map(|cosine| (2.0 * cosine).exp()).sum();
            total.ln() - 2.0 * cosines[positive]
        };
        let expected = f64::midpoint(row([1.0, 0.6, 0.0, -1.0], 0), row([0.0, 0.8, 1.0, 0.0], 1));
        assert!((f64::from(loss.to_scalar::<f32>().unwrap()) - expected).abs() < 1e-6);
    }
}
