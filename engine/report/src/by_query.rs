//! Differences query by query, for who looks closer than a table.

use crate::{
    Arm, Options, ReportError,
    baseline::baselines,
    fold::{Folded, fold},
};

/// A row minus its baseline on every query both have, by one measure.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryDifferences {
    /// The place of the row in the table.
    pub row: usize,
    /// The place of its baseline.
    pub baseline: usize,
    /// Query and difference, values averaged over replicates; in the order of the queries.
    pub queries: Vec<(String, f64)>,
}

/// The differences of all rows that have a baseline, by `measure`.
///
/// # Errors
/// If the values cannot be folded, as [`crate::table`] says.
pub fn by_query(
    arms: &[Arm],
    options: &Options,
    measure: &str,
) -> Result<Vec<QueryDifferences>, ReportError> {
    let folded = fold(arms)?;
    let (against, _) = baselines(&folded, &options.baseline);
    let pairs = against.iter().enumerate();
    let compared = pairs.filter_map(|(row, baseline)| Some((row, (*baseline)?)));
    Ok(compared
        .filter_map(|(row, baseline)| {
            let queries = between(&folded[row], &folded[baseline], measure)?;
            Some(QueryDifferences {
                row,
                baseline,
                queries,
            })
        })
        .collect())
}

fn between(row: &Folded<'_>, baseline: &Folded<'_>, measure: &str) -> Option<Vec<(String, f64)>> {
    let (own, theirs) = (row.measures.get(measure)?, baseline.measures.get(measure)?);
    if !(own.is_comparable() && theirs.is_comparable()) {
        return None;
    }
    let difference =
        |(query, value): (&&str, &f64)| Some(((*query).to_owned(), value - theirs.queries.get(query)?));
    let both = own.queries.iter().filter_map(difference);
    Some(both.collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::arm::samples::arm;

    #[test]
    fn every_row_stands_beside_its_baseline() {
        let arms = [
            arm("s", &[("neg", "a")], Some("1"), "AP", &[0.5, 0.25]),
            arm("s", &[("neg", "a")], Some("2"), "AP", &[1.0, 0.25]),
            arm("base", &[], None, "AP", &[0.25, 0.5]),
        ];
        let options = Options {
            baseline: [("system".to_owned(), "base".to_owned())].into(),
            ..Options::default()
        };
        let found = by_query(&arms, &options, "AP").unwrap();
        let queries = vec![("q0".to_owned(), 0.5), ("q1".to_owned(), -0.25)];
        assert_eq!(
            found,
            [QueryDifferences {
                row: 0,
                baseline: 1,
                queries
            }]
        );
        assert!(by_query(&arms, &options, "RR").unwrap().is_empty());
        assert!(by_query(&arms, &Options::default(), "AP").unwrap().is_empty());
    }
}
