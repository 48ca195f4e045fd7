//! Each figure of a table beside that of its baseline.

use std::collections::{BTreeMap, BTreeSet};

use ablate_core::Seed;
use ablate_stats::{
    Bootstrap, Differences, Goal, Interval, Noise, ROUNDS, Resamples, adjust, bootstrap_interval,
    detectable_difference, equivalence, hedges_g, queries_needed, seed_test, t_interval,
};
use rayon::prelude::*;

use crate::{
    Figure, Options, ReportError, Row,
    fold::{Folded, Values, difference},
    warnings::LEVEL,
};

/// One measure of a row and of the row it is compared with.
struct Pair<'a> {
    /// The place of the row.
    row: usize,
    measure: &'a str,
    system: &'a Values<'a>,
    baseline: &'a Values<'a>,
    differences: Differences,
}

/// Fills in what follows from comparing each row with the one at its place in `against`. p-values are corrected over
/// all comparisons of the table. Answers which rows could not be compared, and why.
pub(crate) fn compare(
    folded: &[Folded<'_>],
    against: &[Option<usize>],
    options: &Options,
    rows: &mut [Row],
) -> Result<Vec<String>, ReportError> {
    let (pairs, refused) = pairs(folded, against);
    let resamples = resamples(&pairs, options);
    let own = |pair: &Pair<'_>| &rows[pair.row].scores[pair.measure];
    let mut figures: Vec<_> = pairs
        .par_iter()
        .map(|pair| pair.figure(own(pair), options, &resamples))
        .collect();
    correct(&mut figures, options, |figure| &mut figure.p)?;
    correct(&mut figures, options, |figure| &mut figure.p_equivalence)?;
    for (pair, mut figure) in pairs.iter().zip(figures) {
        figure.equivalent = figure.p_equivalence.map(|p| p < LEVEL);
        rows[pair.row].scores.insert(pair.measure.into(), figure);
    }
    Ok(refused)
}

/// All comparisons, in the order of the rows, and why there are none of other rows.
fn pairs<'a>(folded: &'a [Folded<'a>], against: &[Option<usize>]) -> (Vec<Pair<'a>>, Vec<String>) {
    let (mut pairs, mut refused) = (Vec::new(), Vec::new());
    for (row, (system, other)) in folded.iter().zip(against).enumerate() {
        let Some(baseline) = other.map(|place| &folded[place]) else {
            continue;
        };
        match of_row(row, system, baseline) {
            Ok(found) => pairs.extend(found),
            Err(error) => refused.push(format!("not compared: {error}")),
        }
    }
    (pairs, refused)
}

/// The comparisons of a row, or why it cannot be compared.
fn of_row<'a>(
    row: usize,
    system: &'a Folded<'a>,
    baseline: &'a Folded<'a>,
) -> Result<Vec<Pair<'a>>, ReportError> {
    let mut pairs = Vec::new();
    for (measure, values) in system
        .measures
        .iter()
        .filter(|(_, values)| values.is_comparable())
    {
        let Some(reference) = baseline.measures.get(measure) else {
            continue;
        };
        comparable(measure, system, baseline)?;
        let differences = differences(values, reference).map_err(|error| system.unfit(measure, error))?;
        pairs.push(Pair {
            row,
            measure,
            system: values,
            baseline: reference,
            differences,
        });
    }
    Ok(pairs)
}

/// The differences on queries that both have: on all of them, once they are [`comparable`].
fn differences(
    system: &Values<'_>,
    baseline: &Values<'_>,
) -> Result<Differences, impl std::error::Error + use<>> {
    Differences::between(
        system
            .queries
            .values()
            .copied()
            .zip(baseline.queries.values().copied()),
    )
}

/// Refuses to compare what was not measured alike.
fn comparable(measure: &str, system: &Folded<'_>, baseline: &Folded<'_>) -> Result<(), ReportError> {
    if let Some(error) = &baseline.measures[measure].unlike {
        return Err(error.clone());
    }
    let (row, other) = (system.label(), baseline.label());
    if system.qrels != baseline.qrels {
        return Err(ReportError::QrelsDiffer { row, other });
    }
    match difference(
        &system.measures[measure].queries,
        &baseline.measures[measure].queries,
    ) {
        Some(difference) => Err(ReportError::QueriesDiffer {
            measure: measure.into(),
            row,
            other,
            difference,
        }),
        None => Ok(()),
    }
}

