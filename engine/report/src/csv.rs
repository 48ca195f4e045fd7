//! The figures as CSV (RFC 4180, long form): what a data frame wants.

use crate::{Row, Table};

/// One line per row and measure: system, collection, the axes, then `measure,mean,sd,n,n_queries,delta,p` in full
/// precision; empty where there is none.
pub fn csv(table: &Table) -> String {
    let axes = table.axes.iter().map(String::as_str);
    let header = ["system", "collection"].into_iter().chain(axes).map(field);
    let figures = ["measure", "mean", "sd", "n", "n_queries", "delta", "p"].map(field);
    let mut out = line(header.chain(figures));
    for row in &table.rows {
        for measure in &table.measures {
            out.extend(figure_line(table, row, measure));
        }
    }
    out
}

fn figure_line(table: &Table, row: &Row, measure: &str) -> Option<String> {
    let figure = row.scores.get(measure)?;
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    let labels = table
        .axes
        .iter()
        .map(|axis| row.point.get(axis).map_or("", String::as_str));
    let what = [row.system.as_str(), row.collection.as_str()]
        .into_iter()
        .chain(labels)
        .chain([measure])
        .map(field);
    let figures = [
        figure.mean.to_string(),
        number(figure.sd),
        figure.n.to_string(),
        figure.n_queries.to_string(),
        number(figure.delta),
        number(figure.p),
    ];
    Some(line(what.chain(figures)))
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
        let expected = "system,collection,size,measure,mean,sd,n,n_queries,delta,p\n\
                        bm25,demo,,AP,0.375,,1,2,,\n\
                        s,demo,\"8,\"\"b\"\"\",AP,0.375,0.1767766952966369,2,2,,\n";
        assert_eq!(csv(&table), expected);
    }
}
