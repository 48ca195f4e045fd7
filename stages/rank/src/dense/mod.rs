//! `retrieve/dense`: exact search by the vectors of a sentence encoder.

mod embed;
mod reading;
mod search;
mod vectors;

use ablate_core::{
    ArtifactKind, Input, Io, Memory, Numeric, Output, Parts, Ports, Problems, Record, Slot, Stage,
    StageError,
    rows::{Document, Query, Vector},
};
use ablate_models::{
    device,
    encoder::{Embeddings, Role},
    source::{ENCODER, MODEL_SOURCE, require_role},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use embed::Embed;
pub(crate) use reading::Reading;
use search::Best;
pub(crate) use search::{Match, dot, search};
pub(crate) use vectors::Encoding;
use vectors::normalize;

use crate::hits::Hits;

/// Texts or vectors that are in memory at once.
const ROWS: usize = 1 << 16;

/// How two vectors are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Similarity {
    /// Their dot product over their lengths.
    #[default]
    Cosine,
    /// Their dot product.
    Dot,
}

/// Parameters of `retrieve/dense`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Params {
    /// Hits kept per query.
    #[serde(default = "default_depth")]
    #[schemars(range(min = 1))]
    depth: usize,
    /// Texts encoded at once.
    #[serde(default = "default_batch")]
    #[schemars(range(min = 1))]
    batch: usize,
    /// How two vectors are compared.
    #[serde(default)]
    similarity: Similarity,
    /// How texts are read.
    #[serde(flatten)]
    reading: Reading,
}

fn default_depth() -> usize {
    1000
}
fn default_batch() -> usize {
    32
}

/// The stage.
pub struct RetrieveDense;

impl Stage for RetrieveDense {
    const NAME: &'static str = "retrieve/dense";
    const VERSION: u32 = 2;
    const ABOUT: &'static str = "documents ranked by the similarity of their vectors to the query's, exactly";
    const EXAMPLE: &'static str = "dense: {use: retrieve/dense, corpus: data.corpus, queries: data.queries.test, model: retriever, depth: 1000}";
    const INPUTS: &'static [Input] = &[
        Input::of("corpus", ArtifactKind::Corpus)
            .or_port("vectors")
            .about("the documents to rank"),
        Input::of("queries", ArtifactKind::Queries).about("the queries to answer"),
        Input::of("model", ArtifactKind::Model)
            .or_source(&MODEL_SOURCE)
            .about("the encoder of documents and queries"),
        Input::of("vectors", ArtifactKind::Vectors)
            .optional()
            .about("the vectors of the documents by this encoder, instead of the documents"),
    ];
    const OUTPUTS: &'static [Output] =
        &[Output::of("run", ArtifactKind::Run).about("the best documents of each query")];
    const EXECUTION: &'static [&'static str] = &["batch"];
    const SLOT: Slot = Slot::Device;
    const NUMERIC: Numeric = "f32";
    // Documents go by in blocks; of all of them, the names stay.
    const MEMORY: Memory = Memory {
        tables: 1.0,
        models: 2.0,
        least: 1 << 30,
    };
    type Params = Params;

    fn check_ports(_: &Params, ports: &Ports<'_>, problems: &mut Problems) {
        require_role(ENCODER, "model", ports, problems);
        let encoder = ports.maker("vectors").and_then(|maker| maker.inputs.get("model"));
        if let (Some(theirs), Some(own)) = (encoder, ports.name("model")) {
            problems.require(
                theirs == own,
                "model",
                format!(
                    "is `{own}`, and `vectors` are of `{theirs}`: vectors of two models cannot be compared"
                ),
            );
        }
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let queries: Vec<Query> = io.rows("queries")?;
        let encoding = Encoding::open(io, "model", &params.reading, params.batch)?;
        let texts: Vec<String> = queries.iter().map(|query| query.text.clone()).collect();
        let name = |at: usize| format!("query `{}`", queries[at].query_id);
        let asked = match params.similarity {
            Similarity::Cosine => encoding.unit_vectors(Role::Query, &texts, name),
            Similarity::Dot => encoding.vectors(Role::Query, &texts, name),
        }?;
        let (names, ranked) = match (io.optional_parts("corpus")?, io.optional_parts("vectors")?) {
            (Some(corpus), None) => ranked(params, io, &asked, blocks(corpus), |documents| {
                encoded(&encoding, params.similarity, documents)
            }),
            (None, Some(vectors)) => ranked(params, io, &asked, blocks(vectors), |vectors| {
                given(&encoding, params.similarity, vectors)
            }),
            _ => Err(StageError::with_help(
                "either documents or their vectors are ranked",
                "set `corpus` or `vectors`, not both",
            )),
        }?;
        hits(&queries, &names, &ranked).put(io)
    }
}

