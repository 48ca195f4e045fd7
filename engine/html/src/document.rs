//! The frame of every page: style, scripts, and the policy that lets nothing else in.

use ablate_plot::{PLOT_STYLE, variables};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use crate::spell;

const STYLE: &str = include_str!("style.css");
const SORT: &str = include_str!("sort.js");
const LIVE: &str = include_str!("live.js");

/// Where a page is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file: it links to itself only.
    File,
    /// A server, with pages of nodes and rows.
    Server,
}

impl Place {
    /// The page of a run.
    pub(crate) fn run(run: &str) -> String {
        format!("/run/{}", spell::escaped(run))
    }

    /// The page of a node, where there is one.
    pub(crate) fn node(self, run: &str, node: &str) -> Option<String> {
        (self == Self::Server).then(|| format!("{}/node?name={}", Self::run(run), spell::escaped(node)))
    }
}

/// A whole page. `scripts` beyond sorting: a live page has one.
pub(crate) fn document(title: &str, place: Place, is_live: bool, body: &Markup) -> String {
    let style = format!(
        ":root{{color-scheme:light dark;{}}}@media (prefers-color-scheme:dark){{:root{{{}}}}}\
         @media print{{:root{{{}}}}}{STYLE}{PLOT_STYLE}",
        variables(false),
        variables(true),
        variables(false)
    );
    let script = if is_live { LIVE } else { SORT };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy(place, &style, script));
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                link rel="icon" href="data:,";
                title { (title) }
                @if is_live { noscript { meta http-equiv="refresh" content="3"; } }
                style { (PreEscaped(&style)) }
            }
            body {
                a.skip href="#content" { "Skip to content" }
                @if place == Place::Server {
                    nav.site aria-label="Site" { a href="/" { "All runs" } }
                }
                (body)
                script { (PreEscaped(script)) }
            }
        }
    };
    page.into_string()
}

/// A page that only says something: an error, or that nothing is here.
pub fn message(title: &str, text: &str) -> String {
    let body = html! { main #content { h1 { (title) } p.lead { (text) } } };
    document(title, Place::Server, false, &body)
}

/// Nothing but the page's own style and script, and on a server its own events and searches.
fn policy(place: Place, style: &str, script: &str) -> String {
    let own = if place == Place::Server {
        "'self'"
    } else {
        "'none'"
    };
    format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; img-src data:; connect-src {own}; form-action {own}; base-uri 'none'",
        digest(style),
        digest(script)
    )
}

fn digest(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_and_nothing_is_loaded() {
        let body = html! { p { "<script>alert(1)</script>" } };
        let page = document("</title><b>", Place::File, false, &body);
        assert!(page.contains("&lt;script&gt;alert(1)") && page.contains("&lt;/title&gt;&lt;b&gt;"));
        assert_eq!(page.matches("<script>").count(), 1, "its own");
        for loading in ["src=", "href=\"http", "url(", "@import", "'unsafe"] {
            assert!(!page.contains(loading), "{loading}");
        }
    }

    #[test]
    fn a_file_talks_to_nobody() {
        let page = |place| document("x", place, false, &html! {});
        assert!(page(Place::File).contains("connect-src 'none'"));
        assert!(page(Place::Server).contains("connect-src 'self'"));
    }
}
