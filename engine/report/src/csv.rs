//! The figures as CSV (RFC 4180, long form): what a data frame wants.

use ablate_stats::Counts;

use crate::{Figure, Row, Table};

/// The columns after system, collection and the axes: the measure, and the fields of a [`Figure`].
const FIGURES: [&str; 22] = [
    "measure",
    "mean",
    "sd",
    "n",
    "n_queries",
    "delta",
    "p",
    "se",
    "method",
    "ci_low",
    "ci_high",
    "effect",
    "wins",
    "ties",
    "losses",
    "p_equivalence",
    "equivalent",
    "detectable",
    "queries_needed",
    "seeds_needed",
    "p_seeds",
    "within_seed_noise",
];

/// One line per row and measure in full precision; empty where there is none.
pub fn csv(table: &Table) -> String {
    let axes = table.axes.iter().map(String::as_str);
    let header = ["system", "collection"].into_iter().chain(axes).map(field);
    let mut out = line(header.chain(FIGURES.map(field)));
    for row in &table.rows {
        for measure in &table.measures {
            out.extend(figure_line(table, row, measure));
        }
    }
    out
}

fn figure_line(table: &Table, row: &Row, measure: &str) -> Option<String> {
    let figure = row.scores.get(measure)?;
    let labels = table
        .axes
        .iter()
        .map(|axis| row.point.get(axis).map_or("", String::as_str));
    let what = [row.system.as_str(), row.collection.as_str()]
        .into_iter()
        .chain(labels)
        .chain([measure])
        .map(field);
    Some(line(what.chain(values(figure))))
}

/// The values of [`FIGURES`] after the measure.
fn values(figure: &Figure) -> [String; FIGURES.len() - 1] {
    let counts = |of: fn(&Counts) -> usize| optional(figure.counts.as_ref().map(of));
    [
        figure.mean.to_string(),
        optional(figure.sd),
        figure.n.to_string(),
        figure.n_queries.to_string(),
        optional(figure.delta),
        optional(figure.p),
        optional(figure.se),
        optional(figure.method),
        optional(figure.ci.map(|[low, _]| low)),
        optional(figure.ci.map(|[_, high]| high)),
        optional(figure.effect),
        counts(|counts| counts.wins),
        counts(|counts| counts.ties),
        counts(|counts| counts.losses),
        optional(figure.p_equivalence),
        optional(figure.equivalent),
        optional(figure.detectable),
        optional(figure.queries_needed),
        optional(figure.seeds_needed),
        optional(figure.p_seeds),
        optional(figure.within_seed_noise),
    ]
}

fn optional(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn line(fields: impl Iterator<Item = String>) -> String {
    fields.collect::<Vec<_>>().join(",") + "\n"
}

/// Quoted where it must be.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.into()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Options, arm::samples::arm, table};

    #[test]
    fn one_line_per_row_and_measure() {
        let arms = [
            arm("bm25", &[], None, "AP", &[0.5, 0.25]),
            arm("s", &[("size", "8,\"b\"")], Some("1"), "AP", &[0.5, 0.5]),
            arm("s", &[("size", "8,\"b\"")], Some("2"), "AP", &[0.5, 0.0]),
        ];
        let table = table(&arms, &Options::default()).unwrap();
        let expected = "system,collection,size,measure,mean,sd,n,n_queries,delta,p,se,method,ci_low,ci_high,effect,wins,\
                        ties,losses,p_equivalence,equivalent,detectable,queries_needed,seeds_needed,p_seeds,within_seed_noise\n\
                        bm25,demo,,AP,0.375,,1,2,,,0.125,,,,,,,,,,,,,,\n\
                        s,demo,\"8,\"\"b\"\"\",AP,0.375,0.1767766952966369,2,2,,,0.125,,,,,,,,,,,,,,\n";
        assert_eq!(csv(&table), expected);
    }
}
