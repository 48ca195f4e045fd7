//! The page of a run.

use maud::{Markup, html};

use crate::{
    Figure, Place, RunPage, document::document, figures, graph, nodes, results::results, samples, spell,
    statistics::statistics,
};

/// Figures of one kind that stand open; more are folded away.
const OPEN: usize = 4;

/// A section: its anchor, its heading, what stands in it.
struct Section(&'static str, &'static str, Markup);

/// The whole page of a run.
pub fn run(page: &RunPage, place: Place) -> String {
    let sections = sections(page, place);
    let body = html! {
        (head(page, place))
        nav.contents aria-label="On this page" {
            @for Section(anchor, heading, _) in &sections { a href={ "#" (anchor) } { (heading) } }
        }
        main #content {
            @for Section(anchor, heading, markup) in &sections {
                section #(anchor) aria-labelledby={ (anchor) "-heading" } {
                    h2 id={ (anchor) "-heading" } { (heading) }
                    (markup)
                }
            }
        }
        footer.quiet { "ablate " (page.version) " · run " (page.id) }
    };
    document(&format!("{} · {}", page.experiment, page.id), place, false, &body)
}

fn head(page: &RunPage, place: Place) -> Markup {
    html! {
        header.page {
            p.over { @if place == Place::Server { "Run " } @else { "Report of run " } code { (page.id) } }
            h1 { (page.experiment) }
            p.lead {
                "Started " (page.started) " · " (spell::duration(page.seconds)) " · " code { (page.file) }
            }
            p.chips {
                @for (state, count) in graph::tally(&page.nodes) {
                    span.chip { (count) " " (nodes::state(state)) }
                }
                @if page.interrupted { span.chip { strong { "interrupted" } } }
            }
            @if place == Place::Server {
                p { a href={ (Place::run(&page.id)) "/report.html" } download { "Download as one file" } }
            }
        }
    }
}

fn sections(page: &RunPage, place: Place) -> Vec<Section> {
    let all = figures(page);
    let of = |kind: &str| -> Vec<&Figure> { all.iter().filter(|figure| figure.kind() == kind).collect() };
    let statistics = page
        .table
        .as_ref()
        .ok()
        .filter(|table| !table.rows.is_empty())
        .map(statistics);
    let mut sections = Vec::new();
    if !page.warnings.is_empty() {
        sections.push(Section("warnings", "Warnings", warnings(&page.warnings)));
    }
    sections.push(Section(
        "results",
        "Results",
        html! { (results(page)) (statistics.unwrap_or_default()) },
    ));
    sections.push(Section("graph", "Graph", html! { (plots(&of("graph"))) }));
    let shown = [
        (
            "scores",
            "Scores",
            html! { (plots_with_rest(&of("scores"), OPEN)) (plots_with_rest(&of("intervals"), OPEN)) },
            of("scores").is_empty(),
        ),
        (
            "differences",
            "Query by query",
            plots_with_rest(&of("differences"), OPEN),
            of("differences").is_empty(),
        ),
        (
            "filters",
            "Score distributions",
            plots_with_rest(&of("filter"), OPEN),
            of("filter").is_empty(),
        ),
        (
            "loss",
            "Training loss",
            plots_with_rest(&of("loss"), OPEN),
            of("loss").is_empty(),
        ),
        (
            "queries",
            "Generated queries",
            samples::folded(&page.pairs, samples::pairs),
            page.pairs.is_empty(),
        ),
        (
            "negatives",
            "Negatives",
            samples::folded(&page.negatives, samples::negatives),
            page.negatives.is_empty(),
        ),
    ];
    sections.extend(
        shown
            .into_iter()
            .filter(|(.., empty)| !empty)
            .map(|(anchor, heading, markup, _)| Section(anchor, heading, markup)),
    );
    let provenance =
        html! { (nodes::nodes(page, place)) (nodes::sources(&page.nodes)) (nodes::keys(&page.nodes)) };
    sections.push(Section("provenance", "Provenance", provenance));
    sections
}

fn warnings(all: &[String]) -> Markup {
    html! { ul.callout.warnings { @for warning in all { li { (warning) } } } }
}

fn plots(figures: &[&Figure]) -> Markup {
    html! {
        @for figure in figures {
            figure class=(figure.kind()) {
                div.scroll role="group" aria-label=(figure.name) tabindex="0" { (figure.plot.inline()) }
                figcaption { strong { (figure.plot.title()) "." } " " (figure.caption) }
            }
        }
    }
}

fn plots_with_rest(figures: &[&Figure], open: usize) -> Markup {
    let (first, rest) = figures.split_at(open.min(figures.len()));
    html! {
        @if !first.is_empty() { div.figures { (plots(first)) } }
        @if !rest.is_empty() {
            details {
                summary { (rest.len()) " more" }
                div.figures { (plots(rest)) }
            }
        }
    }
}
