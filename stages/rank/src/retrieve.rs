//! The `retrieve/bm25` stage.

use ablate_core::{
    ArtifactKind, Input, Io, Output, Problems, Stage, StageError,
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
    depth: u32,
    /// Term frequency saturation; Anserini's default.
    #[serde(default = "k1")]
    k1: f64,
    /// Length normalisation; Anserini's default.
    #[serde(default = "b")]
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

/// Notes constants out of range.
pub(crate) fn check_constants(k1: f64, b: f64, problems: &mut Problems) {
    problems.require(k1 > 0.0 && k1.is_finite(), "k1", "must be above 0");
    problems.require((0.0..=1.0).contains(&b), "b", "must lie in 0..=1");
}

impl Stage for RetrieveBm25 {
    const NAME: &'static str = "retrieve/bm25";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "BM25 as Lucene computes it, over title and text";
    const INPUTS: &'static [Input] = &[
        Input::of("corpus", ArtifactKind::Corpus),
        Input::of("queries", ArtifactKind::Queries),
    ];
    const OUTPUTS: &'static [Output] = &[Output::of("run", ArtifactKind::Run)];
    const NUMERIC: &'static str = "f32";
    type Params = Params;

    fn check(params: &Params, problems: &mut Problems) {
        problems.require(params.depth > 0, "depth", "must be at least 1");
        check_constants(params.k1, params.b, problems);
    }

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
