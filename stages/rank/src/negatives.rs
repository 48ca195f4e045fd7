//! The `negatives` stage: hard and random negatives for synthetic pairs.

use std::collections::{BTreeMap, BTreeSet};

use ablate_core::{
    ArtifactKind, Input, Io, Output, Problems, Seed, Stage, StageError,
    rows::{Document, Pair, Triple},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    analysis::Analyser,
    bm25::Searcher,
    retrieve::{b, k1},
    similarity::Bm25,
};

/// Negatives for each query, never its positive.
pub struct Negatives;

/// Where negatives come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Origin {
    /// The ranks of BM25 for the query, as InPars.
    #[default]
    Bm25,
    /// Any document.
    Random,
}

/// Which of the candidates are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pick {
    /// By chance, as InPars.
    #[default]
    Random,
    /// The best ranked.
    Top,
}

/// What to do with a query that has too few candidates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnShortfall {
    /// Leave the query out, so that every query has the same budget.
    #[default]
    DropQuery,
    /// Fill up with random documents.
    Fill,
    /// Fail.
    Error,
}

/// Parameters of `negatives`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Where negatives come from.
    #[serde(default)]
    source: Origin,
    /// How many ranks are candidates (BM25); at least `per_query`.
    #[serde(default = "depth")]
    #[schemars(range(min = 1))]
    depth: u32,
    /// Negatives per query.
    #[serde(default = "per_query")]
    #[schemars(range(min = 1))]
    per_query: u32,
    /// Which candidates are taken.
    #[serde(default)]
    pick: Pick,
    /// Seed of the draw.
    #[serde(default = "seed")]
    seed: u64,
    /// What to do with a query that has too few candidates.
    #[serde(default)]
    on_shortfall: OnShortfall,
    /// BM25's term frequency saturation.
    #[serde(default = "k1")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    k1: f64,
    /// BM25's length normalisation.
    #[serde(default = "b")]
    #[schemars(range(min = 0, max = 1))]
    b: f64,
}

fn depth() -> u32 {
    100
}
fn per_query() -> u32 {
    1
}
fn seed() -> u64 {
    1
}

impl Stage for Negatives {
    const NAME: &'static str = "negatives";
    const VERSION: u32 = 1;
    const ABOUT: &'static str =
        "hard (BM25) or random negatives for each query, never its positive, equal budgets";
    const EXAMPLE: &'static str = "triples: {use: negatives, pairs: kept, corpus: data.corpus, source: bm25, depth: 100, per_query: 1, seed: 1}";
    const INPUTS: &'static [Input] = &[
        Input::of("pairs", ArtifactKind::Pairs).about("queries, each with the document it is about"),
        Input::of("corpus", ArtifactKind::Corpus).about("the documents negatives come from"),
    ];
    const OUTPUTS: &'static [Output] = &[Output::of("triples", ArtifactKind::Triples)
        .about("query, positive and negative; `per_query` rows a query")];
    const NUMERIC: &'static str = "f32";
    type Params = Params;

    fn check(params: &Params, problems: &mut Problems) {
        problems.require(
            params.depth >= params.per_query,
            "depth",
            "must be at least per_query",
        );
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let pairs: Vec<Pair> = io.rows("pairs")?;
        let corpus: Vec<Document> = io.rows("corpus")?;
        let candidates = candidates(params, &pairs, &corpus);
        let mut triples = Vec::new();
        let (mut dropped, mut filled) = (0, 0);
        for (pair, ranked) in pairs.iter().zip(candidates) {
            let mut taken = choose(params, pair, &ranked, &corpus);
            if taken.len() < params.per_query as usize {
                match params.on_shortfall {
                    OnShortfall::DropQuery => {
                        dropped += 1;
                        continue;
                    }
                    OnShortfall::Error => return Err(shortfall(pair, taken.len(), params)),
                    OnShortfall::Fill => filled += fill(params, pair, &mut taken, &corpus),
                }
            }
            triples.extend(
                taken
                    .into_iter()
                    .map(|(at, source)| triple(pair, &corpus[at], source)),
            );
        }
        if dropped > 0 {
            io.note(format!(
                "{dropped} of {} queries had too few candidates and were dropped",
                pairs.len()
            ));
        }
        if filled > 0 {
            io.note(format!("{filled} negatives were filled up with random documents"));
        }
        io.put("triples", triples)
    }
}

