//! Folding replicates: the arms of one row become one figure per measure.

use std::{collections::BTreeMap, fmt::Display};

use ablate_stats::{Replicates, Unfit, mean};

use crate::{Arm, ReportError, label};

/// The arms of one system at one point, folded over their replicates.
pub(crate) struct Folded<'a> {
    pub(crate) system: &'a str,
    pub(crate) collection: &'a str,
    pub(crate) point: &'a BTreeMap<String, String>,
    pub(crate) qrels: &'a str,
    /// The arms, by replicate.
    pub(crate) arms: Vec<&'a Arm>,
    pub(crate) measures: BTreeMap<&'a str, Values<'a>>,
}

/// One measure of a row.
#[derive(Debug, PartialEq)]
pub(crate) struct Values<'a> {
    /// Query → its value, averaged over replicates; empty where those are not of the same queries and judgements.
    pub(crate) queries: Queries<'a>,
    /// All values, replicate by query in the order of `queries`; a single value a replicate where queries are added up
    /// or are not the same.
    pub(crate) scores: Replicates,
    /// How many queries: of replicates over different ones, the fewest.
    pub(crate) n_queries: usize,
    /// Whether queries are added up. Such a total describes a run; it is not compared.
    pub(crate) total: bool,
    /// Why the replicates are not of the same queries and judgements, if they are not.
    pub(crate) unlike: Option<ReportError>,
    /// Whether replicates have labels, so that another seed could be run.
    pub(crate) replicated: bool,
}

/// Query → value.
pub(crate) type Queries<'a> = BTreeMap<&'a str, f64>;

type Measures<'a> = BTreeMap<&'a str, Queries<'a>>;

impl Folded<'_> {
    pub(crate) fn label(&self) -> String {
        label(self.system, self.point)
    }

    /// Whether another row stands at the same place of a table.
    pub(crate) fn is_at(&self, other: &Folded<'_>) -> bool {
        self.system == other.system && self.collection == other.collection && self.point == other.point
    }

    /// That its values by `measure` are no numbers to compute with.
    pub(crate) fn unfit(&self, measure: &str, problem: impl Display) -> ReportError {
        ReportError::Unfit {
            row: self.label(),
            measure: measure.into(),
            problem: problem.to_string(),
        }
    }
}

impl Values<'_> {
    /// Whether there is a value for each query to compare.
    pub(crate) fn is_comparable(&self) -> bool {
        !self.total && self.unlike.is_none()
    }

    /// Whether seeds reach it and it was run with one.
    pub(crate) fn has_a_lone_seed(&self) -> bool {
        self.replicated && self.scores.seeds() == 1
    }
}

/// One entry per system, collection and point, in the order of first appearance.
pub(crate) fn fold(arms: &[Arm]) -> Result<Vec<Folded<'_>>, ReportError> {
    let mut places = BTreeMap::new();
    let mut groups: Vec<Vec<&Arm>> = Vec::new();
    for arm in arms {
        let place = *places
            .entry((&arm.system, &arm.collection, &arm.point))
            .or_insert(groups.len());
        if place == groups.len() {
            groups.push(Vec::new());
        }
        groups[place].push(arm);
    }
    groups.into_iter().map(fold_row).collect()
}

/// Folds in the order of the replicates' labels, so that sums do not depend on the order of the arms.
fn fold_row(mut arms: Vec<&Arm>) -> Result<Folded<'_>, ReportError> {
    arms.sort_by(|a, b| a.replicate.cmp(&b.replicate));
    check_replicates(&arms)?;
    let judged = judged_unlike(&arms);
    let scored: Vec<_> = arms.iter().map(|arm| by_measure(arm)).collect::<Result<_, _>>()?;
    let first = arms[0];
    let mut measures = BTreeMap::new();
    for measure in scored.iter().flat_map(BTreeMap::keys) {
        if !measures.contains_key(measure) {
            measures.insert(*measure, fold_measure(measure, &arms, &scored, judged.clone())?);
        }
    }
    Ok(Folded {
        system: &first.system,
        collection: &first.collection,
        point: &first.point,
        qrels: &first.qrels,
        arms,
        measures,
    })
}

