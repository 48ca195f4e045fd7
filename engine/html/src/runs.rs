//! The runs of a store, and the choice of two to compare.

use maud::{Markup, html};

use crate::{Place, document::document, spell};

/// A run in the list.
#[derive(Clone, Debug)]
pub struct RunEntry {
    /// Its id.
    pub id: String,
    /// Its experiment; empty while it is not known.
    pub experiment: String,
    /// When it started.
    pub started: String,
    /// Seconds it took.
    pub seconds: f64,
    /// `3 ran, 1 reused`, or what it is about.
    pub nodes: String,
    /// Whether it is under way, or broke off without a record.
    pub is_open: bool,
}

/// The list, newest first.
pub fn runs(entries: &[RunEntry], store: &str) -> String {
    let body = html! {
        header.page {
            h1 { "Runs" }
            p.lead { "of the store " code { (store) } }
        }
        main #content {
            @if entries.is_empty() { p.quiet { "Nothing was run here yet: " code { "ablate run FILE" } } }
            @else { (list(entries)) (choice(entries)) }
        }
    };
    document("Runs · ablate", Place::Server, false, &body)
}

fn list(entries: &[RunEntry]) -> Markup {
    html! {
        div.scroll role="region" aria-label="Runs" tabindex="0" {
            table.sortable {
                caption { "Newest first." }
                thead { tr { @for name in ["run", "experiment", "started", "took", "nodes"] { th scope="col" { (name) } } } }
                tbody {
                    @for run in entries {
                        @let address = Place::run(&run.id);
                        tr {
                            th scope="row" { a href={ (address) @if run.is_open { "/live" } } { code { (run.id) } } }
                            td { (run.experiment) }
                            td { (run.started) }
                            td.number data-value=(run.seconds) { @if run.is_open { "–" } @else { (spell::duration(run.seconds)) } }
                            td { @if run.is_open { span.state.running { "no record yet" } } @else { (run.nodes) } }
                        }
                    }
                }
            }
        }
    }
}

fn choice(entries: &[RunEntry]) -> Markup {
    let finished: Vec<_> = entries.iter().filter(|run| !run.is_open).collect();
    let select = |name: &str, label: &str, chosen: usize| {
        html! {
            label { (label) " "
                select name=(name) {
                    @for (at, run) in finished.iter().enumerate() {
                        option value=(run.id) selected[at == chosen] { (run.id) " · " (run.experiment) }
                    }
                }
            }
        }
    };
    html! {
        @if finished.len() > 1 {
            h2 { "Compare two runs" }
            form action="/diff" method="get" {
                (select("before", "Before", 1))
                (select("after", "After", 0))
                button type="submit" { "Compare" }
            }
        }
    }
}
