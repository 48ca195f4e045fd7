//! The documents that negatives are taken from, ranked for each pair.

use std::collections::{BTreeMap, BTreeSet};

use ablate_core::{
    Io, StageError,
    rows::{Document, Hit, Pair},
};
use ablate_models::encoder::Role;

use super::{Origin, Params, pool::Pool};
use crate::{
    bm25::Searcher,
    dense::{Encoding, Match, Reading, dot, search},
    index::{Index, Scheme},
    scoring,
    similarity::Bm25,
};

/// Places in the corpus, best first, of one pair; never a positive of its query.
type Ranked = Vec<usize>;
/// The same with their scores.
type Scored = Vec<(usize, f32)>;

/// At most `depth` candidates of each pair; none for random negatives.
pub(super) fn candidates(
    params: &Params,
    pairs: &[Pair],
    pool: &Pool<'_>,
    io: &Io<'_>,
) -> Result<Vec<Ranked>, StageError> {
    match params.source {
        Origin::Random => Ok(vec![vec![]; pairs.len()]),
        Origin::Bm25 => lexical(params, pairs, pool, io),
        Origin::Dense => dense(params, pairs, pool, io),
        Origin::CrossEncoder => reranked(params, pairs, pool, io),
    }
}

fn lexical(params: &Params, pairs: &[Pair], pool: &Pool<'_>, io: &Io<'_>) -> Result<Vec<Ranked>, StageError> {
    let index = Index::of_stage(io, io.parts("corpus")?, &Scheme::default())?;
    let searcher = Searcher::new(index, Bm25::lucene(params.k1 as f32, params.b as f32), &[]);
    // Queries that read the same are searched once.
    let distinct: BTreeSet<&str> = pairs.iter().map(|pair| pair.query.as_str()).collect();
    let asked: Vec<&str> = distinct.iter().copied().collect();
    // More ranks than are asked for: positives may be among them.
    let found = searcher.search_texts(&asked, params.depth as usize + pool.most_positives());
    let found: BTreeMap<&str, Vec<(u32, f32)>> = distinct.into_iter().zip(found).collect();
    let of_pair = |pair: &Pair| {
        let hits = found[pair.query.as_str()].iter().map(|(at, _)| *at as usize);
        others(params, pair, pool, hits)
    };
    Ok(pairs.iter().map(of_pair).collect())
}

/// The first `depth` of these places that may be negatives.
fn others(params: &Params, pair: &Pair, pool: &Pool<'_>, places: impl Iterator<Item = usize>) -> Ranked {
    let others = places.filter(|at| pool.allows(pair, *at));
    others.take(params.depth as usize).collect()
}

/// By the cosine of vectors, within the margins.
fn dense(params: &Params, pairs: &[Pair], pool: &Pool<'_>, io: &Io<'_>) -> Result<Vec<Ranked>, StageError> {
    let reading = Reading {
        max_length: params.scoring.max_length,
        prefixes: params.prefixes.clone(),
        dim: None,
    };
    let encoding = Encoding::open(io, "scorer", &reading, params.scoring.batch)?;
    let documents: Vec<String> = pool.corpus.iter().map(Document::full_text).collect();
    let documents = encoding.units(Role::Document, &documents)?;
    let queries: Vec<String> = pairs.iter().map(|pair| pair.query.clone()).collect();
    let queries = encoding.units(Role::Query, &queries)?;
    let positives: Vec<String> = pairs.iter().map(|pair| pair.text.clone()).collect();
    let positives = encoding.units(Role::Document, &positives)?;
    let depth = params.depth as usize + pool.most_positives();
    let found = search(&queries, &documents, depth).into_iter().zip(pairs);
    let others = |(found, pair): (Vec<Match>, &Pair)| -> Scored {
        let found = found.iter().map(|hit| (hit.document, hit.score));
        found
            .filter(|(at, _)| pool.allows(pair, *at))
            .take(params.depth as usize)
            .collect()
    };
    let positives = queries.rows().zip(positives.rows()).map(|(a, b)| dot(a, b));
    let scored = found.map(others).zip(positives);
    Ok(scored
        .map(|(scored, positive)| within_margins(params, scored, positive))
        .collect())
}

/// The pool in the order of the cross-encoder, within the margins.
fn reranked(
    params: &Params,
    pairs: &[Pair],
    pool: &Pool<'_>,
    io: &Io<'_>,
) -> Result<Vec<Ranked>, StageError> {
    let pools = match io.optional_rows::<Hit>("run")? {
        Some(run) => from_run(params, pairs, pool, run)?,
        None => lexical(params, pairs, pool, io)?,
    };
    let texts: Vec<String> = pool.corpus.iter().map(Document::full_text).collect();
    // Of each pair the positive, then its pool.
    let mut asked: Vec<(&str, &str)> = Vec::new();
    for (pair, ranked) in pairs.iter().zip(&pools) {
        asked.push((&pair.query, &pair.text));
        asked.extend(ranked.iter().map(|at| (pair.query.as_str(), texts[*at].as_str())));
    }
    let logits = scoring::logits(io, "scorer", &asked, &params.scoring)?;
    let mut scores = logits.into_iter().map(|logit| params.activation.apply(logit));
    let mut next = || {
        scores
            .next()
            .unwrap_or_else(|| unreachable!("a score for every pair that was asked"))
    };
    let of_pool = |ranked: Ranked| {
        let positive = next();
        let mut scored: Scored = ranked.into_iter().map(|at| (at, next())).collect();
        // A stable sort: ties stay in the order of the pool.
        scored.sort_by(|a, b| b.1.total_cmp(&a.1));
        within_margins(params, scored, positive)
    };
    Ok(pools.into_iter().map(of_pool).collect())
}

fn within_margins(params: &Params, scored: Scored, positive: f32) -> Ranked {
    let margins = params.margins;
    let kept = scored
        .into_iter()
        .filter(|(_, score)| margins.keep(*score, positive));
    kept.map(|(at, _)| at).collect()
}

/// The head of a run whose queries are those of the pairs.
fn from_run(
    params: &Params,
    pairs: &[Pair],
    pool: &Pool<'_>,
    run: Vec<Hit>,
) -> Result<Vec<Ranked>, StageError> {
    let places: BTreeMap<&str, usize> = pool
        .corpus
        .iter()
        .map(|document| document.doc_id.as_str())
        .zip(0..)
        .collect();
    let mut of_query: BTreeMap<String, Ranked> = BTreeMap::new();
    for hit in run {
        let place = places.get(hit.doc_id.as_str()).ok_or_else(|| {
            StageError::with_help(
                format!(
                    "the run names the document `{}`, which is not in the corpus",
                    hit.doc_id
                ),
                "connect the corpus that the run was made from",
            )
        })?;
        of_query.entry(hit.query_id).or_default().push(*place);
    }
    let of_pair = |pair: &Pair| {
        let hits = of_query.get(&pair.query_id).into_iter().flatten().copied();
        others(params, pair, pool, hits)
    };
    Ok(pairs.iter().map(of_pair).collect())
}
