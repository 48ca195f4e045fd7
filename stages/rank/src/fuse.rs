//! The `fuse` stage: several runs become one.

use std::collections::{BTreeMap, BTreeSet};

use ablate_core::{ArtifactKind, Input, Io, Output, Ports, Problems, Stage, StageError, rows::Hit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::hits::Hits;

/// Fuses two to six runs.
pub struct Fuse;

/// How runs are fused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Method {
    /// Reciprocal rank fusion: the sum of 1 / (k + rank) (Cormack, Clarke and Büttcher 2009).
    #[default]
    Rrf,
    /// The weighted sum of scores (Fox and Shaw 1994: CombSUM).
    Sum,
}

/// What is done to the scores of a query in each run before they are added; a document a run lacks adds nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Normalise {
    /// (score - lowest) / (highest - lowest).
    #[default]
    MinMax,
    /// (score - mean) / standard deviation.
    ZScore,
    /// Nothing.
    None,
}

/// Parameters of `fuse`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How runs are fused.
    #[serde(default)]
    method: Method,
    /// What softens the first ranks (`rrf`).
    #[serde(default = "k")]
    #[schemars(range(min = 0))]
    k: f64,
    /// What is done to scores before they are added (`sum`).
    #[serde(default)]
    normalise: Normalise,
    /// The weight of each run, in the order of the ports; 1 each by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    weights: Vec<f64>,
    /// Hits per query.
    #[serde(default = "depth")]
    #[schemars(range(min = 1))]
    depth: u32,
}

fn k() -> f64 {
    60.0
}
fn depth() -> u32 {
    1000
}

impl Stage for Fuse {
    const NAME: &'static str = "fuse";
    const VERSION: u32 = 2;
    const ABOUT: &'static str = "several runs as one, by reciprocal ranks or normalised scores";
    const EXAMPLE: &'static str = "hybrid: {use: fuse, first: lexical, second: dense, method: rrf}";
    const INPUTS: &'static [Input] = &[
        Input::of("first", ArtifactKind::Run).about("a ranking"),
        Input::of("second", ArtifactKind::Run).about("another of the same queries"),
        Input::of("third", ArtifactKind::Run).optional().about("another"),
        Input::of("fourth", ArtifactKind::Run).optional().about("another"),
        Input::of("fifth", ArtifactKind::Run).optional().about("another"),
        Input::of("sixth", ArtifactKind::Run).optional().about("another"),
    ];
    const OUTPUTS: &'static [Output] =
        &[Output::of("run", ArtifactKind::Run).about("the one ranking they make")];
    type Params = Params;

    fn check(params: &Params, problems: &mut Problems) {
        let finite = params.weights.iter().all(|weight| weight.is_finite());
        problems.require(finite, "weights", "must be numbers");
    }

    fn check_ports(params: &Params, ports: &Ports<'_>, problems: &mut Problems) {
        let (weights, runs) = (params.weights.len(), ports.count());
        problems.require(
            weights == 0 || weights == runs,
            "weights",
            format!("{weights} weights for {runs} runs: give one weight a run, in the order of the ports"),
        );
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let mut runs: Vec<Vec<Hit>> = Vec::new();
        for port in Self::INPUTS {
            runs.extend(io.optional_rows(port.name)?);
        }
        fuse(params, &runs).put(io)
    }
}

/// Ties go to the lower document id.
fn fuse(params: &Params, runs: &[Vec<Hit>]) -> Hits {
    let runs: Vec<BTreeMap<&str, Vec<&Hit>>> = runs.iter().map(|run| by_query(run)).collect();
    let queries: BTreeSet<&str> = runs.iter().flat_map(|run| run.keys().copied()).collect();
    let mut fused = Hits::default();
    for query in queries {
        let mut scores: BTreeMap<&str, f64> = BTreeMap::new();
        for (at, run) in runs.iter().enumerate() {
            let weight = params.weights.get(at).copied().unwrap_or(1.0);
            let hits = run.get(query).map_or(&[][..], Vec::as_slice);
            for (hit, value) in hits.iter().zip(values(params, hits)) {
                *scores.entry(&hit.doc_id).or_default() += weight * value;
            }
        }
        fused.add(query, ranked(scores, params.depth as usize));
    }
    fused
}

fn by_query(run: &[Hit]) -> BTreeMap<&str, Vec<&Hit>> {
    let groups = run.chunk_by(|a, b| a.query_id == b.query_id);
    groups
        .map(|hits| (hits[0].query_id.as_str(), hits.iter().collect()))
        .collect()
}