fn check_replicates(arms: &[&Arm]) -> Result<(), ReportError> {
    for pair in arms.windows(2) {
        if pair[0].replicate == pair[1].replicate {
            let replicate = pair[0].replicate.as_deref().unwrap_or("(none)").to_owned();
            return Err(ReportError::DuplicateReplicate {
                row: name(pair[0]),
                replicate,
            });
        }
    }
    Ok(())
}

fn judged_unlike(arms: &[&Arm]) -> Option<ReportError> {
    let other = arms.iter().find(|arm| arm.qrels != arms[0].qrels)?;
    Some(ReportError::QrelsDiffer {
        row: replicate_name(arms[0]),
        other: replicate_name(other),
    })
}

fn name(arm: &Arm) -> String {
    label(&arm.system, &arm.point)
}

fn replicate_name(arm: &Arm) -> String {
    arm.replicate.as_ref().map_or_else(
        || name(arm),
        |replicate| format!("{} of replicate {replicate}", name(arm)),
    )
}

fn by_measure(arm: &Arm) -> Result<Measures<'_>, ReportError> {
    let mut measures = Measures::new();
    for score in &arm.scores {
        let about = || (name(arm), score.query_id.clone(), score.measure.clone());
        if !score.value.is_finite() {
            let (row, query, measure) = about();
            return Err(ReportError::NotFinite { row, query, measure });
        }
        let queries = measures.entry(&score.measure).or_default();
        if queries.insert(&score.query_id, score.value).is_some() {
            let (row, query, measure) = about();
            return Err(ReportError::DuplicateScore { row, query, measure });
        }
    }
    Ok(measures)
}

fn fold_measure<'a>(
    measure: &str,
    arms: &[&Arm],
    scored: &[Measures<'a>],
    judged: Option<ReportError>,
) -> Result<Values<'a>, ReportError> {
    let own = arms.iter().zip(scored);
    let own = own.filter_map(|(arm, measures)| Some((*arm, measures.get(measure)?)));
    let each: Vec<(&Arm, &Queries<'a>)> = own.collect();
    let unlike = judged.or_else(|| other_queries(measure, &each));
    let total = arms[0].counts.contains(measure);
    let rows = each.iter().map(|(_, queries)| match (total, &unlike) {
        (true, _) => vec![queries.values().sum()],
        (false, Some(_)) => vec![mean(queries.values().copied())],
        (false, None) => queries.values().copied().collect(),
    });
    let unfit = |problem: Unfit| ReportError::Unfit {
        row: name(arms[0]),
        measure: measure.into(),
        problem: problem.to_string(),
    };
    let scores = Replicates::new(rows.collect()).map_err(unfit)?;
    let counts = each.iter().map(|(_, queries)| queries.len());
    Ok(Values {
        n_queries: counts.min().unwrap_or_default(),
        queries: if unlike.is_none() {
            query_means(&each)
        } else {
            Queries::new()
        },
        scores,
        total,
        unlike,
        replicated: arms[0].replicate.is_some(),
    })
}

/// That replicates are over different queries.
fn other_queries(measure: &str, each: &[(&Arm, &Queries<'_>)]) -> Option<ReportError> {
    let (first, queries) = each.first()?;
    let unlike = each
        .iter()
        .find_map(|(arm, other)| Some((arm, difference(queries, other)?)));
    unlike.map(|(arm, difference)| ReportError::QueriesDiffer {
        measure: measure.into(),
        row: replicate_name(first),
        other: replicate_name(arm),
        difference,
    })
}

/// The mean of each query over replicates, which all have it.
fn query_means<'a>(each: &[(&Arm, &Queries<'a>)]) -> Queries<'a> {
    let Some((_, first)) = each.first() else {
        return Queries::new();
    };
    let of = |query: &&'a str| mean(each.iter().map(|(_, queries)| queries[query]));
    first.keys().map(|query| (*query, of(query))).collect()
}

