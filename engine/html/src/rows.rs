//! An artifact, a page of rows at a time.

use maud::{Markup, html};

use crate::{Place, document::document, spell};

/// Cells with more characters are made wide.
const LONG: usize = 60;

/// Some rows of an artifact.
#[derive(Clone, Debug, Default)]
pub struct RowsPage {
    /// The run.
    pub run: String,
    /// The node.
    pub node: String,
    /// Its output port.
    pub port: String,
    /// What was searched for; empty: nothing.
    pub search: String,
    /// Rows there are in all.
    pub total: u64,
    /// Names of columns.
    pub columns: Vec<String>,
    /// The place of each row and its cells.
    pub rows: Vec<(u64, Vec<String>)>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<u64>,
}

/// Its page.
pub fn rows(page: &RowsPage) -> String {
    let title = format!("{}.{}", page.node, page.port);
    let body = html! {
        header.page {
            p.over { (crate::nodes::linked(&page.run, Some(Place::run(&page.run)))) " · "
                (crate::nodes::linked(&page.node, Place::Server.node(&page.run, &page.node))) }
            h1 { (title) }
            p.lead { (spell::count(page.total)) " rows" }
        }
        main #content {
            (search(page))
            @if page.rows.is_empty() { p.quiet { "No row." } } @else { (table(page)) }
            nav.pages aria-label="Pages" {
                a href=(address(page, 0)) { "First page" }
                @if let Some(next) = page.next { a href=(address(page, next)) rel="next" { "Next page" } }
            }
        }
    };
    document(&format!("{title} · {}", page.run), Place::Server, false, &body)
}

fn address(page: &RowsPage, from: u64) -> String {
    let [node, port, search] = [&page.node, &page.port, &page.search].map(|text| spell::escaped(text));
    format!(
        "{}/rows?node={node}&port={port}&q={search}&from={from}",
        Place::run(&page.run)
    )
}

fn search(page: &RowsPage) -> Markup {
    html! {
        form role="search" method="get" action={ (Place::run(&page.run)) "/rows" } {
            input type="hidden" name="node" value=(page.node);
            input type="hidden" name="port" value=(page.port);
            label { "Rows with " input type="search" name="q" value=(page.search) maxlength="200"; }
            button type="submit" { "Search" }
        }
    }
}

fn table(page: &RowsPage) -> Markup {
    html! {
        div.scroll role="region" aria-label="Rows" tabindex="0" {
            table.cells {
                thead { tr {
                    th scope="col" { "row" }
                    @for column in &page.columns { th scope="col" { (column) } }
                } }
                tbody {
                    @for (at, cells) in &page.rows {
                        tr {
                            th.number scope="row" { (spell::count(*at)) }
                            @for cell in cells { td.long[cell.chars().count() > LONG] { (cell) } }
                        }
                    }
                }
            }
        }
    }
}
