//! The nodes of a run: what became of each, and where it comes from.

use std::collections::BTreeSet;

use maud::{Markup, html};

use crate::{InputView, NodeView, Place, RunPage, spell};

/// The status of a node as a word with a mark of its own.
pub(crate) fn state(state: ablate_plot::State) -> Markup {
    html! { span class={ "state " (state.word()) } { (state.word()) } }
}

/// The table of nodes.
pub(crate) fn nodes(page: &RunPage, place: Place) -> Markup {
    html! {
        div.scroll role="region" aria-label="Nodes" tabindex="0" {
            table.sortable.small {
                caption { "Every distinct node, producers first." }
                thead { tr {
                    @for name in ["node", "kind", "status", "took", "rows", "key", "computed in", "on", "at"] { th scope="col" { (name) } }
                } }
                tbody { @for node in &page.nodes { (row(page, node, place)) } }
            }
        }
    }
}

fn row(page: &RunPage, node: &NodeView, place: Place) -> Markup {
    let rows: u64 = node.outputs.iter().filter_map(|output| output.rows).sum();
    html! {
        tr {
            th scope="row" { (linked(&node.name, place.node(&page.id, &node.name))) }
            td { code { (node.kind) } }
            td { (state(node.state)) @if !node.reason.is_empty() { " " span.quiet { (node.reason) } } }
            td.number data-value=(node.seconds) { (spell::duration(node.seconds)) }
            td.number data-value=(rows) { (spell::count(rows)) }
            td { @if let Some(key) = &node.key { code title=(key) { (spell::short(key)) } } @else { "–" } }
            td.number data-value=(node.computed_in.unwrap_or(0.0)) { (node.computed_in.map_or("–".into(), spell::duration)) }
            td { (node.host.as_deref().unwrap_or("–")) }
            td.date { (node.finished.as_deref().unwrap_or("–")) }
        }
    }
}

/// A name, linked where there is a page for it.
pub(crate) fn linked(name: &str, address: Option<String>) -> Markup {
    html! { @if let Some(address) = address { a href=(address) { (name) } } @else { (name) } }
}

/// Models, collections and prompts that the run read, with their digests.
pub(crate) fn sources(nodes: &[NodeView]) -> Markup {
    let inputs = nodes
        .iter()
        .flat_map(|node| node.inputs.iter().map(move |input| (node, input)));
    let read = |(node, input): (&NodeView, &InputView)| {
        input.node.is_none().then(|| {
            let digest = input.digest.clone().unwrap_or_default();
            (
                input.what.clone(),
                input.port.clone(),
                digest,
                node.stage().to_owned(),
            )
        })
    };
    let sources: BTreeSet<_> = inputs.filter_map(read).collect();
    html! {
        @if !sources.is_empty() {
            div.scroll role="region" aria-label="Sources" tabindex="0" {
                table.sortable.small {
                    caption { "Models, collections and prompts the run read; digests are of their content." }
                    thead { tr { @for name in ["source", "read as", "by stage", "digest"] { th scope="col" { (name) } } } }
                    tbody {
                        @for (what, port, digest, stage) in &sources {
                            tr {
                                th scope="row" { (what) }
                                td { (port) }
                                td { (stage) }
                                td { @if digest.is_empty() { "–" } @else { code title=(digest) { (spell::short(digest)) } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Full keys, stage versions and parameters of every node, folded away.
pub(crate) fn keys(nodes: &[NodeView]) -> Markup {
    html! {
        details {
            summary { "Full keys, versions and parameters" }
            dl.keys {
                @for node in nodes {
                    dt { (node.name) }
                    dd {
                        code.break { (node.key.as_deref().unwrap_or("no key")) }
                        @if let Some(version) = &node.version { " · stage version " (version) }
                        @if let Some(numeric) = &node.numeric { " · arithmetic " (numeric) }
                        br;
                        code.break.quiet { (node.params) }
                    }
                }
            }
        }
    }
}