/// How two query sets differ, with an example; `None` if they are equal.
pub(crate) fn difference(a: &Queries<'_>, b: &Queries<'_>) -> Option<String> {
    if a.keys().eq(b.keys()) {
        return None;
    }
    let only = |a: &Queries<'_>, b: &Queries<'_>| {
        a.keys()
            .find(|query| !b.contains_key(**query))
            .copied()
            .map(String::from)
    };
    let (count, side, example) = match only(a, b) {
        Some(query) => (a.len(), "second", query),
        None => (a.len(), "first", only(b, a).unwrap_or_default()),
    };
    Some(format!(
        "{count} and {}; `{example}` is missing from the {side}",
        b.len()
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::arm::samples::arm;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    }

    #[test]
    fn replicates_fold_to_mean_and_sample_sd() {
        // python: import numpy as np; m=[np.mean(x) for x in ([.1,.5],[.3,.9],[.2,.1])]; np.mean(m), np.std(m,ddof=1)
        let arms = [
            arm("s", &[], Some("1"), "AP", &[0.1, 0.5]),
            arm("s", &[], Some("2"), "AP", &[0.3, 0.9]),
            arm("s", &[], Some("3"), "AP", &[0.2, 0.1]),
        ];
        let rows = fold(&arms).unwrap();
        let values = &rows[0].measures["AP"];
        assert_eq!(rows.len(), 1);
        close(values.scores.mean(), 0.35);
        close(values.scores.sd().unwrap(), 0.229_128_784_747_792);
        close(values.queries["q0"], 0.2);
        close(values.queries["q1"], 0.5);
    }

    #[test]
    fn the_order_of_arms_does_not_reach_the_figures() {
        let values = [[0.1, 0.7], [0.3, 0.123_456], [0.777, 0.31]];
        let mut arms: Vec<_> = values
            .iter()
            .enumerate()
            .map(|(i, values)| arm("s", &[], Some(&i.to_string()), "AP", values))
            .collect();
        let forward = fold(&arms).unwrap().remove(0).measures["AP"].scores.mean();
        arms.reverse();
        let backward = fold(&arms).unwrap().remove(0).measures["AP"].scores.mean();
        assert_eq!(forward.to_bits(), backward.to_bits());
    }

    #[test]
    fn one_replicate_has_no_sd() {
        let arms = [arm("s", &[], None, "AP", &[0.1, 0.5])];
        assert_eq!(fold(&arms).unwrap()[0].measures["AP"].scores.sd(), None);
    }

    #[test]
    fn what_cannot_be_folded_is_refused() {
        let one = arm("s", &[("x", "a")], Some("1"), "AP", &[0.1, 0.5]);
        let refusal = |other: Arm| fold(&[one.clone(), other]).err().unwrap().to_string();
        assert!(refusal(one.clone()).starts_with("`s[x=a]` has two results for replicate 1"));
        let nan = arm("s", &[("x", "a")], Some("2"), "AP", &[0.1, f64::NAN]);
        assert!(refusal(nan).contains("not finite"));
        let mut twice = arm("s", &[("x", "a")], Some("2"), "AP", &[0.1, 0.2]);
        twice.scores.push(twice.scores[0].clone());
        assert!(refusal(twice).contains("scores query `q0` twice by AP"));
    }

    #[test]
    fn replicates_of_other_queries_or_judgements_have_a_mean_and_nothing_to_compare() {
        let one = arm("s", &[], Some("1"), "AP", &[0.1, 0.5]);
        let short = arm("s", &[], Some("2"), "AP", &[0.4]);
        let judged = Arm {
            qrels: "others".into(),
            ..arm("s", &[], Some("2"), "AP", &[0.4, 0.4])
        };
        for (other, why) in [
            (short, "(2 and 1; `q1` is missing from the second)"),
            (judged, "different qrels"),
        ] {
            let arms = [one.clone(), other];
            let values = fold(&arms).unwrap().remove(0).measures.remove("AP").unwrap();
            close(values.scores.mean(), 0.35);
            close(values.scores.sd().unwrap(), 0.005_f64.sqrt());
            assert!(values.queries.is_empty());
            let unlike = values.unlike.unwrap().to_string();
            assert!(unlike.contains(why), "{unlike}");
        }
    }

    #[test]
    fn counts_are_added_up() {
        let counting = |replicate: &str, values: &[f64]| Arm {
            counts: ["NumRet".to_owned()].into(),
            ..arm("s", &[], Some(replicate), "NumRet", values)
        };
        let arms = [counting("1", &[2.0, 3.0, 4.0]), counting("2", &[1.0, 3.0, 1.0])];
        let values = fold(&arms).unwrap().remove(0).measures.remove("NumRet").unwrap();
        close(values.scores.mean(), 7.0);
        assert_eq!((values.n_queries, values.total), (3, true));
    }
}
