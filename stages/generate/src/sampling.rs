//! From logits to a token.

use std::{borrow::Cow, collections::BTreeSet};

use ablate_core::Stream;

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
        greedy(&penalised)
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

/// The likeliest token; of equals the first.
fn greedy(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (at, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = at;
        }
    }
    best as u32
}

/// `ln softmax(logits)[token]`, summed in f64.
fn log_probability(logits: &[f32], token: u32) -> f32 {
    let top = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let total: f64 = logits.iter().map(|logit| (f64::from(*logit) - top).exp()).sum();
    (f64::from(logits[token as usize]) - top - total.ln()) as f32
}

fn sample(logits: &[f32], sampling: Sampling, stream: &mut Stream) -> u32 {
    let top = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let weight = |logit: &f32| ((f64::from(*logit) - top) / sampling.temperature).exp();
    let mut kept: Vec<(u32, f64)> = logits
        .iter()
        .enumerate()
        .map(|(at, logit)| (at as u32, weight(logit)))
        .collect();
    kept.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    kept.truncate(sampling.top_k.unwrap_or(kept.len()).max(1));
    if let Some(share) = sampling.min_p {
        kept.retain(|(_, weight)| *weight >= share);
    }
    if let Some(mass) = sampling.top_p {
        let total: f64 = kept.iter().map(|(_, weight)| weight).sum();
        let mut seen = 0.0;
        let enough = kept.iter().position(|(_, weight)| {
            seen += weight;
            seen >= mass * total
        });
        kept.truncate(enough.map_or(kept.len(), |at| at + 1));
    }
    let total: f64 = kept.iter().map(|(_, weight)| weight).sum();
    let mut at = stream.uniform() * total;
    for (token, weight) in &kept {
        at -= weight;
        if at < 0.0 {
            return *token;
        }
    }
    kept.last().map_or(0, |(token, _)| *token)
}

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
}
