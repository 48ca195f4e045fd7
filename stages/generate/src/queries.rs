//! The `queries` stage: synthetic queries as queries to retrieve with, and what they were made from as judgements.

use ablate_core::{
    ArtifactKind, Input, Io, Output, Stage, StageError,
    rows::{Judgement, Pair, Query},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Takes pairs apart, so that any retriever can make a run of their queries.
pub struct Queries;

/// Parameters of `queries`: none.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

impl Stage for Queries {
    const NAME: &'static str = "queries";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "the queries of pairs, to retrieve with; their documents as judgements";
    const EXAMPLE: &'static str = "asked: {use: queries, pairs: kept}";
    const INPUTS: &'static [Input] =
        &[Input::of("pairs", ArtifactKind::Pairs).about("queries, each with the document it is about")];
    const OUTPUTS: &'static [Output] = &[
        Output::of("queries", ArtifactKind::Queries).about("the queries"),
        Output::of("qrels", ArtifactKind::Qrels).about("for each query its document, with grade 1"),
    ];
    type Params = Params;

    fn run(_: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let pairs: Vec<Pair> = io.rows("pairs")?;
        let judgement = |pair: &Pair| Judgement {
            query_id: pair.query_id.clone(),
            doc_id: pair.doc_id.clone(),
            grade: 1,
        };
        io.put("qrels", pairs.iter().map(judgement).collect())?;
        let query = |pair: Pair| Query {
            query_id: pair.query_id,
            text: pair.query,
        };
        io.put("queries", pairs.into_iter().map(query).collect())
    }
}
