//! What the formats for people share: which columns there are, how a figure is written, what the legend says.

use std::collections::{BTreeMap, BTreeSet};

use ablate_stats::Method;

use crate::{Figure, Options, Row, Table, warnings::LEVEL};

/// The columns before the measures: what a row is.
pub(crate) struct Columns<'a> {
    axes: &'a [String],
    collections: bool,
}

impl<'a> Columns<'a> {
    /// System, the collection where there are several, and the axes.
    pub(crate) fn of(table: &'a Table) -> Self {
        let collections = table
            .rows
            .windows(2)
            .any(|pair| pair[0].collection != pair[1].collection);
        Self {
            axes: &table.axes,
            collections,
        }
    }

    /// Their names.
    pub(crate) fn header(&self) -> Vec<String> {
        let collection = self.collections.then_some("collection");
        let fixed = ["system"].into_iter().chain(collection).map(String::from);
        fixed.chain(self.axes.iter().cloned()).collect()
    }

    /// A row's values; `-` for an axis that is not upstream of it.
    pub(crate) fn values(
        &self,
        system: &str,
        collection: &str,
        point: &BTreeMap<String, String>,
    ) -> Vec<String> {
        let collection = self.collections.then_some(collection);
        let labels = self
            .axes
            .iter()
            .map(|axis| point.get(axis).map_or("-", String::as_str));
        [system]
            .into_iter()
            .chain(collection)
            .chain(labels)
            .map(String::from)
            .collect()
    }
}

/// `0.6452 ± 0.0031  (+0.0120* [+0.0040, +0.0200])`; `-` for a measure the row lacks.
pub(crate) fn figure(figure: Option<&Figure>) -> String {
    let Some(figure) = figure else { return "-".into() };
    let sd = figure.sd.map(|sd| format!(" ± {sd:.4}")).unwrap_or_default();
    let mark = if figure.p.is_some_and(|p| p < LEVEL) {
        "*"
    } else {
        ""
    };
    let equal = if figure.equivalent == Some(true) {
        "≈"
    } else {
        ""
    };
    let interval = figure
        .ci
        .map(|[low, high]| format!(" [{low:+.4}, {high:+.4}]"))
        .unwrap_or_default();
    let delta = figure
        .delta
        .map(|delta| format!("  ({delta:+.4}{mark}{equal}{interval})"))
        .unwrap_or_default();
    format!("{:.4}{sd}{delta}", figure.mean)
}

/// Whether `row` has the best mean of its collection by `measure`, among at least two rows.
pub(crate) fn is_best(table: &Table, row: &Row, measure: &str) -> bool {
    let rivals = table
        .rows
        .iter()
        .filter(|other| other.collection == row.collection);
    let means: Vec<f64> = rivals
        .filter_map(|other| Some(other.scores.get(measure)?.mean))
        .collect();
    let best = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    means.len() > 1 && row.scores.get(measure).is_some_and(|figure| figure.mean >= best)
}

/// What the marks mean, and over how many seeds and queries the figures are.
pub fn legend(table: &Table, options: &Options) -> String {
    let figures = || table.rows.iter().flat_map(|row| row.scores.values());
    let mut lines = Vec::new();
    let compared = figures().filter(|figure| figure.p.is_some()).count();
    if compared > 0 {
        lines.push(comparisons(compared, &methods(figures()), options));
    }
    if figures().any(|figure| figure.ci.is_some()) {
        lines.extend(options.interval.map(|interval| {
            let percent = (options.confidence() * 1e6).round() / 1e4;
            format!("[low, high] {percent} % {interval} of the difference over queries, not corrected")
        }));
    }
    if figures().any(|figure| figure.p_equivalence.is_some()) {
        let margin = options.equivalence.unwrap_or_default();
        let correction = options.correction;
        lines.push(format!(
            "≈ equivalent within ±{margin}: both one-sided paired t-tests p < .05 after {correction}"
        ));
    }
    let queries = range(figures().map(|figure| figure.n_queries));
    if let Some(seeds) = range(figures().map(|figure| figure.n).filter(|n| *n > 1)) {
        lines.push(format!("± sample standard deviation over {seeds} seeds"));
    }
    lines.extend(queries.map(|queries| format!("{queries} queries")));
    lines.join("\n")
}

/// What stands in brackets and what a star is.
fn comparisons(compared: usize, methods: &str, options: &Options) -> String {
    let baseline: Vec<_> = options
        .baseline
        .iter()
        .map(|(axis, label)| format!("{axis}={label}"))
        .collect();
    let (baseline, test, correction) = (baseline.join(", "), options.test, options.correction);
    let noun = if compared == 1 {
        "comparison"
    } else {
        "comparisons"
    };
    format!(
        "in brackets the difference from {baseline}; * p < .05 after {correction} over {compared} {noun}, \
         {test}{methods} over queries"
    )
}

/// ` (exact or normal approximation)`; nothing where the test has one way only.
fn methods<'a>(figures: impl Iterator<Item = &'a Figure>) -> String {
    let used: BTreeSet<_> = figures.filter_map(|figure| figure.method).collect();
    let named: Vec<_> = used.iter().filter(|method| **method != Method::Student).collect();
    if named.is_empty() {
        return String::new();
    }
    let named: Vec<_> = named.into_iter().map(ToString::to_string).collect();
    format!(" ({})", named.join(" or "))
}

/// `300`, or `200-300`; `None` of nothing.
fn range(numbers: impl Iterator<Item = usize> + Clone) -> Option<String> {
    let (least, most) = (numbers.clone().min()?, numbers.max()?);
    Some(if least == most {
        most.to_string()
    } else {
        format!("{least}-{most}")
    })
}
