//! The `teacher` stage: what a reranker makes of the documents of triples, for a retriever to learn from.

use std::collections::BTreeMap;

use ablate_core::{
    ArtifactKind, Input, Io, Numeric, Output, Ports, Problems, Slot, Stage, StageError,
    rows::{Hit, Triple},
};
use ablate_models::{
    reranker::Activation,
    source::{MODEL_SOURCE, RERANKER, require_role},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    rerank::by_logit,
    scoring::{self, Scoring},
};

/// Parameters of `teacher`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Params {
    /// How texts are put to the model.
    #[serde(flatten)]
    scoring: Scoring,
}

/// The scores of a teacher (Hofstätter et al., 2020).
pub struct Teacher;

impl Stage for Teacher {
    const NAME: &'static str = "teacher";
    const VERSION: u32 = 2;
    const ABOUT: &'static str = "the logits of a reranker for every query and document of triples: what `train/distillation` learns from";
    const EXAMPLE: &'static str = "judge: {use: teacher, triples: triples, model: ms-marco-minilm-l12}";
    const INPUTS: &'static [Input] = &[
        Input::of("triples", ArtifactKind::Triples).about("queries, each with its positives and negatives"),
        Input::of("model", ArtifactKind::Model)
            .or_source(&MODEL_SOURCE)
            .about("a cross-encoder or a monoT5"),
    ];
    const OUTPUTS: &'static [Output] =
        &[Output::of("run", ArtifactKind::Run)
            .about("of each query the documents it stands with, best first")];
    const EXECUTION: &'static [&'static str] = &["batch"];
    const SLOT: Slot = Slot::Device;
    const NUMERIC: Numeric = "f32";
    type Params = Params;

    fn check_ports(_: &Params, ports: &Ports<'_>, problems: &mut Problems) {
        require_role(RERANKER, "model", ports, problems);
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let triples: Vec<Triple> = io.rows("triples")?;
        let texts = texts(&triples)?;
        let pairs: Vec<(&str, &str)> = texts.values().copied().collect();
        let logits = scoring::logits(io, "model", &pairs, &params.scoring)?;
        let hit = |(query, document): &(&str, &str)| Hit {
            query_id: (*query).to_owned(),
            doc_id: (*document).to_owned(),
            rank: 0,
            score: 0.0,
        };
        io.put(
            "run",
            by_logit(texts.keys().map(hit).collect(), &logits, Activation::Logit),
        )
    }
}

/// The texts of queries and documents by the ids of both.
type Texts<'a> = BTreeMap<(&'a str, &'a str), (&'a str, &'a str)>;

/// Those of every query and document that stand together.
fn texts(triples: &[Triple]) -> Result<Texts<'_>, StageError> {
    let mut texts = BTreeMap::new();
    for row in triples {
        let documents = [(&row.pos_id, &row.pos_text), (&row.neg_id, &row.neg_text)];
        for (id, text) in documents {
            let now = (row.query.as_str(), text.as_str());
            let before = texts.insert((row.query_id.as_str(), id.as_str()), now);
            if before.is_some_and(|before| before != now) {
                let query = &row.query_id;
                return Err(StageError::with_help(
                    format!("the document `{id}` of the query `{query}` stands with two texts"),
                    "give queries of different sources different ids",
                ));
            }
        }
    }
    Ok(texts)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn triple(query: &str, positive: &str, negative: &str) -> Triple {
        Triple {
            query_id: query.into(),
            query: format!("about {query}"),
            pos_id: positive.into(),
            pos_text: format!("text {positive}"),
            neg_id: negative.into(),
            neg_text: format!("text {negative}"),
            source: "bm25".into(),
        }
    }

    #[test]
    fn a_document_is_scored_once_a_query() {
        let triples = [
            triple("a", "x", "y"),
            triple("a", "x", "z"),
            triple("b", "y", "x"),
        ];
        let texts = texts(&triples).unwrap();
        let keys: Vec<_> = texts.keys().copied().collect();
        assert_eq!(keys, [("a", "x"), ("a", "y"), ("a", "z"), ("b", "x"), ("b", "y")]);
        assert_eq!(texts[&("b", "x")], ("about b", "text x"));
    }

    #[test]
    fn one_id_with_two_texts_is_refused() {
        let mut other = triple("a", "x", "y");
        other.query = "another query".into();
        let error = texts(&[triple("a", "x", "y"), other]).unwrap_err().to_string();
        assert!(error.contains("`x` of the query `a`"), "{error}");
    }
}
