use ablate_core::Seed;
use ablate_stats::{
    Bootstrap, Correction, Counts, Differences, Goal, LARGEST, Method, Noise, NotAProbability, Replicates,
    Resamples, Test, Tested, Unfit, adjust, bootstrap_interval, cohens_d, detectable_difference, equivalence,
    hedges_g, paired_power, paired_t, queries_needed, randomization, seed_test, t_interval, wilcoxon,
};

const TESTS: [Test; 3] = [Test::PairedT, Test::Wilcoxon, Test::Randomization];

fn of(values: &[f64]) -> Differences {
    Differences::new(values.to_vec()).unwrap()
}

fn p(test: Test, values: &[f64]) -> Option<f64> {
    test.apply(&of(values), &Seed::root(0)).map(|tested| tested.p)
}

fn interval(values: &[f64], bootstrap: Bootstrap) -> Option<[f64; 2]> {
    let resamples = Resamples::new(values.len(), 200, &Seed::root(0));
    bootstrap_interval(&of(values), &resamples, bootstrap, 0.95)
}

#[test]
fn nothing_and_one_query_answer_nothing() {
    for values in [&[][..], &[0.3]] {
        for test in TESTS {
            assert_eq!(p(test, values), None, "{test}");
        }
        let differences = of(values);
        assert_eq!(t_interval(&differences, 0.95), None);
        assert_eq!(equivalence(&differences, 0.1), None);
        assert_eq!(cohens_d(&differences), None);
        assert_eq!(differences.sd(), None);
        for bootstrap in [Bootstrap::Percentile, Bootstrap::Bca] {
            assert_eq!(interval(values, bootstrap), None);
        }
    }
}

#[test]
fn no_difference_at_all() {
    for n in [2, 5, 40, 200] {
        let zeros = vec![0.0; n];
        for test in TESTS {
            assert_eq!(p(test, &zeros), Some(1.0), "{test} of {n}");
        }
        assert_eq!(t_interval(&of(&zeros), 0.95), Some([0.0, 0.0]));
        assert_eq!(interval(&zeros, Bootstrap::Bca), Some([0.0, 0.0]));
        assert_eq!(equivalence(&of(&zeros), 0.01), Some(0.0));
        assert_eq!((cohens_d(&of(&zeros)), hedges_g(&of(&zeros))), (None, None));
        let ties = Counts {
            ties: n,
            ..Counts::default()
        };
        assert_eq!(of(&zeros).counts(), ties);
    }
}

#[test]
fn two_queries() {
    // python: ttest_rel([.1, .3], [0, 0]).pvalue
    assert!((p(Test::PairedT, &[0.1, 0.3]).unwrap() - 0.295_167_235_300_866_5).abs() < 1e-12);
    // Of four ways to set two signs, two are as extreme.
    assert_eq!(p(Test::Wilcoxon, &[0.1, 0.3]), Some(0.5));
    assert_eq!(p(Test::Randomization, &[0.1, 0.3]), Some(0.5));
    assert_eq!(hedges_g(&of(&[0.1, 0.3])), None);
}

#[test]
fn the_same_difference_on_every_query() {
    for n in [2, 6, 100] {
        let constant = of(&vec![0.1; n]);
        assert_eq!(constant.sd(), Some(0.0), "exactly, whatever the mean rounds to");
        assert_eq!(paired_t(&constant), Some(0.0));
        assert_eq!(cohens_d(&constant), None);
        let [low, high] = t_interval(&constant, 0.95).unwrap();
        assert!((low - 0.1).abs() < 1e-15 && (high - 0.1).abs() < 1e-15);
        let [low, high] = interval(constant.values(), Bootstrap::Bca).unwrap();
        assert!((low - 0.1).abs() < 1e-15 && (high - 0.1).abs() < 1e-15);
        let equivalences = [0.2, 0.05].map(|margin| equivalence(&constant, margin));
        assert_eq!(equivalences, [Some(0.0), Some(1.0)]);
    }
    // Both signs alike on all six queries: 2 of 64 ways.
    assert_eq!(p(Test::Randomization, &[0.1; 6]), Some(2.0 / 64.0));
    assert_eq!(p(Test::Wilcoxon, &[0.1; 6]), Some(2.0 / 64.0));
}

#[test]
fn sampled_randomization_is_never_zero() {
    let expected = Tested {
        p: 0.01,
        method: Method::Sampled,
    };
    assert_eq!(randomization(&of(&[0.1; 70]), 99, &Seed::root(1)), Some(expected));
}