/// The rows of a table, [`ROWS`] or a few more at a time.
fn blocks<R: Record>(parts: Parts<'_>) -> impl Iterator<Item = Result<Vec<R>, StageError>> {
    let mut parts = parts.map(|part| Ok(R::decode(&part?)?));
    std::iter::from_fn(move || {
        let mut rows: Vec<R> = Vec::new();
        while rows.len() < ROWS {
            match parts.next() {
                Some(Ok(more)) => rows.extend(more),
                Some(Err(error)) => return Some(Err(error)),
                None => break,
            }
        }
        (!rows.is_empty()).then_some(Ok(rows))
    })
}

/// Names of documents, and their vectors.
type Block = (Vec<String>, Embeddings);

/// The names of all documents, and the best of each query by their places.
fn ranked<R>(
    params: &Params,
    io: &Io<'_>,
    queries: &Embeddings,
    blocks: impl Iterator<Item = Result<Vec<R>, StageError>>,
    vectors: impl Fn(Vec<R>) -> Result<Block, StageError>,
) -> Result<(Vec<String>, Vec<Vec<Match>>), StageError> {
    let device = device::open(io.device())?;
    let (mut names, mut best) = (Vec::new(), Best::new(queries, params.depth));
    for rows in blocks {
        let (ids, vectors) = vectors(rows?)?;
        names.extend(ids);
        match device.is_cpu() {
            true => best.add(&vectors),
            false => best.add_on(&vectors, &device)?,
        }
        io.advance(names.len(), "documents")?;
    }
    Ok((names, best.finish()))
}

/// The vectors of documents, computed or known.
fn encoded(
    encoding: &Encoding<'_>,
    similarity: Similarity,
    documents: Vec<Document>,
) -> Result<Block, StageError> {
    let texts: Vec<String> = documents.iter().map(Document::full_text).collect();
    let name = |at: usize| format!("document `{}`", documents[at].doc_id);
    let vectors = match similarity {
        Similarity::Cosine => encoding.unit_vectors(Role::Document, &texts, name),
        Similarity::Dot => encoding.vectors(Role::Document, &texts, name),
    }?;
    Ok((
        documents.into_iter().map(|document| document.doc_id).collect(),
        vectors,
    ))
}

/// Vectors that another stage has made.
fn given(encoding: &Encoding<'_>, similarity: Similarity, rows: Vec<Vector>) -> Result<Block, StageError> {
    let dim = encoding.dim();
    if let Some(other) = rows.iter().find(|row| row.vector.len() != dim) {
        let length = other.vector.len();
        return Err(StageError::with_help(
            format!(
                "the vector of `{}` has {length} numbers, those of the model have {dim}",
                other.id
            ),
            "connect vectors that `embed` made with the same model",
        ));
    }
    let mut vectors = Embeddings {
        dim,
        values: rows.iter().flat_map(|row| row.vector.iter().copied()).collect(),
    };
    let is_unit = |vector: &[f32]| (dot(vector, vector) - 1.0).abs() < 1e-5;
    if similarity == Similarity::Cosine && !vectors.rows().all(is_unit) {
        normalize(&mut vectors);
    }
    Ok((rows.into_iter().map(|row| row.id).collect(), vectors))
}

fn hits(queries: &[Query], names: &[String], ranked: &[Vec<Match>]) -> Hits {
    let mut hits = Hits::default();
    for (query, matches) in queries.iter().zip(ranked) {
        let named = matches
            .iter()
            .map(|found| (names[found.document].as_str(), found.score));
        hits.add(&query.query_id, named);
    }
    hits
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use ablate_core::rows::Hit;

    use super::*;

    #[test]
    fn documents_of_one_vector_keep_their_order_for_trec_eval() {
        let query = Query {
            query_id: "q".into(),
            text: String::new(),
        };
        let found = [0, 1, 2].map(|document| Match { document, score: 0.5 });
        let run = hits(&[query], &["a", "b", "c"].map(str::to_owned), &[found.into()]);
        let run = Hit::decode(&run.finish().unwrap()).unwrap();
        assert!(
            run.is_sorted_by(|a, b| a.doc_id < b.doc_id && a.score > b.score),
            "{run:?}"
        );
    }
}
