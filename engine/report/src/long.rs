//! The figures in long form, one line per row and measure: what a data frame wants. CSV and Parquet are made of it.

use crate::{Figure, Row, Table};

/// A value, by its type in a data frame.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(Option<String>),
    Number(Option<f64>),
    Count(Option<u64>),
    Flag(Option<bool>),
}

impl Value {
    pub(crate) fn text(&self) -> Option<&str> {
        let Self::Text(text) = self else { return None };
        text.as_deref()
    }

    pub(crate) fn number(&self) -> Option<f64> {
        let Self::Number(number) = self else { return None };
        *number
    }

    pub(crate) fn count(&self) -> Option<u64> {
        let Self::Count(count) = self else { return None };
        *count
    }

    pub(crate) fn flag(&self) -> Option<bool> {
        let Self::Flag(flag) = self else { return None };
        *flag
    }
}

/// The names of the columns, and the lines.
pub(crate) fn long(table: &Table) -> (Vec<String>, Vec<Vec<Value>>) {
    let axes = table.axes.iter().cloned();
    let fixed = ["system", "collection"].map(String::from).into_iter();
    let figures = FIGURES.iter().map(|(name, _)| (*name).to_owned());
    let names = fixed.chain(axes).chain(["measure".to_owned()]).chain(figures);
    let lines = table.rows.iter().flat_map(|row| {
        let measures = table.measures.iter();
        measures.filter_map(|measure| line(table, row, measure))
    });
    (names.collect(), lines.collect())
}

fn line(table: &Table, row: &Row, measure: &str) -> Option<Vec<Value>> {
    let figure = row.scores.get(measure)?;
    let text = |text: Option<&str>| Value::Text(text.map(String::from));
    let fixed = [text(Some(&row.system)), text(Some(&row.collection))].into_iter();
    let labels = table
        .axes
        .iter()
        .map(|axis| text(row.point.get(axis).map(String::as_str)));
    let values = FIGURES.iter().map(|(_, value)| value(figure));
    Some(
        fixed
            .chain(labels)
            .chain([text(Some(measure))])
            .chain(values)
            .collect(),
    )
}

type Column = (&'static str, fn(&Figure) -> Value);

/// The fields of a [`Figure`].
const FIGURES: [Column; 21] = [
    ("mean", |f| Value::Number(Some(f.mean))),
    ("sd", |f| Value::Number(f.sd)),
    ("n", |f| Value::Count(Some(f.n as u64))),
    ("n_queries", |f| Value::Count(Some(f.n_queries as u64))),
    ("delta", |f| Value::Number(f.delta)),
    ("p", |f| Value::Number(f.p)),
    ("se", |f| Value::Number(f.se)),
    ("method", |f| {
        Value::Text(f.method.map(|method| method.name().to_owned()))
    }),
    ("ci_low", |f| Value::Number(f.ci.map(|[low, _]| low))),
    ("ci_high", |f| Value::Number(f.ci.map(|[_, high]| high))),
    ("effect", |f| Value::Number(f.effect)),
    ("wins", |f| {
        Value::Count(f.counts.map(|counts| counts.wins as u64))
    }),
    ("ties", |f| {
        Value::Count(f.counts.map(|counts| counts.ties as u64))
    }),
    ("losses", |f| {
        Value::Count(f.counts.map(|counts| counts.losses as u64))
    }),
    ("p_equivalence", |f| Value::Number(f.p_equivalence)),
    ("equivalent", |f| Value::Flag(f.equivalent)),
    ("detectable", |f| Value::Number(f.detectable)),
    ("queries_needed", |f| Value::Count(f.queries_needed)),
    ("seeds_needed", |f| Value::Count(f.seeds_needed)),
    ("p_seeds", |f| Value::Number(f.p_seeds)),
    ("within_seed_noise", |f| Value::Flag(f.within_seed_noise)),
];
