//! Losses over the vectors or logits of a batch.

use std::ops::Range;

use ablate_models::ops::{normalize, product_nt};
use candle_core::{Result, Tensor};
use candle_nn::ops::log_softmax;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Multiple negatives ranking (Henderson et al., 2017; sentence-transformers' `MultipleNegativesRankingLoss`).
///
/// `queries` is `(b, dim)`, `candidates` `(n, dim)` with n ≥ b, of which candidate i is the positive of query i; all
/// others, the hard negatives of other rows included, are its negatives:
/// −(1/b) Σᵢ log( exp(s·cos(qᵢ, cᵢ)) / Σⱼ exp(s·cos(qᵢ, cⱼ)) ). A `mask`, `(b, n)`, is added to the scores.
pub fn multiple_negatives_ranking(
    queries: &Tensor,
    candidates: &Tensor,
    scale: f64,
    mask: Option<&Tensor>,
) -> Result<Tensor> {
    let mut scores = (product_nt(&normalize(queries)?, &normalize(candidates)?)? * scale)?;
    if let Some(mask) = mask {
        scores = (scores + mask)?;
    }
    let positives = Tensor::arange(0, queries.dim(0)? as u32, queries.device())?;
    candle_nn::loss::cross_entropy(&scores, &positives)
}

/// The sum over `logits`, `(n)`, of the binary cross-entropy with `labels`, 0 or 1 (PyTorch's `BCEWithLogitsLoss`):
/// max(x, 0) − xy + log(1 + exp(−|x|)).
pub fn binary_cross_entropy(logits: &Tensor, labels: &[f32]) -> Result<Tensor> {
    let labels = Tensor::new(labels, logits.device())?;
    let rest = (logits.abs()?.neg()?.exp()? + 1.0)?.log()?;
    ((logits.relu()? - (logits * labels)?)? + rest)?.sum_all()
}

/// The sum over the lists in `logits`, of these lengths one after the other, of the cross-entropy of a list's first:
/// log Σⱼ exp(xⱼ) − x₀.
pub fn first_of_all(logits: &Tensor, lengths: &[usize]) -> Result<Tensor> {
    let mut start = 0;
    let mut losses = Vec::with_capacity(lengths.len());
    for length in lengths {
        let list = logits.narrow(0, start, *length)?;
        losses.push((list.log_sum_exp(0)? - list.get(0)?)?);
        start += length;
    }
    Tensor::stack(&losses, 0)?.sum_all()
}

/// The sum over lists of `scores`, `(n)`, of the squared errors of their margins. `wanted` are the teacher's scores; a margin is
/// that of a list's first above each of the others: Σ ((x₀ − xⱼ) − (t₀ − tⱼ))².
pub fn margin_error(scores: &Tensor, wanted: &[f32], lists: &[Range<usize>]) -> Result<Tensor> {
    let others = |list: &Range<usize>| {
        list.clone()
            .skip(1)
            .map(|at| (list.start, at))
            .collect::<Vec<_>>()
    };
    let pairs: Vec<(usize, usize)> = lists.iter().flat_map(others).collect();
    let margins: Vec<f32> = pairs
        .iter()
        .map(|(first, other)| wanted[*first] - wanted[*other])
        .collect();
    let at = |places: Vec<u32>| scores.index_select(&Tensor::new(places, scores.device())?, 0);
    let first = at(pairs.iter().map(|pair| pair.0 as u32).collect())?;
    let other = at(pairs.iter().map(|pair| pair.1 as u32).collect())?;
    ((first - other)? - Tensor::new(margins, scores.device())?)?
        .sqr()?
        .sum_all()
}

/// The sum over lists of `scores`, `(n)`, of the divergence of their distribution from the teacher's, of the scores `wanted`:
/// τ² Σ p log(p / q) with p = softmax(t/τ) and q = softmax(x/τ).
pub fn teacher_divergence(
    scores: &Tensor,
    wanted: &[f32],
    lists: &[Range<usize>],
    temperature: f64,
) -> Result<Tensor> {
    let of = |list: &Range<usize>| {
        let logs = |scores: &Tensor| log_softmax(&(scores / temperature)?, 0);
        let teacher = logs(&Tensor::new(&wanted[list.clone()], scores.device())?)?;
        let student = logs(&scores.narrow(0, list.start, list.len())?)?;
        (teacher.exp()? * (teacher - student)?)?.sum_all()
    };
    let divergences: Vec<Tensor> = lists.iter().map(of).collect::<Result<_>>()?;
    Tensor::stack(&divergences, 0)?.sum_all()? * (temperature * temperature)
}

/// How the margin z = log π(chosen) − log π(rejected) of a preference becomes a loss. Reference: TRL 0.12.1, `CPOTrainer`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PreferenceLoss {
    /// −log σ(βz), of sums of token log-probabilities (CPO, Xu et al., 2024).
    #[default]
    Sigmoid,
    /// max(0, 1 − βz), of sums (SLiC, Zhao et al., 2023).
    Hinge,
    /// (z − 1/2β)², of means over tokens (IPO, Azar et al., 2024).
    Ipo,
}

