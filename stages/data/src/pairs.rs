//! The `pairs` stage: judged queries with their relevant documents, to train on.

use std::collections::BTreeMap;

use ablate_core::{
    ArtifactKind, Input, Io, Output, Stage, StageError,
    rows::{Document, Judgement, Pair, Query},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What people judged, in the form of what a generator writes.
pub struct Pairs;

/// Parameters of `pairs`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The least grade of a document that a query is paired with.
    #[serde(default = "grade")]
    #[schemars(range(min = 1))]
    grade: i32,
}

fn grade() -> i32 {
    1
}

impl Stage for Pairs {
    const NAME: &'static str = "pairs";
    const VERSION: u32 = 1;
    const ABOUT: &'static str =
        "judged queries, each with a relevant document: what trainers and `negatives` take";
    const EXAMPLE: &'static str =
        "judged: {use: pairs, queries: data.queries.train, qrels: data.qrels.train, corpus: data.corpus}";
    const INPUTS: &'static [Input] = &[
        Input::of("queries", ArtifactKind::Queries).about("the texts of the queries"),
        Input::of("qrels", ArtifactKind::Qrels).about("which documents are relevant to them"),
        Input::of("corpus", ArtifactKind::Corpus).about("the texts of the documents"),
    ];
    const OUTPUTS: &'static [Output] = &[Output::of("pairs", ArtifactKind::Pairs)
        .about("a row for each relevant document, called `QUERY#DOCUMENT`")];
    type Params = Params;

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let (queries, corpus): (Vec<Query>, Vec<Document>) = (io.rows("queries")?, io.rows("corpus")?);
        let mut qrels: Vec<Judgement> = io.rows("qrels")?;
        qrels.retain(|judgement| judgement.grade >= params.grade);
        let pairs = joined(&queries, &qrels, &corpus);
        let missing = qrels.len() - pairs.len();
        if missing > 0 {
            let all = qrels.len();
            io.note(format!(
                "{missing} of {all} judgements name a query or a document that is not there, and were left out"
            ));
        }
        io.put("pairs", pairs)
    }
}

fn joined(queries: &[Query], qrels: &[Judgement], corpus: &[Document]) -> Vec<Pair> {
    let queries: BTreeMap<&str, &str> = queries
        .iter()
        .map(|query| (query.query_id.as_str(), query.text.as_str()))
        .collect();
    let corpus: BTreeMap<&str, &Document> = corpus
        .iter()
        .map(|document| (document.doc_id.as_str(), document))
        .collect();
    let pair = |judgement: &Judgement| {
        let query = queries.get(judgement.query_id.as_str())?;
        let document = corpus.get(judgement.doc_id.as_str())?;
        Some(Pair {
            query_id: format!("{}#{}", judgement.query_id, judgement.doc_id),
            query: (*query).to_owned(),
            doc_id: judgement.doc_id.clone(),
            text: document.full_text(),
            mean_logprob: None,
            score: None,
            reasoning: None,
            prompt_tokens: 0,
            new_tokens: 0,
            finish: "judged".into(),
        })
    };
    qrels.iter().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_relevant_document_makes_a_pair_and_strangers_none() {
        let query = |id: &str| Query {
            query_id: id.into(),
            text: format!("about {id}"),
        };
        let document = |id: &str| Document {
            doc_id: id.into(),
            title: Some("A title".into()),
            text: format!("text {id}"),
        };
        let judgement = |query_id: &str, doc_id: &str| Judgement {
            query_id: query_id.into(),
            doc_id: doc_id.into(),
            grade: 1,
        };
        let qrels = [("a", "x"), ("a", "y"), ("b", "nowhere"), ("nobody", "x")].map(|(q, d)| judgement(q, d));
        let pairs = joined(&[query("a"), query("b")], &qrels, &[document("x"), document("y")]);
        let found: Vec<_> = pairs
            .iter()
            .map(|pair| (pair.query_id.as_str(), pair.query.as_str(), pair.text.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                ("a#x", "about a", "A title text x"),
                ("a#y", "about a", "A title text y")
            ]
        );
    }
}