/// What each hit of one query in one run counts.
fn values(params: &Params, hits: &[&Hit]) -> Vec<f64> {
    let scores = || hits.iter().map(|hit| f64::from(hit.score));
    let (shift, scale) = match (params.method, params.normalise) {
        (Method::Rrf, _) => {
            return hits
                .iter()
                .map(|hit| 1.0 / (params.k + f64::from(hit.rank)))
                .collect();
        }
        (Method::Sum, Normalise::None) => (0.0, 1.0),
        (Method::Sum, Normalise::MinMax) => {
            let (low, high) = scores().fold((f64::MAX, f64::MIN), |(low, high), score| {
                (low.min(score), high.max(score))
            });
            (low, high - low)
        }
        (Method::Sum, Normalise::ZScore) => {
            let count = hits.len() as f64;
            let mean = scores().sum::<f64>() / count;
            let variance = scores().map(|score| (score - mean).powi(2)).sum::<f64>() / count;
            (mean, variance.sqrt())
        }
    };
    // Equal scores say nothing: each counts 0.
    scores().map(|score| (score - shift) / scale.max(1e-9)).collect()
}

fn ranked(scores: BTreeMap<&str, f64>, depth: usize) -> Vec<(&str, f32)> {
    let mut hits: Vec<(&str, f32)> = scores
        .into_iter()
        .map(|(doc, score)| (doc, score as f32))
        .collect();
    // The map was in the order of ids, and the sort is stable.
    hits.sort_by(|a, b| b.1.total_cmp(&a.1));
    hits.truncate(depth);
    hits
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use ablate_core::Record;
    use serde_json::{Value, json};

    use super::*;

    fn rows(query: &Value) -> Vec<Hit> {
        let hits = query.as_array().unwrap().iter();
        hits.map(|hit| Hit {
            query_id: hit[0].as_str().unwrap().into(),
            doc_id: hit[1].as_str().unwrap().into(),
            rank: hit[2].as_u64().unwrap() as u32,
            score: hit[3].as_f64().unwrap() as f32,
        })
        .collect()
    }

    fn hits(params: Value, runs: &[Vec<Hit>]) -> Vec<Hit> {
        let params: Params = serde_json::from_value(params).unwrap();
        Hit::decode(&fuse(&params, runs).finish().unwrap()).unwrap()
    }

    fn fused(params: Value, runs: &[Vec<Hit>]) -> BTreeMap<(String, String), f32> {
        let hits = hits(params, runs).into_iter();
        hits.map(|hit| ((hit.query_id, hit.doc_id), hit.score)).collect()
    }

    /// Scores by ranx: tests/fixtures/fusion.py.
    #[test]
    fn scores_equal_ranx() {
        let fixture: Value =
            serde_json::from_str(include_str!("../../../tests/fixtures/fusion.json")).unwrap();
        let runs: Vec<Vec<Hit>> = fixture["runs"].as_array().unwrap().iter().map(rows).collect();
        for case in fixture["cases"].as_array().unwrap() {
            let found = fused(case["params"].clone(), &runs);
            let expected = case["scores"].as_array().unwrap();
            assert_eq!(found.len(), expected.len(), "{}", case["params"]);
            for row in expected {
                let key = (
                    row[0].as_str().unwrap().to_owned(),
                    row[1].as_str().unwrap().to_owned(),
                );
                let wanted = row[2].as_f64().unwrap();
                assert!(
                    (f64::from(found[&key]) - wanted).abs() < 1e-5,
                    "{key:?}: {}, ranx says {wanted}",
                    found[&key]
                );
            }
        }
    }

    #[test]
    fn ties_go_to_the_lower_id_and_depth_cuts() {
        let hit = |query: &str, doc: &str, rank, score| json!([query, doc, rank, score]);
        let one = rows(&json!([hit("q", "b", 1, 2.0), hit("q", "c", 2, 1.0)]));
        let two = rows(&json!([hit("q", "a", 1, 9.0), hit("q", "c", 2, 1.0)]));
        let ids = |runs: &[Vec<Hit>]| {
            let hits = hits(json!({"depth": 3}), runs);
            hits.into_iter().map(|hit| hit.doc_id).collect::<Vec<_>>()
        };
        assert_eq!(ids(&[one.clone(), two.clone()]), ["c", "a", "b"]);
        assert_eq!(ids(&[two.clone(), one.clone()]), ["c", "a", "b"]);
        // trec_eval breaks ties its own way: it must find none.
        let scores: Vec<f32> = hits(json!({}), &[one, two]).iter().map(|hit| hit.score).collect();
        assert!(scores.is_sorted_by(|a, b| a > b), "{scores:?}");
    }
}