impl PreferenceLoss {
    /// Whether z is of means over a completion's tokens, not of sums.
    pub fn averages(self) -> bool {
        self == Self::Ipo
    }

    /// The losses of margins, `(n)`. With a `smoothing` ε the sigmoid's is −(1 − ε) log σ(βz) − ε log σ(−βz).
    pub fn of(self, margins: &Tensor, beta: f64, smoothing: f64) -> Result<Tensor> {
        let scaled = (margins * beta)?;
        match self {
            Self::Sigmoid => {
                (softplus(&scaled.neg()?)? * (1.0 - smoothing))? + (softplus(&scaled)? * smoothing)?
            }
            Self::Hinge => (1.0 - scaled)?.relu(),
            Self::Ipo => (margins - 1.0 / (2.0 * beta))?.sqr(),
        }
    }
}

/// log(1 + eˣ) = −log σ(−x).
fn softplus(x: &Tensor) -> Result<Tensor> {
    Tensor::stack(&[x, &x.zeros_like()?], 0)?.log_sum_exp(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    /// torch.nn.functional.binary_cross_entropy_with_logits(x, y, reduction="sum") with its gradients.
    #[test]
    fn binary_cross_entropy_is_pytorchs() {
        let logits = Var::new(&[-30.0_f32, -0.5, 0.75, 40.0], &Device::Cpu).unwrap();
        let loss = binary_cross_entropy(logits.as_tensor(), &[0.0, 1.0, 0.0, 0.0]).unwrap();
        assert!((loss.to_scalar::<f32>().unwrap() - 42.110_95).abs() < 1e-4);
        let gradients = loss.backward().unwrap();
        let found = gradients.get(&logits).unwrap().to_vec1::<f32>().unwrap();
        for (found, expected) in found.iter().zip([0.0, -0.622_459, 0.679_179, 1.0]) {
            assert!((found - expected).abs() < 1e-5, "{found}, not {expected}");
        }
    }

    #[test]
    fn the_first_of_each_list_is_the_positive() {
        let logits = Tensor::new(&[2.0_f32, 1.0, 0.0, 0.5, 0.5], &Device::Cpu).unwrap();
        let loss = first_of_all(&logits, &[3, 2])
            .unwrap()
            .to_scalar::<f32>()
            .unwrap();
        // log(e² + e + 1) − 2, and log 2.
        assert!((loss - 0.407_606 - std::f32::consts::LN_2).abs() < 1e-5, "{loss}");
    }

    #[test]
    fn the_formula_holds_on_four_candidates() {
        let queries = Tensor::new(&[[2.0_f32, 0.0], [0.0, 3.0]], &Device::Cpu).unwrap();
        let candidates = [[1.0_f32, 0.0], [3.0, 4.0], [0.0, 1.0], [-1.0, 0.0]];
        let candidates = Tensor::new(&candidates, &Device::Cpu).unwrap();
        let loss = multiple_negatives_ranking(&queries, &candidates, 2.0, None).unwrap();
        // Cosines: query 0 to [1, .6, 0, -1], query 1 to [0, .8, 1, 0]; positives are 0 and 1.
        let row = |cosines: [f64; 4], positive: usize| {
            let total: f64 = cosines.iter().map(|cosine| (2.0 * cosine).exp()).sum();
            total.ln() - 2.0 * cosines[positive]
        };
        let expected = f64::midpoint(row([1.0, 0.6, 0.0, -1.0], 0), row([0.0, 0.8, 1.0, 0.0], 1));
        assert!((f64::from(loss.to_scalar::<f32>().unwrap()) - expected).abs() < 1e-6);
    }

    #[test]
    fn what_is_masked_has_no_share_in_loss_and_gradients() {
        let queries = Tensor::new(&[[2.0_f32, 0.0]], &Device::Cpu).unwrap();
        let mask = Tensor::new(&[[0.0, 0.0, f32::NEG_INFINITY]], &Device::Cpu).unwrap();
        let candidates = Var::new(&[[1.0_f32, 1.0], [3.0, 4.0], [1.0, 0.0]], &Device::Cpu).unwrap();
        let masked = multiple_negatives_ranking(&queries, candidates.as_tensor(), 2.0, Some(&mask)).unwrap();
        let two = candidates.as_tensor().narrow(0, 0, 2).unwrap();
        let without = multiple_negatives_ranking(&queries, &two, 2.0, None).unwrap();
        let number = |loss: &Tensor| loss.to_scalar::<f32>().unwrap();
        assert!((number(&masked) - number(&without)).abs() < 1e-6);
        let gradients = |loss: &Tensor| {
            let all = loss.backward().unwrap();
            all.get(&candidates).unwrap().to_vec2::<f32>().unwrap()
        };
        let (found, expected) = (gradients(&masked), gradients(&without));
        assert_eq!(found[2], [0.0, 0.0]);
        for (found, expected) in found.concat().iter().zip(expected.concat()) {
            assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
        }
    }
}
