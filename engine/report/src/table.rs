//! From evaluated arms to rows with significance marks.

use std::{collections::BTreeMap, fmt};

use ablate_stats::{Counts, Method};
use serde::{Deserialize, Serialize};

use crate::{
    Arm, Options, ReportError,
    arm::label,
    baseline::baselines,
    compare::compare,
    fold::{Folded, Values, fold},
    options::suggestion,
    warnings,
};

/// A table of results: one row per system, collection and point.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// In the order in which the arms were given.
    pub rows: Vec<Row>,
    /// The measures of any row: the one asked for first, then by first appearance.
    pub measures: Vec<String>,
    /// The axes of any row, by first appearance.
    pub axes: Vec<String>,
    /// What should stand in it and does not.
    pub missing: Vec<Missing>,
    /// What the reader should know before believing it.
    pub warnings: Vec<String>,
}

/// An arm without figures: it failed, or something it needs did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Missing {
    /// The name of the evaluate stage.
    pub system: String,
    /// The collection.
    pub collection: String,
    /// Axis → label.
    pub point: BTreeMap<String, String>,
    /// Which replicate.
    pub replicate: Option<String>,
    /// Why there is nothing.
    pub reason: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seed = self
            .replicate
            .iter()
            .map(|seed| ("seed".to_owned(), seed.clone()));
        let place = self.point.clone().into_iter().chain(seed).collect();
        let (label, collection, reason) = (label(&self.system, &place), &self.collection, &self.reason);
        write!(f, "missing: {label} on {collection}: {reason}")
    }
}

/// A system at a point of the sweep, over all its replicates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The name of the evaluate stage.
    pub system: String,
    /// The collection.
    pub collection: String,
    /// Axis → label, only the axes upstream of it.
    pub point: BTreeMap<String, String>,
    /// Measure → figure.
    pub scores: BTreeMap<String, Figure>,
}

/// One measure of a row. What speaks of a difference is `None` on the baseline, where there is none, and where there are
/// too few queries to tell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The mean over replicates of the mean over queries, or of their sum where `total` says so.
    pub mean: f64,
    /// Whether it counts, and queries are added up; then nothing speaks of a difference.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub total: bool,
    /// The sample standard deviation of the replicates' means; `None` for a single one.
    pub sd: Option<f64>,
    /// The standard error of the mean, from the variance of queries and of replicates; of a single one over queries alone.
    pub se: Option<f64>,
    /// How many replicates.
    pub n: usize,
    /// How many queries.
    pub n_queries: usize,
    /// Mean minus the baseline's.
    pub delta: Option<f64>,
    /// The corrected p-value of that difference over queries.
    pub p: Option<f64>,
    /// How that p-value was computed.
    pub method: Option<Method>,
    /// The confidence interval of `delta` over queries, not corrected; `None` if none was asked for.
    pub ci: Option<[f64; 2]>,
    /// Hedges' g_z of the difference over queries.
    pub effect: Option<f64>,
    /// On how many queries it is better, equal and worse than the baseline.
    pub counts: Option<Counts>,
    /// The corrected p-value of two one-sided t-tests within the margin; `None` if no margin was given.
    pub p_equivalence: Option<f64>,
    /// Whether that p-value says that the difference lies within the margin.
    pub equivalent: Option<bool>,
    /// The least difference that a paired t-test over these queries finds (level 0.05, power 0.8).
    pub detectable: Option<f64>,
    /// How many queries such a test takes to find a difference of this `effect`; `None` beyond a million.
    pub queries_needed: Option<u64>,
    /// How many seeds an arm these queries take to find `delta`, from both levels of variance; `None` without seeds, and
    /// where no number is enough.
    pub seeds_needed: Option<u64>,
    /// The p-value of `delta` over seeds (Welch's test), not corrected; `None` where seeds were not varied.
    pub p_seeds: Option<f64>,
    /// Whether seeds alone may make such a difference: `p_seeds` is not below 0.05.
    pub within_seed_noise: Option<bool>,
}

impl Figure {
    /// The mean as tables print it: with four decimals, a whole total without.
    pub fn written(&self) -> String {
        let mean = self.mean;
        if self.total && mean.fract() == 0.0 {
            format!("{mean:.0}")
        } else {
            format!("{mean:.4}")
        }
    }
}

/// Folds replicates, compares each row with its baseline and corrects over all comparisons of the table.
///
/// A baseline that names no row is a warning, since its arm may have failed, and so is a measure that no arm has. A row
/// over other queries or judgements than its baseline's is not compared, and that is a warning, too.
///
/// # Errors
/// If values cannot be folded: two results for one replicate, NaN.
pub fn table(arms: &[Arm], options: &Options) -> Result<Table, ReportError> {
    let folded = fold(arms)?;
    let mut warnings = Vec::new();
    let measures = measures(arms, options.measure.as_deref(), &mut warnings);
    let mut rows: Vec<_> = folded.iter().map(row).collect();
    let (against, unmatched) = baselines(&folded, &options.baseline);
    warnings.extend(unmatched);
    warnings.extend(compare(&folded, &against, options, &mut rows)?);
    warnings.extend(warnings::of(&folded, &against, &rows));
    let axes = unique(folded.iter().flat_map(|row| row.point.keys()));
    Ok(Table {
        rows,
        measures,
        axes,
        missing: Vec::new(),
        warnings,
    })
}