/// Number of queries → resamples, for each that a bootstrap is asked of.
fn resamples(pairs: &[Pair<'_>], options: &Options) -> BTreeMap<usize, Resamples> {
    if options.interval != Some(Interval::Bootstrap) {
        return BTreeMap::new();
    }
    let sizes: BTreeSet<_> = pairs.iter().map(|pair| pair.differences.len()).collect();
    let seed = stream("bootstrap");
    sizes
        .into_iter()
        .map(|n| (n, Resamples::new(n, ROUNDS, &seed)))
        .collect()
}

/// One stream for every comparison: a figure does not depend on which others stand in the table.
pub(crate) fn stream(name: &str) -> Seed {
    Seed::root(0).child("report").child(name)
}

impl Pair<'_> {
    /// `own` with everything that the comparison says; p-values are not corrected yet.
    fn figure(&self, own: &Figure, options: &Options, resamples: &BTreeMap<usize, Resamples>) -> Figure {
        let differences = &self.differences;
        let delta = self.system.scores.mean() - self.baseline.scores.mean();
        let tested = options.test.apply(differences, &stream("randomization"));
        let p_seeds = self.p_seeds();
        let effect = hedges_g(differences);
        let goal = Goal::CUSTOMARY;
        let queries = differences.len() as u64;
        Figure {
            delta: Some(delta),
            p: tested.map(|tested| tested.p),
            method: tested.map(|tested| tested.method),
            ci: options
                .interval
                .and_then(|interval| self.interval(interval, options, resamples)),
            effect,
            counts: Some(differences.counts()),
            p_equivalence: options
                .equivalence
                .and_then(|margin| equivalence(differences, margin)),
            detectable: differences
                .sd()
                .and_then(|sd| detectable_difference(sd, queries, goal)),
            queries_needed: effect.and_then(|effect| queries_needed(effect, goal)),
            seeds_needed: self
                .noise()
                .and_then(|noise| noise.seeds_needed(delta, queries, goal)),
            p_seeds,
            within_seed_noise: p_seeds.map(|p| p >= LEVEL),
            ..own.clone()
        }
    }

    fn interval(
        &self,
        interval: Interval,
        options: &Options,
        resamples: &BTreeMap<usize, Resamples>,
    ) -> Option<[f64; 2]> {
        let (differences, confidence) = (&self.differences, options.confidence());
        match interval {
            Interval::T => t_interval(differences, confidence),
            Interval::Bootstrap => {
                let resamples = resamples.get(&differences.len())?;
                bootstrap_interval(differences, resamples, Bootstrap::Bca, confidence)
            }
        }
    }

    /// What seeds alone say; `None` where an arm that has seeds was run with one: nothing tells what another would do.
    fn p_seeds(&self) -> Option<f64> {
        let known = !(self.system.has_a_lone_seed() || self.baseline.has_a_lone_seed());
        let means = |values: &Values<'_>| values.scores.means();
        known
            .then(|| seed_test(&means(self.system), &means(self.baseline)))?
            .map(|test| test.p)
    }

    fn noise(&self) -> Option<Noise> {
        let known = !(self.system.has_a_lone_seed() || self.baseline.has_a_lone_seed());
        known.then(|| Noise::of(&self.system.scores, &self.baseline.scores, &self.differences))?
    }
}

