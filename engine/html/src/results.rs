//! The table of results.

use ablate_report::{Figure, Row, Table};
use maud::{Markup, html};

use crate::{RunPage, spell};

/// The level at which a difference is marked.
const LEVEL: f64 = 0.05;

/// The table with its legend, or why there is none.
pub(crate) fn results(page: &RunPage) -> Markup {
    match &page.table {
        Err(problem) => html! { p.callout.bad { strong { "No table. " } (problem) } },
        Ok(table) if table.rows.is_empty() => html! { p.quiet { "Nothing was evaluated." } },
        Ok(table) => html! {
            div.scroll role="region" aria-label="Results" tabindex="0" { (whole(table)) }
            @if !page.legend.is_empty() {
                p.legend { @for line in page.legend.lines() { (line) br; } }
            }
        },
    }
}

fn whole(table: &Table) -> Markup {
    let collections = table
        .rows
        .iter()
        .any(|row| row.collection != table.rows[0].collection);
    html! {
        table.sortable.results {
            caption { "Results: a row a system and place in the sweep. " strong { "Bold" } " is best of its collection." }
            thead { tr {
                th scope="col" { "system" }
                @if collections { th scope="col" { "collection" } }
                @for axis in &table.axes { th scope="col" { (axis) } }
                @for measure in &table.measures { th.number scope="col" { (measure) } }
            } }
            tbody {
                @for row in &table.rows {
                    tr {
                        th scope="row" { (row.system) }
                        @if collections { td { (row.collection) } }
                        @for axis in &table.axes { td { (row.point.get(axis).map_or("–", String::as_str)) } }
                        @for measure in &table.measures { (cell(table, row, measure)) }
                    }
                }
            }
        }
    }
}

fn cell(table: &Table, row: &Row, measure: &str) -> Markup {
    let Some(figure) = row.scores.get(measure) else {
        return html! { td.number data-value="" { "–" } };
    };
    html! {
        td.number data-value=(figure.mean) {
            span.mean.best[is_best(table, row, measure)] { (spell::mean(figure)) }
            @if let Some(sd) = figure.sd { span.sd { " ± " (spell::figure(sd)) } }
            (difference(figure))
        }
    }
}

fn difference(figure: &Figure) -> Markup {
    let significant = figure.p.is_some_and(|p| p < LEVEL);
    html! {
        @if let Some(delta) = figure.delta {
            span.delta.better[significant && delta > 0.0].worse[significant && delta < 0.0] {
                "(" (spell::signed(delta))
                @if significant { "*" }
                @if figure.equivalent == Some(true) { "≈" }
                @if let Some([low, high]) = figure.ci { " [" (spell::signed(low)) ", " (spell::signed(high)) "]" }
                ")"
            }
        }
    }
}

fn is_best(table: &Table, row: &Row, measure: &str) -> bool {
    let rivals = table
        .rows
        .iter()
        .filter(|other| other.collection == row.collection);
    let means: Vec<f64> = rivals
        .filter_map(|other| Some(other.scores.get(measure)?.mean))
        .collect();
    let own = row
        .scores
        .get(measure)
        .map_or(f64::NEG_INFINITY, |figure| figure.mean);
    means.len() > 1 && means.iter().all(|mean| *mean <= own)
}