#[test]
fn what_is_not_finite_is_refused() {
    for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = Differences::new(vec![0.1, wrong]).unwrap_err();
        assert_eq!(error.place, 1);
        assert!(Differences::between([(0.5, 0.4), (wrong, 0.1)]).is_err());
        assert!(matches!(
            Replicates::new(vec![vec![0.1], vec![wrong]]),
            Err(Unfit::NotFinite(_))
        ));
        assert_eq!(queries_needed(wrong, Goal::CUSTOMARY), None);
        assert_eq!(paired_power(wrong, 10, 0.05), None);
        assert_eq!(detectable_difference(wrong, 10, Goal::CUSTOMARY), None);
        assert_eq!(equivalence(&of(&[0.1, 0.2]), wrong), None);
        assert_eq!(t_interval(&of(&[0.1, 0.2]), wrong), None);
        let p = [Some(0.1), Some(wrong)];
        assert!(matches!(
            adjust(Correction::Holm, &p),
            Err(NotAProbability { place: 1, .. })
        ));
    }
    let error = Replicates::new(vec![vec![0.1, 0.2], vec![0.3]]).unwrap_err();
    assert_eq!(error.to_string(), "replicate 1 has 1 queries, the first has 2");
    assert_eq!(Replicates::new(vec![]), Err(Unfit::Empty));
}

#[test]
fn rounding_errors_do_not_tell_ties_apart() {
    let third = (0.1 + 0.2 + 0.3) / 3.0;
    let differences = Differences::between([(third, 0.2), (0.3, third), (0.4, 0.3)]).unwrap();
    assert_eq!(
        differences.counts(),
        Counts {
            wins: 2,
            ties: 1,
            losses: 0
        }
    );
    assert_eq!(
        differences.values()[1].to_bits(),
        differences.values()[2].to_bits()
    );
}

#[test]
fn one_zero_and_one_tie_leave_a_test() {
    // All but one are zeros: of two ways to set one sign both are as extreme.
    assert_eq!(p(Test::Wilcoxon, &[0.0, 0.0, 0.4]), Some(1.0));
    // Beyond thirteen differences ties are left to the normal approximation.
    let tied: Vec<_> = (0..14).map(|i| if i < 7 { 0.1 } else { 0.2 }).collect();
    assert_eq!(wilcoxon(&of(&tied)).unwrap().method, Method::Normal);
    assert_eq!(wilcoxon(&of(&tied[1..])).unwrap().method, Method::Exact);
}

#[test]
fn a_test_that_was_not_made_does_not_count() {
    let p = [Some(0.01), None, Some(0.04)];
    assert_eq!(
        adjust(Correction::Bonferroni, &p).unwrap(),
        [Some(0.02), None, Some(0.08)]
    );
    assert_eq!(
        adjust(Correction::Holm, &p).unwrap(),
        [Some(0.02), None, Some(0.04)]
    );
    for correction in [
        Correction::Holm,
        Correction::Bonferroni,
        Correction::Bh,
        Correction::None,
    ] {
        assert_eq!(adjust(correction, &[]), Ok(vec![]));
        assert_eq!(adjust(correction, &[None]), Ok(vec![None]));
    }
}

#[test]
fn plans_that_no_number_reaches() {
    assert_eq!(queries_needed(0.0, Goal::CUSTOMARY), None);
    assert_eq!(queries_needed(1e-5, Goal::CUSTOMARY), None);
    assert!(queries_needed(0.003, Goal::CUSTOMARY).is_some_and(|n| n < LARGEST));
    assert_eq!(queries_needed(1e9, Goal::CUSTOMARY), Some(2));
    assert_eq!(detectable_difference(0.0, 10, Goal::CUSTOMARY), None);
    assert_eq!(detectable_difference(0.1, 1, Goal::CUSTOMARY), None);
}

#[test]
fn arms_without_seeds_or_without_variance() {
    let single = Replicates::new(vec![vec![0.1, 0.5, 0.6]]).unwrap();
    assert_eq!((single.components(), single.sd()), (None, None));
    // python: np.std([.1,.5,.6], ddof=1)/np.sqrt(3)
    assert!((single.standard_error().unwrap() - 0.152_752_523_165_194_66).abs() < 1e-12);
    let differences = of(&[0.1, 0.2, 0.0]);
    assert_eq!(Noise::of(&single, &single, &differences), None);
    assert_eq!(seed_test(&[0.4], &[0.5]), None);
    let same = seed_test(&[0.4, 0.4], &[0.4, 0.4]).unwrap();
    assert_eq!((same.p, same.error), (1.0, 0.0));
    assert!(seed_test(&[0.4, 0.4], &[0.5]).unwrap().p.abs() < 1e-300);
    let equal = Replicates::new(vec![vec![0.3, 0.3]; 3]).unwrap();
    assert_eq!(equal.standard_error(), Some(0.0));
    let still = Noise::of(&equal, &equal, &of(&[0.0, 0.0])).unwrap();
    assert_eq!(still.power(0.1, 3, 2, 0.05), None);
    assert_eq!(still.seeds_needed(0.1, 2, Goal::CUSTOMARY), None);
}

#[test]
fn one_query_has_no_components() {
    let one = Replicates::new(vec![vec![0.3], vec![0.4]]).unwrap();
    assert_eq!((one.components(), one.standard_error()), (None, None));
    assert!(one.sd().is_some());
}