fn unique<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for name in names {
        if !found.contains(name) {
            found.push(name.clone());
        }
    }
    found
}

/// All measures, `first` first.
fn measures(arms: &[Arm], first: Option<&str>, warnings: &mut Vec<String>) -> Vec<String> {
    let mut all = unique(
        arms.iter()
            .flat_map(|arm| arm.scores.iter().map(|score| &score.measure)),
    );
    let Some(first) = first.filter(|_| !all.is_empty()) else {
        return all;
    };
    let Some(place) = all.iter().position(|measure| measure == first) else {
        let help = suggestion(first, all.iter().map(String::as_str));
        warnings.push(format!("no arm was evaluated by `{first}`: {help}"));
        return all;
    };
    all[..=place].rotate_right(1);
    all
}

fn row(folded: &Folded<'_>) -> Row {
    let figure = |(measure, values): (&&str, &Values<'_>)| ((*measure).to_owned(), figure(values));
    Row {
        system: folded.system.into(),
        collection: folded.collection.into(),
        point: folded.point.clone(),
        scores: folded.measures.iter().map(figure).collect(),
    }
}

fn figure(values: &Values<'_>) -> Figure {
    Figure {
        mean: values.scores.mean(),
        sd: values.scores.sd(),
        se: values.scores.standard_error(),
        n: values.scores.seeds(),
        n_queries: values.n_queries,
        total: values.total,
        ..Figure::default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ablate_stats::{Correction, Test};

    use crate::arm::samples::arm;

    const A: [f64; 6] = [0.61, 0.43, 1.0, 0.1, 0.63, 0.39];
    const B: [f64; 6] = [0.5, 0.53, 0.63, 0.0, 0.69, 0.25];
    const C: [f64; 6] = [0.2, 0.33, 0.4, 0.0, 0.5, 0.3];

    fn options(baseline: &[(&str, &str)]) -> Options {
        let baseline = baseline.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        Options {
            baseline,
            ..Options::default()
        }
    }

    #[test]
    fn replicates_are_never_rows_and_bm25_stands_once() {
        let arms = [
            arm("bm25", &[], None, "AP", &B),
            arm("s", &[("neg", "a")], Some("1"), "AP", &A),
            arm("s", &[("neg", "a")], Some("2"), "AP", &C),
            arm("s", &[("neg", "b")], Some("1"), "AP", &C),
        ];
        let table = table(&arms, &Options::default()).unwrap();
        let shape: Vec<_> = table
            .rows
            .iter()
            .map(|row| (row.system.as_str(), row.scores["AP"].n))
            .collect();
        assert_eq!(shape, [("bm25", 1), ("s", 2), ("s", 1)]);
        assert_eq!(table.axes, ["neg"]);
        assert!(
            table
                .rows
                .iter()
                .all(|row| row.scores["AP"].delta.is_none() && row.scores["AP"].p.is_none())
        );
    }

    #[test]
    fn p_is_over_queries_averaged_over_replicates_and_corrected_over_the_table() {
        // python: a=(np.array(A)+np.array(C))/2; p=[ttest_rel(a,B).pvalue, ttest_rel(C,B).pvalue]; multipletests(p,method="holm")[1]
        let arms = [
            arm("bm25", &[], None, "AP", &B),
            arm("s", &[("neg", "a")], Some("1"), "AP", &A),
            arm("s", &[("neg", "a")], Some("2"), "AP", &C),
            arm("s", &[("neg", "b")], None, "AP", &C),
        ];
        let table = table(&arms, &options(&[("system", "bm25")])).unwrap();
        let figure = |row: usize| table.rows[row].scores["AP"].clone();
        assert_eq!((figure(0).delta, figure(0).p), (None, None));
        assert!((figure(1).delta.unwrap() + 0.025_833_333_333_333_43).abs() < 1e-12);
        assert!(
            (figure(1).p.unwrap() - 0.587_238_187_062_173_1).abs() < 1e-12,
            "{:?}",
            figure(1).p
        );
        assert!(
            (figure(2).p.unwrap() - 0.099_829_990_988_984_78).abs() < 1e-12,
            "{:?}",
            figure(2).p
        );
    }

    #[test]
    fn the_family_is_arms_times_measures() {
        let two = |system: &str, a: &[f64], b: &[f64]| {
            let mut both = arm(system, &[], None, "AP", a);
            both.scores.extend(arm(system, &[], None, "RR", b).scores);
            both
        };
        let arms = [two("base", &B, &B), two("x", &A, &C), two("y", &C, &A)];
        let with = |correction| {
            let options = Options {
                correction,
                test: Test::PairedT,
                ..options(&[("system", "base")])
            };
            table(&arms, &options).unwrap().rows[1].scores["AP"].p.unwrap()
        };
        assert!((with(Correction::Bonferroni) - (4.0 * with(Correction::None)).min(1.0)).abs() < 1e-12);
    }

    #[test]
    fn other_queries_or_judgements_are_refused() {
        let arms = |other: Arm| {
            [
                arm("base", &[], None, "AP", &B),
                other,
                arm("like", &[], None, "AP", &C),
            ]
        };
        let refusal = |other: Arm| {
            let table = table(&arms(other), &options(&[("system", "base")])).unwrap();
            let figure = |row: usize| &table.rows[row].scores["AP"];
            assert!(figure(1).delta.is_none() && figure(1).p.is_none() && figure(1).mean > 0.0);
            assert!(figure(2).p.is_some(), "the others are compared all the same");
            table.warnings.join("\n")
        };
        let short = refusal(arm("s", &[], None, "AP", &A[..5]));
        assert!(
            short.contains("not compared: AP of `s` and of `base` are over different queries (5 and 6; `q5`")
        );
        let judged = refusal(Arm {
            qrels: "others".into(),
            ..arm("s", &[], None, "AP", &A)
        });
        assert!(judged.contains("not compared: `s` and `base` were judged by different qrels"));
    }

    #[test]
    fn replicates_over_other_queries_have_a_mean_and_are_told() {
        let arms = [
            arm("base", &[], None, "AP", &B),
            arm("s", &[], Some("1"), "AP", &A),
            arm("s", &[], Some("2"), "AP", &C[..4]),
        ];
        let table = table(&arms, &options(&[("system", "base")])).unwrap();
        let figure = &table.rows[1].scores["AP"];
        assert_eq!((figure.n, figure.n_queries, figure.p), (2, 4, None));
        let told = "AP of `s of replicate 1` and of `s of replicate 2` are over different queries (6 and 4";
        assert!(
            table.warnings.iter().any(|warning| warning.contains(told)),
            "{:?}",
            table.warnings
        );
    }

    #[test]
    fn totals_are_not_compared_and_do_not_count_in_the_family() {
        let counted = |system: &str, values: &[f64]| {
            let mut both = arm(system, &[], None, "AP", values);
            both.scores
                .extend(arm(system, &[], None, "NumRet", &[7.0; 6]).scores);
            both.counts.insert("NumRet".into());
            both
        };
        let with = |arms: &[Arm]| table(arms, &options(&[("system", "base")])).unwrap();
        let both = with(&[counted("base", &B), counted("x", &A), counted("y", &C)]);
        let total = &both.rows[1].scores["NumRet"];
        assert_eq!(
            (total.mean, total.total, total.delta, total.p),
            (42.0, true, None, None)
        );
        let alone = with(&[
            arm("base", &[], None, "AP", &B),
            arm("x", &[], None, "AP", &A),
            arm("y", &[], None, "AP", &C),
        ]);
        assert_eq!(both.rows[1].scores["AP"].p, alone.rows[1].scores["AP"].p);
    }

    #[test]
    fn the_measure_asked_for_stands_first() {
        let mut both = arm("s", &[], None, "AP", &A);
        both.scores.extend(arm("s", &[], None, "nDCG@10", &B).scores);
        let with = |measure: &str| {
            table(
                &[both.clone()],
                &Options {
                    measure: Some(measure.into()),
                    ..Options::default()
                },
            )
        };
        assert_eq!(with("nDCG@10").unwrap().measures, ["nDCG@10", "AP"]);
        let without = with("nDCG@1").unwrap();
        assert_eq!(without.measures, ["AP", "nDCG@10"]);
        assert_eq!(
            without.warnings,
            ["no arm was evaluated by `nDCG@1`: did you mean `nDCG@10`?"]
        );
    }

    #[test]
    fn nothing_evaluated_is_an_empty_table() {
        let asked = Options {
            measure: Some("AP".into()),
            ..options(&[("system", "x")])
        };
        let table = table(&[], &asked).unwrap();
        assert!(table.rows.is_empty() && table.warnings.is_empty());
    }

    #[test]
    fn rows_serialise_as_the_design_says() {
        let arms = [arm("s", &[("neg", "a")], None, "AP", &[0.5, 0.25])];
        let row = serde_json::to_value(&table(&arms, &Options::default()).unwrap().rows[0]).unwrap();
        let expected = serde_json::json!({
            "system": "s", "collection": "demo", "point": {"neg": "a"},
            "scores": {"AP": {
                "mean": 0.375, "sd": null, "se": 0.125, "n": 1, "n_queries": 2, "delta": null, "p": null,
                "method": null, "ci": null, "effect": null, "counts": null, "p_equivalence": null, "equivalent": null,
                "detectable": null, "queries_needed": null, "seeds_needed": null, "p_seeds": null,
                "within_seed_noise": null,
            }},
        });
        assert_eq!(row, expected);
    }
}
