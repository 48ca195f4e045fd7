//! The `filter` stage: which synthetic queries are kept.

use std::collections::BTreeSet;

use ablate_core::{
    ArtifactKind, Input, Io, Output, Ports, Problems, Stage, StageError,
    rows::{Hit, Pair},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::copying::copied_share;

/// Keeps the better queries; says so when it kept all.
pub struct Filter;

/// What pairs are ranked by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum By {
    /// Mean log-probability of the query's tokens (InPars-V1).
    #[default]
    MeanLogprob,
    /// The score of a scorer.
    Score,
}

/// Parameters of `filter`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What pairs are ranked by.
    #[serde(default)]
    by: By,
    /// Keep this many of the best; ties go to the lower query id.
    #[serde(default)]
    #[schemars(range(min = 1), example = 500)]
    top: Option<u32>,
    /// Keep those whose value is at least this.
    #[serde(default)]
    #[schemars(example = -1.5)]
    threshold: Option<f64>,
    /// Drop queries with fewer characters.
    #[serde(default)]
    min_chars: Option<u32>,
    /// Drop queries with more characters.
    #[serde(default)]
    max_chars: Option<u32>,
    /// Drop queries that stand word for word in their document.
    #[serde(default)]
    drop_copies: bool,
    /// Drop queries of whose runs of three words a larger share stands in their document.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1), example = 0.5)]
    max_overlap: Option<f64>,
    /// Of queries that read the same (case and spaces aside), keep the best.
    #[serde(default)]
    drop_duplicates: bool,
    /// Keep pairs whose document is among this many best of `run` for their query (Promptagator's round trip).
    #[serde(default)]
    #[schemars(range(min = 1), example = 1)]
    round_trip: Option<u32>,
}

impl Stage for Filter {
    const NAME: &'static str = "filter";
    const VERSION: u32 = 1;
    const ABOUT: &'static str =
        "the better queries, by log-probability, score, length, copying, duplicates, round trip";
    const EXAMPLE: &'static str =
        "kept: {use: filter, pairs: queries, by: mean_logprob, top: 500, drop_duplicates: true}";
    const INPUTS: &'static [Input] = &[
        Input::of("pairs", ArtifactKind::Pairs).about("the queries to choose from"),
        Input::of("run", ArtifactKind::Run)
            .optional()
            .about("what a retriever finds for them, for `round_trip`"),
    ];
    const OUTPUTS: &'static [Output] =
        &[Output::of("pairs", ArtifactKind::Pairs).about("the queries that are kept")];
    type Params = Params;

    fn check(params: &Params, problems: &mut Problems) {
        let ordered = params.min_chars.unwrap_or(0) <= params.max_chars.unwrap_or(u32::MAX);
        problems.require(ordered, "min_chars", "is larger than max_chars");
    }

    fn check_ports(params: &Params, ports: &Ports<'_>, problems: &mut Problems) {
        let (depth, run) = (params.round_trip.is_some(), ports.has("run"));
        problems.require(
            run || !depth,
            "round_trip",
            "needs a run: set `run` to one of the queries of these pairs",
        );
        problems.require(
            depth || !run,
            "run",
            "is of no use without `round_trip`: set its depth",
        );
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let pairs: Vec<Pair> = io.rows("pairs")?;
        let before = pairs.len();
        let kept = keep(params, round_trip(params, pairs, io.optional_rows("run")?))?;
        if kept.len() == before {
            io.warn(format!(
                "the filter kept all {before} pairs: it is an identity here, and so no factor"
            ));
        }
        if kept.is_empty() {
            return Err(StageError::with_help(
                format!("none of {before} pairs passed"),
                "loosen the filter",
            ));
        }
        io.put("pairs", kept)
    }
}

/// The pairs whose document the run found early enough for their query.
fn round_trip(params: &Params, pairs: Vec<Pair>, run: Option<Vec<Hit>>) -> Vec<Pair> {
    let Some((depth, run)) = params.round_trip.zip(run) else {
        return pairs;
    };
    let hits = run.into_iter().filter(|hit| hit.rank <= depth);
    let found: BTreeSet<(String, String)> = hits.map(|hit| (hit.query_id, hit.doc_id)).collect();
    let returned = |pair: &Pair| found.contains(&(pair.query_id.clone(), pair.doc_id.clone()));
    pairs.into_iter().filter(returned).collect()
}

