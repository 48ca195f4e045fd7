//! What changed between two runs, beside what moved.

use ablate_report::{Diff, FieldChange, Moved, Mover, NodeChange, RowChanges, label};
use maud::{Markup, html};
use serde_json::Value;

use crate::{Place, document::document, nodes::linked, spell};

/// The level at which a difference is marked.
const LEVEL: f64 = 0.05;

const COLUMNS: [&str; 8] = [
    "row",
    "measure",
    "before",
    "after",
    "difference",
    "p",
    "better / equal / worse",
    "largest movers",
];

/// The page of a comparison.
pub fn comparison(diff: &Diff) -> String {
    let body = html! {
        header.page {
            h1 { "Two runs compared" }
            p.lead { "Before " (linked(&diff.a, Some(Place::run(&diff.a)))) " · after " (linked(&diff.b, Some(Place::run(&diff.b)))) }
        }
        main #content {
            @if !diff.warnings.is_empty() { ul.callout.warnings { @for warning in &diff.warnings { li { (warning) } } } }
            section { h2 { "What moved" } (moved(diff)) }
            section { h2 { "What changed" } (changed(diff)) }
        }
    };
    document(&format!("{} and {}", diff.a, diff.b), Place::Server, false, &body)
}

fn moved(diff: &Diff) -> Markup {
    html! {
        @if diff.figures.is_empty() && diff.unchanged == 0 { p { "There is no figure to compare." } }
        @else if diff.figures.is_empty() { p { "No figure moved; the same on every query: " (diff.unchanged) "." } }
        @else {
            div.scroll role="region" aria-label="Figures that moved" tabindex="0" {
                table.sortable {
                    caption { "* p < .05, " (diff.test) " over queries, " (diff.correction) " over the figures that moved. "
                        (diff.unchanged) " more are the same on every query." }
                    thead { tr {
                        @for name in COLUMNS { th scope="col" { (name) } }
                    } }
                    tbody { @for figure in &diff.figures { (row(figure)) } }
                }
            }
        }
    }
}

fn row(figure: &Moved) -> Markup {
    let significant = figure.p.is_some_and(|p| p < LEVEL);
    html! {
        tr {
            th scope="row" { (label(&figure.system, &figure.point)) " on " (figure.collection) }
            td { (figure.measure) }
            td.number { (spell::figure(figure.a)) }
            td.number { (spell::figure(figure.b)) }
            td.number data-value=(figure.delta) {
                span.delta.better[significant && figure.delta > 0.0].worse[significant && figure.delta < 0.0] {
                    (spell::signed(figure.delta)) @if significant { "*" }
                }
            }
            td.number { (figure.p.map_or("–".into(), spell::p_value)) }
            td.number { (figure.wins) " / " (figure.ties) " / " (figure.losses) }
            td.long { @for mover in &figure.movers { (moved_query(mover)) } }
        }
    }
}

fn moved_query(mover: &Mover) -> Markup {
    html! {
        div { (mover.query_id) " " (spell::signed(mover.b - mover.a))
            @if let Some(text) = &mover.text { " " span.quiet { (text) } } }
    }
}

fn changed(diff: &Diff) -> Markup {
    let (carried, own): (Vec<_>, Vec<_>) = diff.changed.iter().partition(|node| node.is_carried());
    let names = |what: &str, names: Vec<&str>| {
        html! { @if !names.is_empty() { h3 { (what) } p { (names.join(", ")) } } }
    };
    html! {
        @if own.is_empty() { p { "No parameter, model or source changed in a node that both have." } }
        @for node in own { (node_change(node)) }
        (names("Other inputs only", carried.iter().map(|node| node.name.as_str()).collect()))
        (names("Only in the later run", diff.added.iter().map(String::as_str).collect()))
        (names("Only in the earlier run", diff.removed.iter().map(String::as_str).collect()))
    }
}

fn node_change(node: &NodeChange) -> Markup {
    html! {
        h3 { (node.name) " " code { (node.kind) } }
        @if node.fields.is_empty() { p.quiet { "One of the runs did not reach it." } }
        ul { @for field in &node.fields { li { (field_change(field)) } } }
        @if node.same_result { p { "It came to the same result: nothing moved because of it." } }
        @for (port, rows) in &node.rows { (row_changes(port, rows)) }
    }
}

/// How a table differs, with a few of its rows.
fn row_changes(port: &str, rows: &RowChanges) -> Markup {
    html! {
        p { code { (port) } ": " (rows.before) " → " (rows.after) " rows: " (rows.added) " added, " (rows.dropped)
            " dropped, " (rows.changed) " changed" }
        ul { @for (old, new) in &rows.examples { li {
            @if !old.is_null() { del { (brief(old)) } " " }
            @if !new.is_null() { ins { (brief(new)) } }
        } } }
    }
}

/// The fields of a row that hold something, on a line.
fn brief(row: &Value) -> String {
    let fields = row
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_null());
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), String::from);
    let each: Vec<_> = fields
        .map(|(name, value)| format!("{name}: {}", text(value)))
        .collect();
    each.join(" · ")
}

fn field_change(field: &FieldChange) -> Markup {
    let value = |value: &Option<Value>| match value {
        None => "(none)".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    html! { code { (field.path) } ": " del { (value(&field.old)) } " → " ins { (value(&field.new)) } }
}
