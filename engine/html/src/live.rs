//! A run under way.

use ablate_plot::State;
use maud::{Markup, html};

use crate::{Place, document::document, nodes, spell};

/// What the event log says so far.
#[derive(Clone, Debug, Default)]
pub struct LivePage {
    /// The run.
    pub run: String,
    /// Distinct nodes; 0 while that is not known.
    pub nodes: usize,
    /// Of them found at once.
    pub reused: usize,
    /// Nodes that are done and not in `seen` any more.
    pub finished: usize,
    /// Nodes that began, latest first.
    pub seen: Vec<LiveNode>,
    /// Whether the log says that the run is over.
    pub is_over: bool,
}

/// A node that began.
#[derive(Clone, Debug)]
pub struct LiveNode {
    /// Its name.
    pub name: String,
    /// Its stage kind.
    pub kind: String,
    /// What became of it so far.
    pub state: State,
    /// Why, or the error.
    pub reason: String,
    /// Seconds it took.
    pub seconds: Option<f64>,
    /// What it had to say last.
    pub note: String,
}

/// Its page: the server's events renew it, or the page loads itself again.
pub fn live(page: &LivePage) -> String {
    let body = html! {
        header.page {
            p.over { "Run under way" }
            h1 { (page.run) }
        }
        main #content { div #live aria-live="polite" { (part(page)) } }
    };
    document(&format!("{} · live", page.run), Place::Server, true, &body)
}

/// The part that is renewed.
pub fn live_part(page: &LivePage) -> String {
    part(page).into_string()
}

fn part(page: &LivePage) -> Markup {
    let shown = page
        .seen
        .iter()
        .filter(|node| node.state != State::Running)
        .count();
    let done = shown + page.finished + page.reused;
    html! {
        p.lead {
            @if page.is_over { "It is over: " a href=(Place::run(&page.run)) { "the page of the run" } }
            @else if page.nodes == 0 { "Nothing is logged yet." }
            @else { (done) " of " (page.nodes) " nodes done, " (page.reused) " of them found at once." }
        }
        @if page.nodes > 0 {
            progress max=(page.nodes) value=(done) { (done) " of " (page.nodes) }
        }
        @if !page.seen.is_empty() {
            div.scroll role="region" aria-label="Nodes" tabindex="0" {
                table {
                    caption { "Latest first." }
                    thead { tr { @for name in ["node", "kind", "status", "took"] { th scope="col" { (name) } } } }
                    tbody { @for node in &page.seen { (row(node)) } }
                }
            }
        }
    }
}

fn row(node: &LiveNode) -> Markup {
    html! {
        tr {
            th scope="row" { (node.name) }
            td { code { (node.kind) } }
            td { (nodes::state(node.state)) " " span.quiet { (node.reason) @if !node.note.is_empty() { " " (node.note) } } }
            td.number { (node.seconds.map_or("–".into(), spell::duration)) }
        }
    }
}
