//! How figures moved between two runs, query by query.

use std::collections::BTreeMap;

use ablate_stats::{Differences, NotAProbability, NotFinite, adjust, mean};
use serde::Serialize;

use crate::{
    Options,
    compare::stream,
    fold::{Folded, Queries, Values},
};

/// How many queries are named as movers.
const MOVERS: usize = 5;

/// A figure that is not the same in both runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moved {
    /// The name of the evaluate stage.
    pub system: String,
    /// The collection.
    pub collection: String,
    /// Axis → label.
    pub point: BTreeMap<String, String>,
    /// The measure.
    pub measure: String,
    /// The mean in the first run, over the queries of both.
    pub a: f64,
    /// The mean in the second run, over the queries of both.
    pub b: f64,
    /// `b` - `a`.
    pub delta: f64,
    /// The test over the queries of both, corrected over the figures that moved; `None` where the judgements differ.
    pub p: Option<f64>,
    /// Queries of both runs.
    pub n_queries: usize,
    /// Queries better in the second run.
    pub wins: usize,
    /// Queries worse in the second run.
    pub losses: usize,
    /// Queries with the same value.
    pub ties: usize,
    /// The queries that moved most, largest first.
    pub movers: Vec<Mover>,
}

/// A query that moved.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mover {
    /// The query.
    pub query_id: String,
    /// Its value in the first run, averaged over replicates.
    pub a: f64,
    /// Its value in the second run, averaged over replicates.
    pub b: f64,
    /// What was asked, where that was looked up.
    pub text: Option<String>,
}

/// The measures that moved between two rows, and how many did not; `p` is not corrected yet. What hinders the comparison
/// is told to `warnings`.
pub(crate) fn between(
    a: &Folded<'_>,
    b: &Folded<'_>,
    options: &Options,
    warnings: &mut Vec<String>,
) -> (Vec<Moved>, usize) {
    let judged_alike = a.qrels == b.qrels;
    if !judged_alike {
        warnings.push(format!(
            "{} was judged by different qrels in the two runs: no test is possible",
            a.label()
        ));
    }
    let (mut moved, mut same) = (Vec::new(), 0);
    for (measure, before) in &a.measures {
        let Some(after) = b.measures.get(measure) else {
            continue;
        };
        if before.queries == after.queries && before.scores == after.scores {
            same += 1;
            continue;
        }
        if !(before.is_comparable() && after.is_comparable()) {
            warnings.extend(
                [before, after]
                    .iter()
                    .find_map(|values| values.unlike.as_ref())
                    .map(ToString::to_string),
            );
            moved.push(of_means((b, measure), before, after));
            continue;
        }
        let found = match of_measure((a, measure), &before.queries, &after.queries, options) {
            Ok(found) => found,
            Err(error) => {
                warnings.push(a.unfit(measure, error).to_string());
                continue;
            }
        };
        let all = before.queries.len().max(after.queries.len());
        if found.n_queries < all {
            let (common, row) = (found.n_queries, a.label());
            warnings.push(format!(
                "{measure} of {row} is compared on the {common} queries that both runs have"
            ));
        }
        moved.push(Moved {
            p: found.p.filter(|_| judged_alike),
            ..found
        });
    }
    (moved, same)
}

/// A figure of which queries are not compared: a total, or one over replicates of other queries.
fn of_means((row, measure): (&Folded<'_>, &str), a: &Values<'_>, b: &Values<'_>) -> Moved {
    let (a, b, n_queries) = (a.scores.mean(), b.scores.mean(), a.n_queries.min(b.n_queries));
    Moved {
        system: row.system.into(),
        collection: row.collection.into(),
        point: row.point.clone(),
        measure: measure.into(),
        a,
        b,
        delta: b - a,
        p: None,
        n_queries,
        wins: 0,
        losses: 0,
        ties: 0,
        movers: Vec::new(),
    }
}

fn of_measure(
    (row, measure): (&Folded<'_>, &str),
    a: &Queries<'_>,
    b: &Queries<'_>,
    options: &Options,
) -> Result<Moved, NotFinite> {
    let common: Vec<_> = a
        .iter()
        .filter_map(|(query, a)| Some((*query, *a, *b.get(query)?)))
        .collect();
    let (mean_a, mean_b) = (
        mean(common.iter().map(|(_, a, _)| *a)),
        mean(common.iter().map(|(_, _, b)| *b)),
    );
    let differences = Differences::between(common.iter().map(|(_, a, b)| (*b, *a)))?;
    let counts = differences.counts();
    Ok(Moved {
        system: row.system.into(),
        collection: row.collection.into(),
        point: row.point.clone(),
        measure: measure.into(),
        a: mean_a,
        b: mean_b,
        delta: mean_b - mean_a,
        p: options
            .test
            .apply(&differences, &stream("randomization"))
            .map(|tested| tested.p),
        n_queries: common.len(),
        wins: counts.wins,
        losses: counts.losses,
        ties: counts.ties,
        movers: movers(common),
    })
}

fn movers(mut common: Vec<(&str, f64, f64)>) -> Vec<Mover> {
    common.retain(|(_, a, b)| (a - b).abs() > 1e-12);
    common.sort_by(|(x, a, b), (y, c, d)| (c - d).abs().total_cmp(&(a - b).abs()).then(x.cmp(y)));
    common
        .into_iter()
        .take(MOVERS)
        .map(|(query, a, b)| Mover {
            query_id: query.into(),
            a,
            b,
            text: None,
        })
        .collect()
}

/// Corrects the p-values over all figures that moved.
pub(crate) fn correct(moved: &mut [Moved], options: &Options) -> Result<(), NotAProbability> {
    let raw: Vec<_> = moved.iter().map(|figure| figure.p).collect();
    for (figure, p) in moved.iter_mut().zip(adjust(options.correction, &raw)?) {
        figure.p = p;
    }
    Ok(())
}