/// Corrects one p-value of every figure over all figures.
fn correct(
    figures: &mut [Figure],
    options: &Options,
    of: impl Fn(&mut Figure) -> &mut Option<f64>,
) -> Result<(), ReportError> {
    let raw: Vec<_> = figures.iter_mut().map(|figure| *of(figure)).collect();
    let adjusted = adjust(options.correction, &raw).map_err(ReportError::PValue)?;
    for (figure, p) in figures.iter_mut().zip(adjusted) {
        *of(figure) = p;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use ablate_stats::{Correction, Counts, Interval, Method, Test};

    use crate::{Arm, Figure, Format, Options, arm::samples::arm, render, table};

    const A: [f64; 6] = [0.61, 0.43, 1.0, 0.1, 0.63, 0.39];
    const B: [f64; 6] = [0.5, 0.53, 0.63, 0.0, 0.69, 0.25];
    const C: [f64; 6] = [0.2, 0.33, 0.4, 0.0, 0.5, 0.3];

    /// A baseline without seeds and a system with two.
    fn arms() -> Vec<Arm> {
        vec![
            arm("bm25", &[], None, "AP", &B),
            arm("s", &[], Some("1"), "AP", &A),
            arm("s", &[], Some("2"), "AP", &C),
        ]
    }

    fn against_bm25() -> Options {
        Options {
            baseline: [("system".into(), "bm25".into())].into(),
            interval: Some(Interval::T),
            confidence: Some(0.9),
            equivalence: Some(0.5),
            ..Options::default()
        }
    }

    fn figure(arms: &[Arm], options: &Options, row: usize) -> Figure {
        table(arms, options).unwrap().rows[row].scores["AP"].clone()
    }

    fn close(found: Option<f64>, expected: f64) {
        assert!(
            (found.unwrap() - expected).abs() < 1e-12,
            "{found:?} is not {expected}"
        );
    }

    #[test]
    fn all_that_a_comparison_says_reaches_the_row() {
        // python: a=(A+C)/2; ttest_rel(a,B).confidence_interval(.9); ttost_paired(a,B,-.5,.5)[0];
        // ttest_1samp([A.mean(),C.mean()],B.mean()).pvalue; TTestPower().solve_power(abs(g),alpha=.05,power=.8) = 200.16
        let found = figure(&arms(), &against_bm25(), 1);
        close(found.ci.map(|[low, _]| low), -0.115_626_168_964_107_77);
        close(found.ci.map(|[_, high]| high), 0.063_959_502_297_441);
        close(found.p_equivalence, 6.341_001_141_494_344e-5);
        close(found.effect, -0.198_982_465_463_105_55);
        close(found.p_seeds, 0.864_094_434_208_553_7);
        assert!((found.detectable.unwrap() - 0.156_583_520_764_690_43).abs() < 1e-7);
        let counts = Counts {
            wins: 3,
            ties: 0,
            losses: 3,
        };
        assert_eq!((found.counts, found.queries_needed), (Some(counts), Some(201)));
        assert_eq!(found.method, Some(Method::Student));
        assert_eq!(
            (found.equivalent, found.within_seed_noise),
            (Some(true), Some(true))
        );
    }

    #[test]
    fn the_baseline_is_compared_with_nothing() {
        let found = figure(&arms(), &against_bm25(), 0);
        let alone = Figure {
            mean: found.mean,
            se: found.se,
            n: 1,
            n_queries: 6,
            ..Figure::default()
        };
        assert_eq!(found, alone);
    }

    #[test]
    fn a_lone_seed_tells_nothing_of_seeds() {
        let mut arms = arms();
        arms[0].replicate = Some("1".into());
        let found = figure(&arms, &against_bm25(), 1);
        assert_eq!(
            (found.p_seeds, found.within_seed_noise, found.seeds_needed),
            (None, None, None)
        );
        assert!(found.p.is_some());
    }

    #[test]
    fn other_rows_do_not_move_what_is_drawn_at_random() {
        let long: Vec<f64> = (0..40).map(|i| f64::from(i * i % 17) / 20.0).collect();
        let other: Vec<f64> = (0..40).map(|i| f64::from(i * i % 13) / 20.0).collect();
        let mut arms = vec![
            arm("bm25", &[], None, "AP", &other),
            arm("s", &[], None, "AP", &long),
        ];
        let options = Options {
            test: Test::Randomization,
            correction: Correction::None,
            interval: Some(Interval::Bootstrap),
            ..against_bm25()
        };
        let alone = figure(&arms, &options, 1);
        assert_eq!(alone.method, Some(Method::Sampled));
        let [low, high] = alone.ci.unwrap();
        assert!(low < alone.delta.unwrap() && alone.delta.unwrap() < high);
        arms.insert(1, arm("t", &[], None, "AP", &other));
        assert_eq!(figure(&arms, &options, 2), alone);
    }

    #[test]
    fn tables_say_what_was_computed() {
        let options = Options {
            test: Test::Wilcoxon,
            ..against_bm25()
        };
        let table = table(&arms(), &options).unwrap();
        for format in [Format::Text, Format::Markdown] {
            let text = String::from_utf8(render(format, &table, &options, false).unwrap()).unwrap();
            for part in [
                "(-0.0258≈ [-0.1156, +0.0640])",
                "Wilcoxon signed-rank test (exact) over queries",
                "[low, high] 90 % t intervals of the difference over queries, not corrected",
                "≈ equivalent within ±0.5: both one-sided paired t-tests p",
            ] {
                assert!(text.contains(part), "{part} is not in\n{text}");
            }
        }
        let csv = crate::csv(&table);
        assert!(csv.lines().nth(2).unwrap().contains(",exact,-0.1156"), "{csv}");
    }
}
