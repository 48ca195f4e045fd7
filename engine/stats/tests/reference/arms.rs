use ablate_stats::{Differences, Noise, Replicates, seed_test};
use serde_json::Value;

use crate::{close, list, numbers, reference};

fn replicates(scores: &Value) -> Replicates {
    Replicates::new(list(scores).iter().map(numbers).collect()).unwrap()
}

#[test]
fn components_are_those_of_statsmodels_mean_squares() {
    for expected in list(&reference()["two_level"]) {
        let scores = replicates(&expected["scores"]);
        let found = scores.components().unwrap();
        close(found.seed, &expected["seed"], "seed");
        close(found.query, &expected["query"], "query");
        close(found.residual, &expected["residual"], "residual");
        close(
            scores.standard_error().unwrap(),
            &expected["standard_error"],
            "error",
        );
    }
}

#[test]
fn arms_over_seeds_are_compared_as_scipy_does() {
    for expected in list(&reference()["seed_comparisons"]) {
        let (a, b) = (numbers(&expected["a"]), numbers(&expected["b"]));
        let found = seed_test(&a, &b).unwrap();
        close(found.p, &expected["p"], "p");
        close(found.freedom, &expected["freedom"], "freedom");
        let swapped = seed_test(&b, &a).unwrap();
        close(swapped.p, &expected["p"], "the order of the arms does not matter");
    }
}

#[test]
fn noise_adds_up_to_what_was_seen() {
    let reference = list(&reference()["two_level"]);
    let system = replicates(&reference[1]["scores"]);
    let baseline = Replicates::new(vec![vec![0.5; 40]]).unwrap();
    let pairs = system.query_means().into_iter().zip(baseline.query_means());
    let differences = Differences::between(pairs).unwrap();
    let noise = Noise::of(&system, &baseline, &differences).unwrap();
    // The variance over queries of the seen differences is that of the difference and the residual of five seeds.
    let seen = differences.sd().unwrap().powi(2);
    assert!((noise.query + noise.residual / 5.0 - seen).abs() < 1e-12);
    assert_eq!(noise.seeded_arms, 1);
    close(noise.seed, &reference[1]["seed"], "seed");
}
