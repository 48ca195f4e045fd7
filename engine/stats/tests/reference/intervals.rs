use ablate_core::Seed;
use ablate_stats::{Bootstrap, Differences, Resamples, bootstrap_interval, t_interval};
use serde_json::Value;

use crate::{close, near, samples};

const BOOTSTRAPS: [(&str, Bootstrap); 2] = [("percentile", Bootstrap::Percentile), ("BCa", Bootstrap::Bca)];

/// Calls `check` with every reference interval of a sample: its bootstrap, confidence and bounds.
fn each(expected: &Value, check: impl Fn(Bootstrap, f64, &Value)) {
    for (name, bootstrap) in BOOTSTRAPS {
        for (confidence, bounds) in expected["bootstrap"][name].as_object().unwrap() {
            check(bootstrap, confidence.parse().unwrap(), bounds);
        }
    }
}

#[test]
fn t_intervals_are_scipys() {
    for (name, differences, expected) in samples() {
        for (confidence, bounds) in expected["t_interval"].as_object().unwrap() {
            let found = t_interval(&differences, confidence.parse().unwrap()).unwrap();
            for side in 0..2 {
                close(found[side], &bounds[side], &format!("{name} at {confidence}"));
            }
        }
    }
}

#[test]
fn the_bootstrap_of_few_queries_is_enumerated_and_scipys() {
    let mut seen = 0;
    for (name, differences, expected) in samples().into_iter().filter(|(_, d, _)| d.len() <= 5) {
        let resamples = Resamples::new(differences.len(), 5000, &Seed::root(1));
        each(&expected, |bootstrap, confidence, bounds| {
            let found = bootstrap_interval(&differences, &resamples, bootstrap, confidence).unwrap();
            for side in 0..2 {
                close(found[side], &bounds[side], &format!("{name}, {bootstrap:?}"));
            }
        });
        seen += 1;
    }
    assert_eq!(seen, 4);
}

#[test]
fn a_drawn_bootstrap_nears_scipys() {
    for (name, differences, expected) in samples().into_iter().filter(|(_, d, _)| d.len() > 5) {
        let resamples = Resamples::new(differences.len(), 40_000, &Seed::root(1));
        let error = differences.sd().unwrap() / (differences.len() as f64).sqrt();
        each(&expected, |bootstrap, confidence, bounds| {
            let found = bootstrap_interval(&differences, &resamples, bootstrap, confidence).unwrap();
            for side in 0..2 {
                near(
                    found[side] / error,
                    &(bounds[side].as_f64().unwrap() / error).into(),
                    0.08,
                    &format!("{name}, {bootstrap:?}"),
                );
            }
        });
    }
}

#[test]
fn a_seed_is_an_interval() {
    let differences = Differences::new((0..20).map(|i| f64::from(i * i % 7) - 2.5).collect()).unwrap();
    let with = |seed| {
        let resamples = Resamples::new(20, 500, &Seed::root(seed));
        bootstrap_interval(&differences, &resamples, Bootstrap::Bca, 0.95)
    };
    assert_eq!(with(1), with(1));
    assert!((2..9).any(|seed| with(1) != with(seed)));
}
