use ablate_stats::{Goal, Noise, detectable_difference, paired_power, queries_needed};

use crate::{close, list, near, numbers, reference};

fn rows(name: &str) -> Vec<Vec<f64>> {
    let rows = list(&reference()["power"][name]);
    assert!(rows.len() > 5);
    rows.iter().map(numbers).collect()
}

#[test]
fn power_is_statsmodels() {
    for row in rows("paired") {
        let found = paired_power(row[0], row[1] as u64, row[2]).unwrap();
        close(found, &row[3].into(), &format!("{row:?}"));
    }
}

#[test]
fn queries_needed_are_statsmodels() {
    for row in rows("needed") {
        let goal = Goal {
            alpha: row[1],
            power: row[2],
        };
        assert_eq!(queries_needed(row[0], goal), Some(row[3] as u64), "{row:?}");
        assert_eq!(
            queries_needed(-row[0], goal),
            Some(row[3] as u64),
            "the sign does not matter"
        );
    }
}

#[test]
fn detectable_differences_are_statsmodels() {
    for row in rows("detectable") {
        let goal = Goal {
            alpha: row[1],
            power: row[2],
        };
        let found = detectable_difference(0.25, row[0] as u64, goal).unwrap();
        near(found / 0.25, &row[3].into(), 1e-8, &format!("{row:?}"));
    }
}

#[test]
fn without_variance_between_queries_power_is_that_over_seeds() {
    // statsmodels' TTestIndPower: two arms of n seeds each, one effect size apart.
    let noise = Noise {
        seed: 2.0,
        residual: 0.0,
        query: 0.0,
        seeded_arms: 2,
    };
    for row in rows("two_sample") {
        let found = noise.power(row[0], row[1] as u64, 100, row[2]).unwrap();
        close(found, &row[3].into(), &format!("{row:?}"));
    }
}

#[test]
fn without_variance_of_seeds_power_is_that_over_queries() {
    let noise = Noise {
        seed: 0.0,
        residual: 0.0,
        query: 1.0,
        seeded_arms: 1,
    };
    for row in rows("paired") {
        let found = noise.power(row[0], 3, row[1] as u64, row[2]).unwrap();
        close(found, &row[3].into(), &format!("{row:?}"));
    }
}

#[test]
fn more_seeds_settle_what_more_seeds_can() {
    let noise = Noise {
        seed: 1e-4,
        residual: 0.01,
        query: 0.01,
        seeded_arms: 2,
    };
    let goal = Goal::CUSTOMARY;
    let needed = noise.seeds_needed(0.02, 300, goal).unwrap();
    let power = |seeds| noise.power(0.02, seeds, 300, goal.alpha).unwrap();
    assert!(
        power(needed) >= goal.power && power(needed - 1) < goal.power,
        "{needed}"
    );
    // Below the error that queries leave, √(0.01 / 300) = 0.006, no number of seeds tells.
    assert_eq!(noise.seeds_needed(0.005, 300, goal), None);
}
