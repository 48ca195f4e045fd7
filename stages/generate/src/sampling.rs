//! From logits to a token.

use std::{
    borrow::Cow,
    cmp::Ordering,
    collections::{BTreeSet, BinaryHeap},
};

use ablate_core::Stream;
use ablate_models::decoder::{likeliest, log_probability};

/// How tokens are chosen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sampling {
    /// 0 is greedy.
    pub temperature: f64,
    /// Keep the k likeliest.
    pub top_k: Option<usize>,
    /// Keep the likeliest until their mass reaches p.
    pub top_p: Option<f64>,
    /// Drop those below this share of the likeliest's probability.
    pub min_p: Option<f64>,
    /// What the logit of a token that was read or written before is divided by, or multiplied with where it is negative
    /// (Keskar et al. 2019; transformers' `repetition_penalty`).
    pub repetition_penalty: Option<f64>,
}

impl Sampling {
    /// Whether the likeliest token of the model is taken each time.
    pub(crate) fn takes_likeliest(self) -> bool {
        self.temperature == 0.0 && self.repetition_penalty.is_none()
    }
}

/// The chosen token and its log-probability as the model predicts it, neither tempered nor penalised; `seen` are the
/// tokens that are penalised.
pub(crate) fn choose(
    logits: &[f32],
    seen: &BTreeSet<u32>,
    sampling: Sampling,
    stream: &mut Stream,
) -> (u32, f32) {
    let penalised = match sampling.repetition_penalty {
        Some(penalty) => Cow::Owned(penalised(logits, seen, penalty as f32)),
        None => Cow::Borrowed(logits),
    };
    let token = if sampling.temperature == 0.0 {
        likeliest(&penalised)
    } else {
        sample(&penalised, sampling, stream)
    };
    (token, log_probability(logits, token))
}

fn penalised(logits: &[f32], seen: &BTreeSet<u32>, penalty: f32) -> Vec<f32> {
    let mut logits = logits.to_vec();
    for token in seen {
        if let Some(logit) = logits.get_mut(*token as usize) {
            *logit = if *logit < 0.0 {
                *logit * penalty
            } else {
                *logit / penalty
            };
        }
    }
    logits
}

/// Draws a token. Most of the mass lies on a few of a whole vocabulary, so tokens are put in order only as far as the draw goes.
fn sample(logits: &[f32], sampling: Sampling, stream: &mut Stream) -> u32 {
    let top = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let weight = |logit: &f32| ((f64::from(*logit) - top) / sampling.temperature).exp();
    let weighted = logits.iter().zip(0..).map(|(logit, token)| Weighted {
        weight: weight(logit),
        token,
    });
    let weighted: Vec<Weighted> = weighted.collect();
    let everything = mass(&weighted);
    let mut rest = BinaryHeap::from(weighted);
    let falling = std::iter::from_fn(move || rest.pop());
    match (sampling.top_k, sampling.min_p) {
        (None, None) => among(falling, everything, sampling.top_p, stream),
        (top_k, min_p) => {
            let likely = falling.take(top_k.unwrap_or(logits.len()).max(1));
            let kept: Vec<Weighted> = likely
                .take_while(|one| one.weight >= min_p.unwrap_or(0.0))
                .collect();
            let total = mass(&kept);
            among(kept.into_iter(), total, sampling.top_p, stream)
        }
    }
}

/// Draws among tokens of so much mass, given from the likeliest on, or among the first of them that together reach the share `top_p`.
fn among(
    falling: impl Iterator<Item = Weighted>,
    total: f64,
    top_p: Option<f64>,
    stream: &mut Stream,
) -> u32 {
    let Some(share) = top_p else {
        return at_mass(falling, stream.uniform() * total);
    };
    let mut seen = 0.0;
    let missing = |one: &Weighted| {
        let before = seen;
        seen += one.weight;
        before == 0.0 || before < share * total
    };
    let nucleus: Vec<Weighted> = falling.take_while(missing).collect();
    let total = mass(&nucleus);
    at_mass(nucleus.into_iter(), stream.uniform() * total)
}

/// The token with which the mass is more than so much; the last one if it never is.
fn at_mass(tokens: impl Iterator<Item = Weighted>, mut left: f64) -> u32 {
    let mut last = 0;
    for Weighted { weight, token } in tokens {
        last = token;
        left -= weight;
        if left < 0.0 {
            break;
        }
    }
    last
}

fn mass(tokens: &[Weighted]) -> f64 {
    tokens.iter().map(|one| one.weight).sum()
}

/// A token and its mass; the greater is the likelier, of equals the first.
struct Weighted {
    weight: f64,
    token: u32,
}

impl Ord for Weighted {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_weight = self.weight.total_cmp(&other.weight);
        by_weight.then(other.token.cmp(&self.token))
    }
}

impl PartialOrd for Weighted {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Weighted {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Weighted {}

#[cfg(test)]
mod tests {
    use ablate_core::Seed;

    use super::*;

    const LOGITS: [f32; 4] = [1.0, 3.0, 2.0, 3.0];

    #[test]
    fn greedy_takes_the_first_of_equals_with_its_log_probability() {
        let nothing = BTreeSet::new();
        let (token, logprob) = choose(
            &LOGITS,
            &nothing,
            Sampling::default(),
            &mut Seed::root(1).stream(),
        );
        assert_eq!(token, 1);
        let total: f64 = LOGITS.iter().map(|l| f64::from(*l).exp()).sum();
        assert!((f64::from(logprob) - (3.0 - total.ln())).abs() < 1e-6);
    }

