//! Everything that was computed about each figure, for who wants more than the table.

use ablate_report::{Figure, Row, Table, label};
use maud::{Markup, html};

use crate::spell;

const COLUMNS: [&str; 13] = [
    "row",
    "measure",
    "mean",
    "sd over seeds",
    "standard error",
    "seeds",
    "queries",
    "difference",
    "interval",
    "p",
    "effect g",
    "better / equal / worse",
    "p over seeds",
];

/// A row a figure, folded away.
pub(crate) fn statistics(table: &Table) -> Markup {
    let figures = || {
        table.rows.iter().flat_map(|row| {
            let figure = |measure: &String| Some((measure.clone(), row.scores.get(measure)?));
            table
                .measures
                .iter()
                .filter_map(move |measure| Some((row, figure(measure)?)))
        })
    };
    html! {
        details {
            summary { "Every figure with its statistics" }
            div.scroll role="region" aria-label="Statistics" tabindex="0" {
                table.sortable.small {
                    caption { "p-values are corrected over the whole table; intervals and effect sizes are not." }
                    thead { tr {
                        @for name in COLUMNS { th scope="col" { (name) } }
                    } }
                    tbody { @for (row, (measure, figure)) in figures() { (line(row, &measure, figure)) } }
                }
            }
        }
    }
}

fn line(row: &Row, measure: &str, figure: &Figure) -> Markup {
    let number = |value: Option<f64>, spelt: fn(f64) -> String| {
        html! { td.number data-value=(value.map(|v| v.to_string()).unwrap_or_default()) { (value.map_or("–".into(), spelt)) } }
    };
    let interval = figure.ci.map_or("–".into(), |[low, high]| {
        format!("[{}, {}]", spell::signed(low), spell::signed(high))
    });
    let counts = figure.counts.as_ref().map_or("–".into(), |counts| {
        format!("{} / {} / {}", counts.wins, counts.ties, counts.losses)
    });
    html! {
        tr {
            th scope="row" { (label(&row.system, &row.point)) }
            td { (measure) }
            td.number { (spell::mean(figure)) }
            (number(figure.sd, spell::figure))
            (number(figure.se, spell::figure))
            td.number { (figure.n) }
            td.number { (figure.n_queries) }
            (number(figure.delta, spell::signed))
            td.number { (interval) }
            (number(figure.p, spell::p_value))
            (number(figure.effect, spell::signed))
            td.number { (counts) }
            (number(figure.p_seeds, spell::p_value))
        }
    }
}
