//! The `negatives` stage: hard and random negatives for synthetic pairs.

mod candidates;
mod denoise;
mod margins;
mod mix;
mod pool;

use std::collections::BTreeSet;

use ablate_core::{
    ArtifactKind, Input, Io, Needs, Output, Ports, Problems, Seed, Slot, Stage, StageError,
    rows::{Document, Pair, Triple},
};
use ablate_models::{
    encoder::Prefixes,
    reranker::Activation,
    source::{ENCODER, MODEL_SOURCE, RERANKER, require_role},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    retrieve::{b, k1},
    scoring::Scoring,
};
use candidates::candidates;
use margins::Margins;
use pool::Pool;

pub use denoise::DenoiseNegatives;
pub use mix::MixNegatives;

/// Negatives for each query, never its positive.
pub struct Negatives;

/// Where negatives come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Origin {
    /// The ranks of BM25 for the query, as InPars.
    #[default]
    Bm25,
    /// The ranks of a sentence encoder for the query.
    Dense,
    /// The pool that BM25 or a given run finds, ranked by a cross-encoder or a monoT5.
    CrossEncoder,
    /// Any document.
    Random,
}

impl Origin {
    /// Its name in triples.
    fn name(self) -> &'static str {
        match self {
            Self::Bm25 => "bm25",
            Self::Dense => "dense",
            Self::CrossEncoder => "cross_encoder",
            Self::Random => "random",
        }
    }

    /// Whether a model scores the candidates.
    fn has_scores(self) -> bool {
        matches!(self, Self::Dense | Self::CrossEncoder)
    }
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
pub struct Params {
    /// Where negatives come from; those that a language model writes come from `negatives/llm`.
    #[serde(default)]
    source: Origin,
    /// How many ranks of BM25, of the encoder or of the given run are candidates; at least `per_query`.
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
    /// Bounds on the scores of candidates.
    #[serde(flatten)]
    margins: Margins,
    /// What a cross-encoder's scores are before margins are looked at.
    #[serde(default)]
    activation: Activation,
    /// How texts are put to the model.
    #[serde(flatten)]
    scoring: Scoring,
    /// What stands before texts of a sentence encoder.
    #[serde(flatten)]
    prefixes: Prefixes,
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
    const VERSION: u32 = 6;
    const ABOUT: &'static str = "hard (BM25, dense, cross-encoder) or random negatives for each query, never a positive of it nor a copy of one, equal budgets";
    const EXAMPLE: &'static str = "triples: {use: negatives, pairs: kept, corpus: data.corpus, source: bm25, depth: 100, per_query: 1, seed: 1}";
    const INPUTS: &'static [Input] = &[
        Input::of("pairs", ArtifactKind::Pairs).about("queries, each with the document it is about"),
        Input::of("corpus", ArtifactKind::Corpus).about("the documents negatives come from"),
        Input::of("scorer", ArtifactKind::Model)
            .or_source(&MODEL_SOURCE)
            .optional()
            .about("a sentence encoder for `source: dense`, a reranker for `source: cross_encoder`"),
        Input::of("run", ArtifactKind::Run)
            .optional()
            .about("the pool of `source: cross_encoder`, instead of BM25's"),
    ];
    const OUTPUTS: &'static [Output] = &[Output::of("triples", ArtifactKind::Triples)
        .about("query, positive and negative; `per_query` rows a query")];
    const EXECUTION: &'static [&'static str] = &["batch"];
    const NUMERIC: &'static str = "f32";
    type Params = Params;

    fn needs(params: &Params) -> Needs {
        Needs {
            slot: if params.source.has_scores() {
                Slot::Device
            } else {
                Slot::Cpu
            },
            memory: Self::MEMORY,
        }
    }

    fn check(params: &Params, problems: &mut Problems) {
        problems.require(
            params.depth >= params.per_query,
            "depth",
            "must be at least per_query",
        );
        params.margins.check(params.source.has_scores(), problems);
    }

    fn check_ports(params: &Params, ports: &Ports<'_>, problems: &mut Problems) {
        let pooled = params.source == Origin::CrossEncoder || !ports.has("run");
        problems.require(
            pooled,
            "run",
            "is of use to `source: cross_encoder` only: leave it out",
        );
        let (role, what) = match params.source {
            Origin::Dense => (ENCODER, "a sentence encoder"),
            Origin::CrossEncoder => (RERANKER, "a cross-encoder or a monoT5"),
            Origin::Bm25 | Origin::Random => return,
        };
        problems.require(
            ports.has("scorer"),
            "source",
            format!("needs {what}: set `scorer`"),
        );
        require_role(role, "scorer", ports, problems);
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let pairs: Vec<Pair> = io.rows("pairs")?;
        let corpus: Vec<Document> = io.rows("corpus")?;
        let pool = Pool::of(&corpus, &pairs);
        let candidates = candidates(params, &pairs, &pool, io)?;
        let mut triples = Vec::new();
        let (mut dropped, mut filled) = (0, 0);
        for (pair, ranked) in pairs.iter().zip(candidates) {
            let mut taken = choose(params, pair, &ranked, &pool);
            if taken.len() < params.per_query as usize {
                match params.on_shortfall {
                    OnShortfall::DropQuery => {
                        dropped += 1;
                        continue;
                    }
                    OnShortfall::Error => return Err(shortfall(pair, taken.len(), params)),
                    OnShortfall::Fill => filled += fill(params, pair, &mut taken, &pool),
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

type Taken = Vec<(usize, &'static str)>;

fn choose(params: &Params, pair: &Pair, ranked: &[usize], pool: &Pool<'_>) -> Taken {
    let count = params.per_query as usize;
    if params.source == Origin::Random {
        let mut taken = Vec::new();
        draw_random(params, pair, &mut taken, pool);
        return taken;
    }
    let mut ranked = ranked.to_vec();
    if params.pick == Pick::Random {
        stream(params, pair, "pick").shuffle(&mut ranked);
    }
    ranked
        .into_iter()
        .take(count)
        .map(|at| (at, params.source.name()))
        .collect()
}

fn fill(params: &Params, pair: &Pair, taken: &mut Taken, pool: &Pool<'_>) -> usize {
    let before = taken.len();
    draw_random(params, pair, taken, pool);
    taken.len() - before
}

/// Adds random documents, neither a positive nor one already taken, until the budget is met or the corpus is spent.
fn draw_random(params: &Params, pair: &Pair, taken: &mut Taken, pool: &Pool<'_>) {
    let mut used: BTreeSet<usize> = taken.iter().map(|(at, _)| *at).collect();
    used.extend(pool.positives(pair));
    let mut stream = stream(params, pair, "random");
    while taken.len() < params.per_query as usize && used.len() < pool.corpus.len() {
        let at = stream.below(pool.corpus.len());
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
