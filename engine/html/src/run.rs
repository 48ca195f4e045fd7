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

/// What the run has something to show for, in the order of reading.
fn sections(page: &RunPage, place: Place) -> Vec<Section> {
    let all = figures(page);
    let of = |kind: &str| -> Vec<&Figure> { all.iter().filter(|figure| figure.kind() == kind).collect() };
    let plotted = |kind: &str| (!of(kind).is_empty()).then(|| plots_with_rest(&of(kind)));
    let sections = [
        (
            "warnings",
            "Warnings",
            (!page.warnings.is_empty()).then(|| warnings(&page.warnings)),
        ),
        ("results", "Results", Some(table(page))),
        ("graph", "Graph", Some(plots(&of("graph")))),
        ("scores", "Scores", plotted("scores")),
        ("intervals", "Differences", plotted("intervals")),
        ("differences", "Query by query", plotted("differences")),
        ("filters", "Score distributions", plotted("filter")),
        ("hardness", "Hardness of negatives", plotted("hardness")),
        ("loss", "Training loss", plotted("loss")),
        (
            "queries",
            "Generated queries",
            samples::folded(&page.pairs, samples::pairs),
        ),
        (
            "negatives",
            "Negatives",
            samples::folded(&page.negatives, samples::negatives),
        ),
        ("provenance", "Provenance", Some(provenance(page, place))),
    ];
    let filled = |(anchor, heading, markup): (_, _, Option<Markup>)| Some(Section(anchor, heading, markup?));
    sections.into_iter().filter_map(filled).collect()
}

fn table(page: &RunPage) -> Markup {
    let statistics = page
        .table
        .as_ref()
        .ok()
        .filter(|table| !table.rows.is_empty())
        .map(statistics);
    html! { (results(page)) (statistics.unwrap_or_default()) }
}

fn provenance(page: &RunPage, place: Place) -> Markup {
    html! { (nodes::nodes(page, place)) (nodes::sources(&page.nodes)) (nodes::keys(&page.nodes)) }
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

fn plots_with_rest(figures: &[&Figure]) -> Markup {
    let (first, rest) = figures.split_at(OPEN.min(figures.len()));
    html! {
        div.figures { (plots(first)) }
        @if !rest.is_empty() {
            details {
                summary { (rest.len()) " more" }
                div.figures { (plots(rest)) }
            }
        }
    }
}