/// Best first; length and copies, then threshold, duplicates and top.
fn keep(params: &Params, pairs: Vec<Pair>) -> Result<Vec<Pair>, StageError> {
    let ranks = params.top.is_some() || params.threshold.is_some();
    let mut ranked = Vec::new();
    for pair in pairs.into_iter().filter(|pair| fits(params, pair)) {
        let value = match params.by {
            By::MeanLogprob => pair.mean_logprob,
            By::Score => pair.score,
        };
        if value.is_none() && ranks {
            let message = format!("the pair `{}` has no value to rank by", pair.query_id);
            return Err(StageError::with_help(
                message,
                "score the pairs first, or rank by the other value",
            ));
        }
        ranked.push((value.map_or(f64::NEG_INFINITY, f64::from), pair));
    }
    ranked.retain(|(value, _)| params.threshold.is_none_or(|threshold| *value >= threshold));
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.query_id.cmp(&b.1.query_id)));
    let mut seen = BTreeSet::new();
    let folded = |pair: &Pair| {
        pair.query
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .to_lowercase()
    };
    ranked.retain(|(_, pair)| !params.drop_duplicates || seen.insert(folded(pair)));
    ranked.truncate(params.top.map_or(usize::MAX, |top| top as usize));
    Ok(ranked.into_iter().map(|(_, pair)| pair).collect())
}

fn fits(params: &Params, pair: &Pair) -> bool {
    let length = pair.query.chars().count();
    let copied = params.drop_copies && pair.text.to_lowercase().contains(&pair.query.to_lowercase());
    length >= params.min_chars.unwrap_or(0) as usize
        && length <= params.max_chars.map_or(usize::MAX, |most| most as usize)
        && !copied
        && params.max_overlap.is_none_or(|most| copied_share(pair) <= most)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::samples::pair;

    fn honey(id: &str, query: &str, logprob: f32) -> Pair {
        Pair {
            query_id: id.into(),
            doc_id: id.into(),
            mean_logprob: Some(logprob),
            ..pair(query, "Honey keeps for years because it holds so little water.")
        }
    }

    fn kept(params: &str) -> Vec<String> {
        let pairs = vec![
            honey("a", "why does honey keep", -0.5),
            honey("b", "Why  does honey keep", -0.4),
            honey("c", "honey keeps for years", -0.9),
            honey("d", "x", -0.4),
        ];
        keep(&serde_json::from_str(params).unwrap(), pairs)
            .unwrap()
            .into_iter()
            .map(|p| p.query_id)
            .collect()
    }

    #[test]
    fn each_rule_drops_what_it_says() {
        assert_eq!(kept("{}"), ["b", "d", "a", "c"]);
        assert_eq!(kept(r#"{"top": 2}"#), ["b", "d"]);
        assert_eq!(kept(r#"{"top": 1}"#), ["b"], "ties go to the lower id");
        assert_eq!(kept(r#"{"threshold": -0.5}"#), ["b", "d", "a"]);
        assert_eq!(kept(r#"{"min_chars": 2}"#), ["b", "a", "c"]);
        assert_eq!(kept(r#"{"max_chars": 19}"#), ["d", "a"]);
        assert_eq!(kept(r#"{"drop_copies": true}"#), ["b", "d", "a"]);
        assert_eq!(kept(r#"{"max_overlap": 0.5}"#), ["b", "d", "a"]);
        assert_eq!(kept(r#"{"drop_duplicates": true}"#), ["b", "d", "c"]);
    }

    #[test]
    fn a_round_trip_keeps_what_was_found_in_time() {
        let hit = |query: &str, document: &str, rank| Hit {
            query_id: query.into(),
            doc_id: document.into(),
            rank,
            score: 0.0,
        };
        let run = || {
            vec![
                hit("a", "x", 1),
                hit("a", "a", 2),
                hit("b", "b", 1),
                hit("c", "a", 1),
            ]
        };
        let pairs = || ["a", "b", "c"].map(|id| honey(id, "q", -1.0)).to_vec();
        let kept = |depth: &str| {
            let params = serde_json::from_str(depth).unwrap();
            let kept = round_trip(&params, pairs(), Some(run()));
            kept.into_iter().map(|pair| pair.query_id).collect::<Vec<_>>()
        };
        assert_eq!(kept(r#"{"round_trip": 1}"#), ["b"]);
        assert_eq!(kept(r#"{"round_trip": 2}"#), ["a", "b"]);
    }

    #[test]
    fn ranking_by_a_value_that_is_not_there_is_an_error() {
        let params = serde_json::from_str(r#"{"by": "score", "top": 1}"#).unwrap();
        assert!(keep(&params, vec![honey("a", "q", -1.0)]).is_err());
    }
}
