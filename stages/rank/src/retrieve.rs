//! The `retrieve/bm25` stage.

use ablate_core::{
    ArtifactKind, Input, Io, Output, Stage, StageError,
    rows::{Document, Hit, Query},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    analysis::Analyser,
    bm25::{Bm25, Index},
};

/// Lexical retrieval.
pub struct RetrieveBm25;

/// Parameters of `retrieve/bm25`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Hits per query.
    #[serde(default = "depth")]
    #[schemars(range(min = 1))]
    depth: u32,
    /// Term frequency saturation; Anserini's default.
    #[serde(default = "k1")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    k1: f64,
    /// Length normalisation; Anserini's default.
    #[serde(default = "b")]
    #[schemars(range(min = 0, max = 1))]
    b: f64,
    /// How text becomes terms.
    #[serde(default)]
    analyser: Analyser,
}

fn depth() -> u32 {
    1000
}
pub(crate) fn k1() -> f64 {
    0.9
}
pub(crate) fn b() -> f64 {
    0.4
}

impl Stage for RetrieveBm25 {
    const NAME: &'static str = "retrieve/bm25";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "BM25 as Lucene computes it, over title and text";
    const EXAMPLE: &'static str = "lexical: {use: retrieve/bm25, corpus: data.corpus, queries: data.queries.test, depth: 1000, k1: 0.9, b: 0.4}";
    const INPUTS: &'static [Input] = &[
        Input::of("corpus", ArtifactKind::Corpus).about("the documents to rank"),
        Input::of("queries", ArtifactKind::Queries).about("the queries to answer"),
    ];
    const OUTPUTS: &'static [Output] =
        &[Output::of("run", ArtifactKind::Run).about("the best documents of each query")];
    const NUMERIC: &'static str = "f32";
    type Params = Params;

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        // Rows come in id order, so a tie goes to the lower document id.
        let corpus: Vec<Document> = io.rows("corpus")?;
        let queries: Vec<Query> = io.rows("queries")?;
        let texts: Vec<String> = corpus.iter().map(Document::full_text).collect();
        let index = Index::build(&texts, params.analyser);
        let asked: Vec<String> = queries.iter().map(|query| query.text.clone()).collect();
        let bm25 = Bm25 {
            k1: params.k1 as f32,
            b: params.b as f32,
        };
        let found = index.search_all(&asked, params.depth as usize, bm25);
        let mut run = Vec::new();
        for (query, hits) in queries.iter().zip(found) {
            for (at, (document, score)) in hits.into_iter().enumerate() {
                let doc_id = corpus[document as usize].doc_id.clone();
                run.push(Hit {
                    query_id: query.query_id.clone(),
                    doc_id,
                    rank: at as u32 + 1,
                    score,
                });
            }
        }
        io.progress(queries.len(), queries.len(), "queries")?;
        io.put("run", run)
    }
}
