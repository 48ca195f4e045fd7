//! Rows and figures that only one of two runs has.

use crate::fold::Folded;

/// What only one of the runs has, each told as a warning: rows, and measures of rows that both have.
pub(crate) fn one_sided(
    before: &[Folded<'_>],
    after: &[Folded<'_>],
    warnings: &mut Vec<String>,
) -> Vec<String> {
    let mut all = Vec::new();
    for (rows, others, which) in [(after, before, "second"), (before, after, "first")] {
        let labels: Vec<_> = rows.iter().flat_map(|row| missing(row, others)).collect();
        warnings.extend(
            labels
                .iter()
                .map(|label| format!("{label} is only in the {which} run")),
        );
        all.extend(labels);
    }
    all
}

/// What of a row is not among others: all of it, or some measures.
fn missing(row: &Folded<'_>, others: &[Folded<'_>]) -> Vec<String> {
    let Some(other) = others.iter().find(|other| row.is_at(other)) else {
        return vec![row.label()];
    };
    let measures = row.measures.keys();
    measures
        .filter(|measure| !other.measures.contains_key(*measure))
        .map(|measure| format!("{measure} of {}", row.label()))
        .collect()
}
