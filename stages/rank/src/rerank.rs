//! The `rerank` stage: the head of a run in the order of a cross-encoder or a monoT5.

use std::collections::BTreeMap;

use ablate_core::{
    ArtifactKind, Input, Io, Numeric, Output, Ports, Problems, Slot, Stage, StageError,
    rows::{Document, Hit, Query},
};
use ablate_models::{
    reranker::Activation,
    source::{MODEL_SOURCE, RERANKER, require_role},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scoring::{self, Scoring};

/// Parameters of `rerank`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Params {
    /// Hits per query that are scored, from the best on; those below are left out.
    #[serde(default = "default_depth")]
    #[schemars(range(min = 1))]
    depth: usize,
    /// How texts are put to the model.
    #[serde(flatten)]
    scoring: Scoring,
    /// What a score is reported as; the order is the same.
    #[serde(default)]
    activation: Activation,
}

fn default_depth() -> usize {
    100
}

/// The stage.
pub struct Rerank;

impl Stage for Rerank {
    const NAME: &'static str = "rerank";
    const VERSION: u32 = 2;
    const ABOUT: &'static str =
        "the best hits of a run, ordered by a model that reads query and document together";
    const EXAMPLE: &'static str = "reranked: {use: rerank, run: lexical, queries: data.queries.test, corpus: data.corpus, model: ms-marco-minilm-l12, depth: 100}";
    const INPUTS: &'static [Input] = &[
        Input::of("run", ArtifactKind::Run).about("the ranking whose head is ordered"),
        Input::of("queries", ArtifactKind::Queries).about("the texts of its queries"),
        Input::of("corpus", ArtifactKind::Corpus).about("the texts of its documents"),
        Input::of("model", ArtifactKind::Model)
            .or_source(&MODEL_SOURCE)
            .about("a cross-encoder or a monoT5"),
    ];
    const OUTPUTS: &'static [Output] =
        &[Output::of("run", ArtifactKind::Run).about("the head of each query's ranking, reordered")];
    const EXECUTION: &'static [&'static str] = &["batch"];
    const SLOT: Slot = Slot::Device;
    const NUMERIC: Numeric = "f32";
    type Params = Params;

    fn check_ports(_: &Params, ports: &Ports<'_>, problems: &mut Problems) {
        require_role(RERANKER, "model", ports, problems);
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let head = head(io.rows("run")?, params.depth);
        let (queries, corpus): (Vec<Query>, Vec<Document>) = (io.rows("queries")?, io.rows("corpus")?);
        let texts: BTreeMap<&str, &str> = queries
            .iter()
            .map(|query| (query.query_id.as_str(), query.text.as_str()))
            .collect();
        let documents: BTreeMap<&str, String> = corpus
            .iter()
            .map(|document| (document.doc_id.as_str(), document.full_text()))
            .collect();
        let mut pairs = Vec::with_capacity(head.len());
        for hit in &head {
            let query = texts.get(hit.query_id.as_str());
            let document = documents.get(hit.doc_id.as_str());
            pairs.push((
                *query.ok_or_else(|| missing("query", &hit.query_id, "queries"))?,
                document
                    .ok_or_else(|| missing("document", &hit.doc_id, "corpus"))?
                    .as_str(),
            ));
        }
        let logits = scoring::logits(io, "model", &pairs, &params.scoring)?;
        io.put("run", by_logit(head, &logits, params.activation))
    }
}

/// The `depth` best hits of each query, in the order of the run.
fn head(run: Vec<Hit>, depth: usize) -> Vec<Hit> {
    let mut of_query = (String::new(), 0);
    run.into_iter()
        .filter(|hit| {
            if hit.query_id != of_query.0 {
                of_query = (hit.query_id.clone(), 0);
            }
            of_query.1 += 1;
            of_query.1 <= depth
        })
        .collect()
}

fn missing(what: &str, id: &str, port: &str) -> StageError {
    StageError::with_help(
        format!("the run names the {what} `{id}`, which is not among the {port}"),
        format!("connect the {port} that the run was made from"),
    )
}

/// The hits of each query by their logits, best first; ties stay in the order of the run.
pub(crate) fn by_logit(hits: Vec<Hit>, logits: &[f32], activation: Activation) -> Vec<Hit> {
    let mut scored: Vec<(Hit, f32)> = hits.into_iter().zip(logits.iter().copied()).collect();
    // A stable sort keeps ties as they were.
    scored.sort_by(|a, b| a.0.query_id.cmp(&b.0.query_id).then(b.1.total_cmp(&a.1)));
    let mut rank = 0;
    let mut before = String::new();
    let hit = |(hit, logit): (Hit, f32)| {
        if hit.query_id != before {
            (rank, before) = (0, hit.query_id.clone());
        }
        rank += 1;
        Hit {
            rank,
            score: activation.apply(logit),
            ..hit
        }
    };
    scored.into_iter().map(hit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(query: &str, document: &str, rank: u32) -> Hit {
        Hit {
            query_id: query.into(),
            doc_id: document.into(),
            rank,
            score: 0.0,
        }
    }

    fn run() -> Vec<Hit> {
        vec![
            hit("a", "x", 1),
            hit("a", "y", 2),
            hit("a", "z", 3),
            hit("b", "x", 1),
            hit("b", "z", 2),
        ]
    }

    #[test]
    fn the_head_is_cut_by_query() {
        let kept: Vec<_> = head(run(), 2)
            .into_iter()
            .map(|hit| (hit.query_id, hit.rank))
            .collect();
        assert_eq!(
            kept,
            [("a", 1), ("a", 2), ("b", 1), ("b", 2)].map(|(id, rank)| (id.to_owned(), rank))
        );
    }

    #[test]
    fn hits_go_by_logit_and_ties_stay() {
        let ordered = by_logit(run(), &[1.0, 3.0, 1.0, -2.0, 0.0], Activation::Sigmoid);
        let rows: Vec<_> = ordered
            .iter()
            .map(|hit| (hit.doc_id.as_str(), hit.rank))
            .collect();
        assert_eq!(rows, [("y", 1), ("x", 2), ("z", 3), ("z", 1), ("x", 2)]);
        assert!((ordered[3].score - 0.5).abs() < 1e-7);
    }
}
