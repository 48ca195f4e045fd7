//! Every plot of a run, by name: a page shows all, the command line writes one.

use std::collections::BTreeSet;

use ablate_plot::{Bar, Bars, Differences, Histogram, Line, Lines, Outlines, Plot};
use ablate_report::{Figure as Score, QueryDifferences, Row, Table, label};

use crate::{RunPage, graph::graph, spell};

/// Standard errors on either side of a mean that hold it with a probability of 0.95.
const NORMAL_95: f64 = 1.96;

/// A plot with its name and what it shows.
#[derive(Clone, Debug)]
pub struct Figure {
    /// `graph`, `scores/nDCG@10`, `differences/trained[negatives=bm25]`, `filter/kept`, `hardness/hard/bm25_rank`, `loss/retriever`.
    pub name: String,
    /// One sentence or two below it.
    pub caption: String,
    /// The plot.
    pub plot: Plot,
}

impl Figure {
    /// What kind it is: the name up to the first `/`.
    pub fn kind(&self) -> &str {
        self.name.split('/').next().unwrap_or(&self.name)
    }
}

/// All plots of a run, in the order of the page.
pub fn figures(page: &RunPage) -> Vec<Figure> {
    let mut all = Vec::new();
    if let Ok(table) = &page.table {
        all.extend(table.measures.iter().map(|measure| scores(table, measure)));
        all.extend(
            table
                .measures
                .iter()
                .filter_map(|measure| intervals(table, measure)),
        );
        all.extend(differences(page, table));
    }
    all.push(dag(page));
    all.extend(page.spreads.iter().map(filter));
    all.extend(page.hardness.iter().map(hardness));
    all.extend(losses(page));
    all
}

fn name_of(row: &Row, table: &Table) -> String {
    on_collection(label(&row.system, &row.point), row, table)
}

/// A row's name with its collection, where there are several.
fn on_collection(name: String, row: &Row, table: &Table) -> String {
    let alone = table.rows.iter().all(|other| other.collection == row.collection);
    if alone {
        name
    } else {
        format!("{name} on {}", row.collection)
    }
}

/// A row's name beside a bar, where there is little room: of several axes their labels alone, and the system where more than
/// one was swept.
fn short_name(row: &Row, table: &Table) -> String {
    if row.point.len() < 2 {
        return name_of(row, table);
    }
    let swept = table.rows.iter().filter(|row| !row.point.is_empty());
    let systems: BTreeSet<&str> = swept.map(|row| row.system.as_str()).collect();
    let system = (systems.len() > 1).then_some(&row.system);
    let parts: Vec<&str> = system
        .into_iter()
        .chain(row.point.values())
        .map(String::as_str)
        .collect();
    on_collection(parts.join(" · "), row, table)
}

fn dag(page: &RunPage) -> Figure {
    let dag = graph(&format!("Graph of {}", page.experiment), &page.nodes);
    let boxes = if dag.nodes.len() == page.nodes.len() {
        "node"
    } else {
        "stage"
    };
    Figure {
        name: "graph".into(),
        caption: format!(
            "One box a {boxes}, its inputs to the left; the strip and the words say what became of it and how long it took in this run."
        ),
        plot: dag.plot(),
    }
}

fn scores(table: &Table, measure: &str) -> Figure {
    let is_compared = |row: &Row| row.scores.get(measure).is_some_and(|score| score.delta.is_some());
    let any = table.rows.iter().any(is_compared);
    let bar = |row: &Row| {
        let score = row.scores.get(measure)?;
        let reach = score.se.map(|se| NORMAL_95 * se);
        Some(Bar {
            label: short_name(row, table),
            value: score.mean,
            interval: reach.map(|reach| [score.mean - reach, score.mean + reach]),
            note: format!("{}{}", spell::mean(score), mark(score)),
            is_baseline: any && !is_compared(row),
        })
    };
    let title = format!("{measure} of every row");
    let bars = table.rows.iter().filter_map(bar).collect();
    Figure {
        name: format!("scores/{measure}"),
        caption:
            "Whiskers span ±1.96 standard errors (95 %) over queries and, where seeds were varied, seeds. \
             Intervals that overlap may still differ: the test is paired."
                .into(),
        plot: Bars {
            title,
            axis: measure.to_owned(),
            bars,
        }
        .plot(),
    }
}

fn mark(score: &Score) -> &'static str {
    if score.p.is_some_and(|p| p < 0.05) {
        " *"
    } else {
        ""
    }
}

/// Differences with the intervals that `report.interval` asked for.
fn intervals(table: &Table, measure: &str) -> Option<Figure> {
    let bar = |row: &Row| {
        let score = row.scores.get(measure)?;
        Some(Bar {
            label: short_name(row, table),
            value: score.delta?,
            interval: Some(score.ci?),
            note: format!("{}{}", spell::signed(score.delta?), mark(score)),
            is_baseline: false,
        })
    };
    let bars: Vec<_> = table.rows.iter().filter_map(bar).collect();
    let title = format!("Difference in {measure} from the baseline");
    (!bars.is_empty()).then(|| Figure {
        name: format!("intervals/{measure}"),
        caption: "With confidence intervals over queries, not corrected.".into(),
        plot: Bars {
            title,
            axis: format!("difference in {measure}"),
            bars,
        }
        .plot(),
    })
}