/// The candidates of each pair as positions in the corpus, best first; empty for random negatives.
fn candidates(params: &Params, pairs: &[Pair], corpus: &[Document]) -> Vec<Vec<usize>> {
    if params.source == Origin::Random {
        return vec![vec![]; pairs.len()];
    }
    let texts: Vec<String> = corpus.iter().map(Document::full_text).collect();
    let bm25 = Bm25::lucene(params.k1 as f32, params.b as f32);
    let searcher = Searcher::flat(&texts, &Analyser::default(), bm25);
    // Queries that read the same are searched once.
    let distinct: BTreeSet<&str> = pairs.iter().map(|pair| pair.query.as_str()).collect();
    let asked: Vec<String> = distinct.iter().map(|query| (*query).to_owned()).collect();
    // One rank more: the positive may be among them.
    let found = searcher.search_all(&asked, params.depth as usize + 1, None);
    let found: BTreeMap<&str, Vec<usize>> = distinct
        .into_iter()
        .zip(found)
        .map(|(query, hits)| (query, hits.into_iter().map(|(at, _)| at as usize).collect()))
        .collect();
    pairs
        .iter()
        .map(|pair| found[pair.query.as_str()].clone())
        .collect()
}

type Taken = Vec<(usize, &'static str)>;

fn choose(params: &Params, pair: &Pair, ranked: &[usize], corpus: &[Document]) -> Taken {
    let count = params.per_query as usize;
    if params.source == Origin::Random {
        let mut taken = Vec::new();
        draw_random(params, pair, &mut taken, corpus);
        return taken;
    }
    let mut ranked: Vec<usize> = ranked
        .iter()
        .copied()
        .filter(|at| corpus[*at].doc_id != pair.doc_id)
        .take(params.depth as usize)
        .collect();
    if params.pick == Pick::Random {
        stream(params, pair, "pick").shuffle(&mut ranked);
    }
    ranked.into_iter().take(count).map(|at| (at, "bm25")).collect()
}

fn fill(params: &Params, pair: &Pair, taken: &mut Taken, corpus: &[Document]) -> usize {
    let before = taken.len();
    draw_random(params, pair, taken, corpus);
    taken.len() - before
}

/// Adds random documents, neither the positive nor one already taken, until the budget is met or the corpus is spent.
fn draw_random(params: &Params, pair: &Pair, taken: &mut Taken, corpus: &[Document]) {
    let mut used: BTreeSet<usize> = taken.iter().map(|(at, _)| *at).collect();
    used.extend(
        corpus
            .binary_search_by(|document| document.doc_id.cmp(&pair.doc_id))
            .ok(),
    );
    let mut stream = stream(params, pair, "random");
    while taken.len() < params.per_query as usize && used.len() < corpus.len() {
        let at = stream.below(corpus.len());
        if used.insert(at) {
            taken.push((at, "random"));
        }
    }
}

/// A stream of its own for each query, so that no query depends on another.
fn stream(params: &Params, pair: &Pair, name: &str) -> ablate_core::Stream {
    Seed::root(params.seed)
        .child("negatives")
        .child(name)
        .child(&pair.query_id)
        .stream()
}

fn triple(pair: &Pair, negative: &Document, source: &str) -> Triple {
    Triple {
        query_id: pair.query_id.clone(),
        query: pair.query.clone(),
        pos_id: pair.doc_id.clone(),
        pos_text: pair.text.clone(),
        neg_id: negative.doc_id.clone(),
        neg_text: negative.full_text(),
        source: source.into(),
    }
}

fn shortfall(pair: &Pair, found: usize, params: &Params) -> StageError {
    let message = format!(
        "the query `{}` has {found} candidates, {} are asked for",
        pair.query_id, params.per_query
    );
    StageError::with_help(message, "raise depth, or set on_shortfall to drop_query or fill")
}