    /// tests/fixtures/repetition_penalty.py.
    #[test]
    fn repeated_tokens_are_penalised_as_transformers_does() {
        let fixture = include_str!("../../../tests/fixtures/repetition_penalty.json");
        let fixture: serde_json::Value = serde_json::from_str(fixture).unwrap_or_default();
        let rows = fixture["rows"].as_array().map_or(&[][..], Vec::as_slice);
        assert_eq!(rows.len(), 5);
        for row in rows {
            let numbers = |name: &str| -> Vec<f64> {
                let listed = row[name].as_array().map_or(&[][..], Vec::as_slice);
                listed.iter().filter_map(serde_json::Value::as_f64).collect()
            };
            let logits: Vec<f32> = numbers("logits").iter().map(|x| *x as f32).collect();
            let seen = numbers("seen").iter().map(|x| *x as u32).collect();
            let sampling = Sampling {
                repetition_penalty: row["penalty"].as_f64(),
                ..Sampling::default()
            };
            let (token, logprob) = choose(&logits, &seen, sampling, &mut Seed::root(1).stream());
            assert_eq!(Some(u64::from(token)), row["greedy"].as_u64());
            assert!((logprob - log_probability(&logits, token)).abs() < 1e-6);
            let found = penalised(&logits, &seen, row["penalty"].as_f64().unwrap_or_default() as f32);
            for (found, expected) in found.iter().zip(numbers("penalised")) {
                assert!(
                    (f64::from(*found) - expected).abs() <= 1e-6 * expected.abs(),
                    "{found}, not {expected}"
                );
            }
        }
    }

    fn frequencies(sampling: Sampling) -> [usize; 4] {
        let mut stream = Seed::root(5).stream();
        let (mut counts, nothing) = ([0; 4], BTreeSet::new());
        (0..20_000).for_each(|_| counts[choose(&LOGITS, &nothing, sampling, &mut stream).0 as usize] += 1);
        counts
    }

    #[test]
    fn sampling_follows_the_distribution() {
        let counts = frequencies(Sampling {
            temperature: 1.0,
            ..Sampling::default()
        });
        let total: f64 = LOGITS.iter().map(|l| f64::from(*l).exp()).sum();
        for (count, logit) in counts.iter().zip(LOGITS) {
            assert!(
                (*count as f64 / 20_000.0 - f64::from(logit).exp() / total).abs() < 0.015,
                "{counts:?}"
            );
        }
    }

    #[test]
    fn cuts_leave_out_the_unlikely() {
        let warm = Sampling {
            temperature: 1.0,
            ..Sampling::default()
        };
        assert_eq!(
            frequencies(Sampling {
                top_k: Some(2),
                ..warm
            })
            .map(|c| c > 0),
            [false, true, false, true]
        );
        assert_eq!(
            frequencies(Sampling {
                top_p: Some(0.7),
                ..warm
            })
            .map(|c| c > 0),
            [false, true, false, true]
        );
        assert_eq!(
            frequencies(Sampling {
                min_p: Some(0.2),
                ..warm
            })
            .map(|c| c > 0),
            [false, true, true, true]
        );
    }

    /// Over a whole vocabulary, the plain way: everything in order, cut by one rule after the other.
    #[test]
    fn a_draw_is_that_from_the_whole_vocabulary_in_order() {
        let mut numbers = Seed::root(8).stream();
        let logits: Vec<f32> = (0..5_000).map(|_| (numbers.uniform() * 12.0) as f32).collect();
        let sampling = |top_k, top_p, min_p| Sampling {
            temperature: 0.6,
            top_k,
            top_p,
            min_p,
            repetition_penalty: None,
        };
        for sampling in [
            sampling(None, None, None),
            sampling(Some(20), Some(0.95), Some(0.0)),
            sampling(None, Some(0.9), None),
            sampling(None, Some(0.0), None),
            sampling(None, None, Some(0.05)),
            sampling(Some(300), Some(0.8), Some(0.1)),
        ] {
            let mut streams = [Seed::root(3).stream(), Seed::root(3).stream()];
            for _ in 0..200 {
                let drawn = sample(&logits, sampling, &mut streams[0]);
                assert_eq!(
                    drawn,
                    in_order(&logits, sampling, &mut streams[1]),
                    "{sampling:?}"
                );
            }
        }
    }

    fn in_order(logits: &[f32], sampling: Sampling, stream: &mut Stream) -> u32 {
        let top = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let mut all: Vec<(f64, u32)> = logits
            .iter()
            .zip(0..)
            .map(|(logit, token)| (((f64::from(*logit) - top) / sampling.temperature).exp(), token))
            .collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        all.truncate(sampling.top_k.unwrap_or(all.len()));
        all.retain(|(weight, _)| *weight >= sampling.min_p.unwrap_or(0.0));
        let sums = |all: &[(f64, u32)]| {
            let sum = |sum: &mut f64, one: &(f64, u32)| {
                *sum += one.0;
                Some(*sum)
            };
            all.iter().scan(0.0, sum).collect::<Vec<f64>>()
        };
        if let (Some(share), Some(total)) = (sampling.top_p, sums(&all).last()) {
            let enough = sums(&all).iter().position(|sum| *sum >= share * total);
            all.truncate(enough.map_or(all.len(), |at| at + 1));
        }
        let sums = sums(&all);
        let drawn = stream.uniform() * sums.last().copied().unwrap_or(0.0);
        let at = sums.iter().position(|sum| *sum > drawn);
        all[at.unwrap_or(all.len() - 1)].1
    }
}
