//! The page of a node.

use maud::{Markup, html};

use crate::{NodeView, Place, document::document, nodes, spell};

/// A node of a run.
#[derive(Clone, Debug)]
pub struct NodePage {
    /// The run.
    pub run: String,
    /// The node.
    pub node: NodeView,
}

/// Its page.
pub fn node(page: &NodePage) -> String {
    let node = &page.node;
    let body = html! {
        header.page {
            p.over { a href=(Place::run(&page.run)) { "Run " (page.run) } }
            h1 { (node.name) }
            p.lead { code { (node.kind) } " · " (nodes::state(node.state)) " · " (node.reason) }
        }
        main #content {
            @if !node.notes.is_empty() { ul.callout { @for note in &node.notes { li { (note) } } } }
            section { h2 { "Outputs" } (outputs(page)) }
            section { h2 { "Inputs" } (inputs(page)) }
            section { h2 { "Parameters" } pre { (parameters(node)) } }
            section { h2 { "Provenance" } (provenance(node)) }
        }
    };
    document(
        &format!("{} · {}", node.name, page.run),
        Place::Server,
        false,
        &body,
    )
}

fn parameters(node: &NodeView) -> String {
    serde_json::to_string_pretty(&node.params).unwrap_or_default()
}

fn outputs(page: &NodePage) -> Markup {
    let rows = |port: &str| {
        let (run, node) = (Place::run(&page.run), spell::escaped(&page.node.name));
        format!("{run}/rows?node={node}&port={}", spell::escaped(port))
    };
    html! {
        @if page.node.outputs.is_empty() { p.quiet { "It left nothing." } }
        @else {
            div.scroll role="region" aria-label="Outputs" tabindex="0" {
                table {
                    thead { tr { @for name in ["port", "kind", "rows", "size", "content"] { th scope="col" { (name) } } } }
                    tbody {
                        @for output in &page.node.outputs {
                            tr {
                                @let address = (output.is_here && output.rows.is_some()).then(|| rows(&output.port));
                                th scope="row" { (nodes::linked(&output.port, address)) }
                                td { (output.kind) @if !output.is_here { span.quiet { " no longer in the store" } } }
                                td.number { (output.rows.map_or("–".into(), spell::count)) }
                                td.number { (spell::bytes(output.bytes)) }
                                td { code title=(output.content) { (spell::short(&output.content)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn inputs(page: &NodePage) -> Markup {
    html! {
        @if page.node.inputs.is_empty() { p.quiet { "It reads nothing." } }
        @else {
            dl {
                @for input in &page.node.inputs {
                    dt { (input.port) }
                    dd {
                        @if let Some(from) = &input.node {
                            (nodes::linked(from, Place::Server.node(&page.run, from))) " · " (input.what)
                        } @else {
                            (input.what)
                            @if let Some(digest) = &input.digest { " " code.break { (digest) } }
                        }
                    }
                }
            }
        }
    }
}

fn provenance(node: &NodeView) -> Markup {
    let facts = [
        ("key", node.key.clone()),
        ("stage version", node.version.clone()),
        ("arithmetic", node.numeric.clone()),
        ("computed on", node.host.clone()),
        ("at", node.finished.clone()),
        ("in", node.computed_in.map(spell::duration)),
        ("tokens", node.tokens.map(spell::count)),
        (
            "rows computed by this run",
            Some(spell::count(node.rows_computed)),
        ),
        ("rows reused", Some(spell::count(node.rows_reused))),
    ];
    html! {
        dl { @for (name, fact) in facts { @if let Some(fact) = fact { dt { (name) } dd { code.break { (fact) } } } } }
    }
}
