//! A table as people read it: a row is a system at a point, a column a measure on a collection.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Figure, Row, Table, cells::figure};

/// Rows of labels and figures.
pub(crate) struct Grid<'a> {
    /// What the labels of a row are: the system, then axes.
    pub(crate) names: Vec<&'a str>,
    /// The columns of figures, those of one collection together.
    pub(crate) columns: Vec<Column<'a>>,
    /// The rows, in the order of the table.
    pub(crate) rows: Vec<Line<'a>>,
}

/// A column of figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Column<'a> {
    /// `None` where all figures are of one collection.
    pub(crate) collection: Option<&'a str>,
    pub(crate) measure: &'a str,
}

/// A row.
pub(crate) struct Line<'a> {
    /// Beside each name its label; `-` for an axis that is not upstream of it.
    pub(crate) labels: Vec<&'a str>,
    /// Beside each column its figure, if there is one.
    pub(crate) figures: Vec<Option<&'a Figure>>,
}

impl<'a> Grid<'a> {
    pub(crate) fn of(table: &'a Table) -> Self {
        let collections = unique(table.rows.iter().map(|row| row.collection.as_str()));
        let axes = table.axes.iter().map(String::as_str);
        let axes: Vec<_> = axes.filter(|axis| !is_the_collection(table, axis)).collect();
        let columns = columns(table, &collections);
        let mut rows: Vec<Line<'a>> = Vec::new();
        let mut places = BTreeMap::new();
        for row in &table.rows {
            let labels = labels(row, &axes);
            let place = *places.entry(labels.clone()).or_insert(rows.len());
            if place == rows.len() {
                let figures = vec![None; columns.len()];
                rows.push(Line { labels, figures });
            }
            for (column, figure) in columns.iter().zip(&mut rows[place].figures) {
                if column.collection.is_none_or(|name| name == row.collection) {
                    *figure = row.scores.get(column.measure).or(*figure);
                }
            }
        }
        Self {
            names: ["system"].into_iter().chain(axes).collect(),
            columns,
            rows,
        }
    }

    /// The best mean of a column, if there are at least two.
    fn best(&self, column: usize) -> Option<f64> {
        let means: Vec<_> = self
            .rows
            .iter()
            .filter_map(|row| Some(row.figures[column]?.mean))
            .collect();
        let best = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (means.len() > 1).then_some(best)
    }

    /// The figures of a row, each with whether it is the best of its column.
    pub(crate) fn cells(&self, row: &Line<'a>) -> Vec<(Option<&'a Figure>, bool)> {
        let cell = |(column, figure): (usize, Option<&'a Figure>)| {
            let best = self.best(column);
            let is_best = figure.is_some_and(|figure| best.is_some_and(|best| figure.mean >= best));
            (figure, is_best)
        };
        row.figures.iter().copied().enumerate().map(cell).collect()
    }
}

/// How a format for papers writes a row: its labels, then its figures, the best of each column in bold.
pub(crate) fn written<'a>(
    grid: &Grid<'a>,
    row: &Line<'a>,
    escape: fn(&str) -> String,
    bold: fn(&str) -> String,
) -> Vec<String> {
    let figures = grid.cells(row).into_iter().map(|(found, best)| {
        let text = escape(&figure(found));
        if best { bold(&text) } else { text }
    });
    row.labels
        .iter()
        .map(|label| escape(label))
        .chain(figures)
        .collect()
}

/// The system and the labels of the axes.
fn labels<'a>(row: &'a Row, axes: &[&str]) -> Vec<&'a str> {
    let label = |axis: &&str| row.point.get(*axis).map_or("-", String::as_str);
    [row.system.as_str()]
        .into_iter()
        .chain(axes.iter().map(label))
        .collect()
}

/// Whether an axis says no more than which collection it is: each of its labels goes with one collection of its own.
fn is_the_collection(table: &Table, axis: &str) -> bool {
    let pairs = table
        .rows
        .iter()
        .filter_map(|row| Some((row.point.get(axis)?.as_str(), row.collection.as_str())));
    let pairs: BTreeSet<_> = pairs.collect();
    let labels: BTreeSet<_> = pairs.iter().map(|(label, _)| label).collect();
    let collections: BTreeSet<_> = pairs.iter().map(|(_, collection)| collection).collect();
    pairs.len() > 1 && labels.len() == pairs.len() && collections.len() == pairs.len()
}

/// The measures, of each collection where there are several those it has.
fn columns<'a>(table: &'a Table, collections: &[&'a str]) -> Vec<Column<'a>> {
    let several = collections.len() > 1;
    let measured = |collection: &str, measure: &str| {
        let mut rows = table.rows.iter().filter(|row| row.collection == collection);
        rows.any(|row| row.scores.contains_key(measure))
    };
    let of = |collection: &'a str| {
        let measures = table.measures.iter().map(String::as_str);
        measures
            .filter(move |measure| measured(collection, measure))
            .map(move |measure| Column {
                collection: several.then_some(collection),
                measure,
            })
    };
    collections.iter().flat_map(|collection| of(collection)).collect()
}

fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    names.filter(|name| seen.insert(*name)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Arm, Options, arm::samples::arm, table};

    fn on(collection: &str, system: &str, point: &[(&str, &str)], value: f64) -> Arm {
        Arm {
            collection: collection.into(),
            ..arm(system, point, None, "AP", &[value])
        }
    }

    fn drawn(arms: &[Arm]) -> Vec<String> {
        let table = table(arms, &Options::default()).unwrap();
        let grid = Grid::of(&table);
        let line = |row: &Line<'_>| {
            let figures = grid.cells(row).into_iter().map(|(figure, best)| {
                let mark = if best { "!" } else { "" };
                figure.map_or("-".to_owned(), |figure| format!("{}{mark}", figure.mean))
            });
            let labels = row.labels.iter().map(ToString::to_string);
            labels.chain(figures).collect::<Vec<_>>().join(" ")
        };
        let title = |column: &Column<'_>| format!("{} {}", column.collection.unwrap_or(""), column.measure);
        let header: Vec<_> = grid.columns.iter().map(title).collect();
        let lines = grid.rows.iter().map(line);
        [format!("{} | {}", grid.names.join(" "), header.join(" | "))]
            .into_iter()
            .chain(lines)
            .collect()
    }

    #[test]
    fn collections_are_columns_and_an_axis_of_collections_is_none() {
        let arms = [
            on("scifact", "dense", &[("data", "sci"), ("lr", "1")], 0.5),
            on("scifact", "dense", &[("data", "sci"), ("lr", "2")], 0.7),
            on("nfcorpus", "dense", &[("data", "nfc"), ("lr", "1")], 0.3),
            on("scifact", "bm25", &[("data", "sci")], 0.6),
            on("nfcorpus", "bm25", &[("data", "nfc")], 0.4),
        ];
        let expected = [
            "system lr | scifact AP | nfcorpus AP",
            "dense 1 0.5 0.3",
            "dense 2 0.7! -",
            "bm25 - 0.6 0.4!",
        ];
        assert_eq!(drawn(&arms), expected);
    }

    #[test]
    fn of_one_collection_nothing_is_said() {
        let arms = [
            on("demo", "a", &[("k", "1")], 0.5),
            on("demo", "a", &[("k", "2")], 0.5),
        ];
        assert_eq!(drawn(&arms), ["system k |  AP", "a 1 0.5!", "a 2 0.5!"]);
    }
}
