//! Generated queries and negatives beside their documents.

use maud::{Markup, html};

use crate::{NegativeSample, PairSample, spell};

/// Samples that stand open; more are folded away.
const OPEN: usize = 3;

/// The first samples, and the others folded away; `None` where there are none.
pub(crate) fn folded<T>(samples: &[T], show: impl Fn(&[T]) -> Markup) -> Option<Markup> {
    let (first, rest) = samples.split_at(OPEN.min(samples.len()));
    (!first.is_empty()).then(|| {
        html! {
            (show(first))
            @if !rest.is_empty() { details { summary { (rest.len()) " more" } (show(rest)) } }
        }
    })
}

/// Some generated queries, each beside the document it was made from.
pub(crate) fn pairs(samples: &[PairSample]) -> Markup {
    html! {
        @for sample in samples {
            article.sample {
                header { span.quiet { (sample.node) } }
                div.beside {
                    div {
                        h4 { "Query" }
                        p.query { (sample.query) }
                        p.quiet { (measures(sample)) }
                    }
                    div {
                        h4 { "Document " code { (sample.doc_id) } }
                        p.text { (sample.text) }
                    }
                }
            }
        }
    }
}

fn measures(sample: &PairSample) -> String {
    let number =
        |name: &str, value: Option<f64>| value.map(|value| format!("{name} {}", spell::figure(value)));
    let finish = (!sample.finish.is_empty()).then(|| format!("ended by {}", sample.finish));
    let parts = [
        number("mean log-probability", sample.mean_logprob),
        number("score", sample.score),
        finish,
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

/// Some negatives, each beside the positive of its query.
pub(crate) fn negatives(samples: &[NegativeSample]) -> Markup {
    html! {
        @for sample in samples {
            article.sample {
                header { span.quiet { (sample.node) " · from " (sample.source) } }
                p.query { (sample.query) }
                div.beside {
                    div {
                        h4 { span.sign.better { "+" } " Positive " code { (sample.pos_id) } }
                        p.text { (sample.pos_text) }
                    }
                    div {
                        h4 { span.sign.worse { "−" } " Negative " code { (sample.neg_id) } }
                        p.text { (sample.neg_text) }
                    }
                }
            }
        }
    }
}