fn differences(page: &RunPage, table: &Table) -> Vec<Figure> {
    let measure = table.measures.first().cloned().unwrap_or_default();
    let sizes = page
        .by_query
        .iter()
        .flat_map(|compared| &compared.queries)
        .map(|(_, value)| value.abs());
    let reach = sizes.fold(0.0, f64::max);
    let figure = |compared: &QueryDifferences| {
        let (row, baseline) = (table.rows.get(compared.row)?, table.rows.get(compared.baseline)?);
        let (row, baseline) = (name_of(row, table), name_of(baseline, table));
        Some(Figure {
            name: format!("differences/{row}"),
            caption: movers(compared),
            plot: Differences {
                title: format!("{row} against {baseline}"),
                measure: measure.clone(),
                values: compared.queries.iter().map(|(_, value)| *value).collect(),
                reach,
            }
            .plot(),
        })
    };
    page.by_query.iter().filter_map(figure).collect()
}

/// The queries that gain and lose most.
fn movers(compared: &QueryDifferences) -> String {
    let mut sorted: Vec<_> = compared
        .queries
        .iter()
        .filter(|(_, value)| *value != 0.0)
        .collect();
    sorted.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let told = |(query, value): &&(String, f64)| format!("{query} {}", spell::signed(*value));
    let gains: Vec<_> = sorted
        .iter()
        .take(3)
        .filter(|(_, value)| *value > 0.0)
        .map(told)
        .collect();
    let losses: Vec<_> = sorted
        .iter()
        .rev()
        .take(3)
        .filter(|(_, value)| *value < 0.0)
        .map(told)
        .collect();
    let part = |what: &str, queries: Vec<String>| {
        (!queries.is_empty()).then(|| format!("{what}: {}", queries.join(", ")))
    };
    let parts: Vec<_> = [part("Largest gains", gains), part("Largest losses", losses)]
        .into_iter()
        .flatten()
        .collect();
    if parts.is_empty() {
        "The same on every query.".into()
    } else {
        format!("{}.", parts.join(". "))
    }
}

fn filter(spread: &crate::Spread) -> Figure {
    let (kept, all) = (spread.kept.len(), spread.kept.len() + spread.dropped.len());
    let caption = match (&spread.cut, spread.dropped.is_empty()) {
        (Some(_), false) => format!(
            "{kept} of {all} pairs passed {}. The line is the least value kept; other rules (length, copies, \
             duplicates) drop pairs above it.",
            spread.node
        ),
        (Some(_), true) => format!(
            "All {all} pairs passed {}: the filter is an identity here.",
            spread.node
        ),
        (None, _) => format!("{all} pairs of {}; nothing was filtered.", spread.node),
    };
    Figure {
        name: format!("filter/{}", spread.node),
        caption,
        plot: Histogram {
            title: format!("{} of the queries at {}", spread.by, spread.node),
            axis: spread.by.clone(),
            kept: spread.kept.clone(),
            dropped: spread.dropped.clone(),
            cut: spread.cut.clone(),
        }
        .plot(),
    }
}

fn hardness(of: &crate::Hardness) -> Figure {
    Figure {
        name: format!("hardness/{}/{}", of.node, of.column),
        caption: "One outline a source of negatives; a negative without such a value is not in it.".into(),
        plot: Outlines {
            title: format!("Negatives of {}", of.node),
            axis: of.axis.clone(),
            groups: of.sources.clone(),
        }
        .plot(),
    }
}

/// One plot a training stage, one line a node.
fn losses(page: &RunPage) -> Vec<Figure> {
    let stage = |node: &str| node.split('[').next().unwrap_or(node).to_owned();
    let mut stages: Vec<String> = Vec::new();
    for curve in &page.curves {
        if !stages.contains(&stage(&curve.node)) {
            stages.push(stage(&curve.node));
        }
    }
    let figure = |name: String| {
        let own = page.curves.iter().filter(|curve| stage(&curve.node) == name);
        let line = |curve: &crate::Curve| Line {
            label: curve.node.clone(),
            points: curve.loss.clone(),
        };
        Figure {
            name: format!("loss/{name}"),
            caption: "Long curves are averaged over neighbouring steps.".into(),
            plot: Lines {
                title: format!("Loss of {name}"),
                across: "step".into(),
                up: "loss".into(),
                lines: own.map(line).collect(),
            }
            .plot(),
        }
    };
    stages.into_iter().map(figure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_movers_are_named() {
        let queries = [("a", 0.5), ("b", -0.25), ("c", 0.0), ("d", 0.75)];
        let queries = queries.map(|(query, value)| (query.to_owned(), value)).to_vec();
        let compared = QueryDifferences {
            row: 0,
            baseline: 1,
            queries,
        };
        assert_eq!(
            movers(&compared),
            "Largest gains: d +0.7500, a +0.5000. Largest losses: b −0.2500."
        );
    }
}
