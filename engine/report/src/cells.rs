//! What the formats for people share: how a figure is written, what the legend says.

use std::collections::BTreeSet;

use ablate_stats::Method;

use crate::{Figure, Options, Table, warnings::LEVEL};

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
    format!("{}{sd}{delta}", figure.written())
}

/// Four decimals; never a plain 0, which no test gives.
pub(crate) fn p_value(p: f64) -> String {
    if p < 1e-4 {
        "<0.0001".into()
    } else {
        format!("{p:.4}")
    }
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
    lines.extend(missing(table));
    lines.join("\n")
}

/// A line an arm that has no figures; after a handful, how many more there are.
pub(crate) fn missing(table: &Table) -> impl Iterator<Item = String> {
    const MOST: usize = 10;
    let named = table.missing.iter().take(MOST).map(ToString::to_string);
    let more = table.missing.len().saturating_sub(MOST);
    named.chain((more > 0).then(|| format!("missing: {more} more")))
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
