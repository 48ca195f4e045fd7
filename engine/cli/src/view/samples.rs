//! Some generated queries and some negatives, spread over their artifacts.

use std::collections::BTreeSet;

use ablate_cache::{OutputRecord, Store};
use ablate_core::{
    ArtifactKind, Record,
    rows::{Pair, Triple},
};
use ablate_html::{NegativeSample, PairSample};
use ablate_run::NodeRecord;

use super::Traced;
use crate::error::CliError;

/// The most nodes of a kind that are sampled, each of another artifact.
const NODES: usize = 4;
/// Rows of each.
const ROWS: usize = 3;
/// The most characters of a text.
const CHARACTERS: usize = 600;

/// Generated queries, each with its document.
pub(super) fn pairs(traced: &Traced<'_>, store: &Store) -> Result<Vec<PairSample>, CliError> {
    // What is only scored or filtered was generated before.
    let made = |node: &NodeRecord| !matches!(node.kind.as_str(), "filter" | "score");
    let mut samples = Vec::new();
    for (node, output) in some(traced, store, ArtifactKind::Pairs, made) {
        for pair in sample::<Pair>(output, store)? {
            samples.push(PairSample {
                node: node.name.clone(),
                doc_id: pair.doc_id,
                text: cut(&pair.text),
                query: cut(&pair.query),
                mean_logprob: pair.mean_logprob.map(f64::from),
                score: pair.score.map(f64::from),
                finish: pair.finish,
            });
        }
    }
    Ok(samples)
}

/// Negatives, each with the query and its positive.
pub(super) fn negatives(traced: &Traced<'_>, store: &Store) -> Result<Vec<NegativeSample>, CliError> {
    let mut samples = Vec::new();
    for (node, output) in some(traced, store, ArtifactKind::Triples, |_| true) {
        for triple in sample::<Triple>(output, store)? {
            samples.push(NegativeSample {
                node: node.name.clone(),
                query: cut(&triple.query),
                pos_id: triple.pos_id,
                pos_text: cut(&triple.pos_text),
                neg_id: triple.neg_id,
                neg_text: cut(&triple.neg_text),
                source: triple.source,
            });
        }
    }
    Ok(samples)
}

/// A few nodes with artifacts of a kind that differ.
fn some<'a, 't>(
    traced: &'t Traced<'a>,
    store: &'t Store,
    kind: ArtifactKind,
    chosen: impl Fn(&NodeRecord) -> bool,
) -> Vec<(&'a NodeRecord, &'t OutputRecord)> {
    let mut seen = BTreeSet::new();
    let outputs = traced
        .outputs(store, kind)
        .filter(|(node, output)| chosen(node) && seen.insert(output.content));
    outputs.take(NODES).collect()
}

/// Rows at equal distances.
fn sample<R: Record>(output: &OutputRecord, store: &Store) -> Result<Vec<R>, CliError> {
    let total = output.rows.unwrap_or(0) as usize;
    let mut rows = Vec::new();
    for nth in 0..ROWS.min(total) {
        let Some(batch) = store
            .stream_rows(output, None, nth * total / ROWS.min(total))?
            .next()
        else {
            break;
        };
        let one =
            R::decode(&batch?.slice(0, 1)).map_err(|error| CliError::Failed(format!("error: {error}")))?;
        rows.extend(one);
    }
    Ok(rows)
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(CHARACTERS) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", text[..at].trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        let long = cut(&"é".repeat(CHARACTERS + 1));
        assert_eq!(long.chars().count(), CHARACTERS + 1);
        assert!(long.ends_with('…'));
    }
}
