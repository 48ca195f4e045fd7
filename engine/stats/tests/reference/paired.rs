use ablate_core::Seed;
use ablate_stats::{
    Correction, Method, adjust, cohens_d, equivalence, hedges_g, paired_t, randomization, wilcoxon,
};

use crate::{close, list, near, numbers, reference, samples};

#[test]
fn paired_t_is_scipys_and_ranxs() {
    for (name, differences, expected) in samples() {
        let p = paired_t(&differences).unwrap();
        close(p, &expected["paired_t"], &name);
        close(p, &expected["paired_t_ranx"], &name);
        let relative = p / expected["paired_t"].as_f64().unwrap();
        assert!((relative - 1.0).abs() < 1e-9, "{name}: tails keep their digits");
    }
}

#[test]
fn wilcoxon_is_scipys_and_says_how() {
    for (name, differences, expected) in samples() {
        let tested = wilcoxon(&differences).unwrap();
        close(tested.p, &expected["wilcoxon"], &name);
        let method = match expected["wilcoxon_method"].as_str().unwrap() {
            "exact" => Method::Exact,
            _ => Method::Normal,
        };
        assert_eq!(tested.method, method, "{name}");
    }
}

#[test]
fn randomization_of_few_queries_is_exact() {
    let mut seen = 0;
    for (name, differences, expected) in samples() {
        if differences.len() > 15 {
            continue;
        }
        seen += 1;
        let tested = randomization(&differences, 1 << 15, &Seed::root(1)).unwrap();
        close(tested.p, &expected["randomization"], &name);
        assert_eq!(tested.method, Method::Exact, "{name}");
    }
    assert!(seen > 5);
}

#[test]
fn randomization_by_random_signs_nears_the_exact_and_ranxs() {
    for (name, differences, expected) in samples() {
        if differences.len() < 15 {
            continue;
        }
        let with = |seed| randomization(&differences, 32_000, &Seed::root(seed)).unwrap();
        assert_eq!(with(1).method, Method::Sampled, "{name}");
        assert_eq!(with(1), with(1), "{name}: a seed is a p-value");
        // Four standard errors of both samples at most.
        near(with(1).p, &expected["randomization_ranx"], 0.014, &name);
        if !expected["randomization"].is_null() {
            near(with(2).p, &expected["randomization"], 0.012, &name);
        }
    }
}

#[test]
fn another_seed_draws_other_signs() {
    let (_, differences, _) = samples().into_iter().find(|(name, ..)| name == "fifty").unwrap();
    let p = |seed| randomization(&differences, 1000, &Seed::root(seed)).unwrap().p;
    assert!((2..9).any(|seed| (p(1) - p(seed)).abs() > 0.0));
}

#[test]
fn equivalence_is_statsmodels() {
    for (name, differences, expected) in samples() {
        for (margin, p) in expected["equivalence"].as_object().unwrap() {
            let found = equivalence(&differences, margin.parse().unwrap()).unwrap();
            close(found, p, &format!("{name} within {margin}"));
        }
    }
}

#[test]
fn effect_sizes() {
    for (name, differences, expected) in samples() {
        close(cohens_d(&differences).unwrap(), &expected["d_z"], &name);
        match hedges_g(&differences) {
            Some(g) => close(g, &expected["hedges"], &name),
            None => assert!(expected["hedges"].is_null(), "{name}"),
        }
    }
}

#[test]
fn corrections_are_statsmodels() {
    for family in list(&reference()["corrections"]) {
        let p: Vec<_> = numbers(&family["p"]).into_iter().map(Some).collect();
        for (correction, name) in [
            (Correction::Holm, "holm"),
            (Correction::Bonferroni, "bonferroni"),
            (Correction::Bh, "bh"),
        ] {
            let found = adjust(correction, &p).unwrap();
            for (found, expected) in found.iter().zip(list(&family[name])) {
                close(found.unwrap(), &expected, name);
            }
        }
        assert_eq!(adjust(Correction::None, &p).unwrap(), p);
    }
}
