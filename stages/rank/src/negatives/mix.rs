//! The `negatives/mix` stage: negatives of several sources for the same queries, under one budget.

use std::collections::{BTreeMap, BTreeSet};

use ablate_core::{ArtifactKind, Input, Io, Output, Ports, Problems, Seed, Stage, StageError, rows::Triple};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::seed;

/// Mixes the negatives of two to six sources.
pub struct MixNegatives;

/// What to do with a query for which a source has too few negatives that no other has given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnShortfall {
    /// Leave the query out, so that every query has the same budget of the same mixture.
    #[default]
    DropQuery,
    /// Take more from the other sources; a query for which they have too few is left out.
    Fill,
    /// Fail.
    Error,
}

/// Parameters of `negatives/mix`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Negatives per query from each source, in the order of the ports; 1 each by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    take: Vec<u32>,
    /// Seed of the draw where a source has more than are taken.
    #[serde(default = "seed")]
    seed: u64,
    /// What to do with a query for which a source has too few.
    #[serde(default)]
    on_shortfall: OnShortfall,
}

impl Stage for MixNegatives {
    const NAME: &'static str = "negatives/mix";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "negatives of several sources for the same queries, so many of each a query";
    const EXAMPLE: &'static str =
        "mixed: {use: negatives/mix, first: triples, second: mined.triples, take: [1, 1]}";
    const INPUTS: &'static [Input] = &[
        Input::of("first", ArtifactKind::Triples)
            .about("negatives; one that others have too counts as this source's"),
        Input::of("second", ArtifactKind::Triples).about("others for the same queries"),
        Input::of("third", ArtifactKind::Triples)
            .optional()
            .about("others"),
        Input::of("fourth", ArtifactKind::Triples)
            .optional()
            .about("others"),
        Input::of("fifth", ArtifactKind::Triples)
            .optional()
            .about("others"),
        Input::of("sixth", ArtifactKind::Triples)
            .optional()
            .about("others"),
    ];
    const OUTPUTS: &'static [Output] = &[Output::of("triples", ArtifactKind::Triples)
        .about("query, positive and negative; each negative with the source it came from")];
    type Params = Params;

    fn check(params: &Params, problems: &mut Problems) {
        let some = params.take.is_empty() || params.take.iter().any(|count| *count > 0);
        problems.require(some, "take", "takes nothing");
    }

    fn check_ports(params: &Params, ports: &Ports<'_>, problems: &mut Problems) {
        let (numbers, sources) = (params.take.len(), ports.count());
        problems.require(
            numbers == 0 || numbers == sources,
            "take",
            format!(
                "{numbers} numbers for {sources} sources: give one number a source, in the order of the ports"
            ),
        );
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let mut sources: Vec<Vec<Triple>> = Vec::new();
        for port in Self::INPUTS {
            sources.extend(io.optional_rows(port.name)?);
        }
        let take = takes(params, sources.len());
        let queries = by_query(&sources);
        let (mut mixed, mut dropped) = (Vec::new(), 0);
        for (query, pools) in &queries {
            match mix(params, &take, *query, pools) {
                Ok(taken) => mixed.extend(taken.into_iter().cloned()),
                Err(short) if params.on_shortfall == OnShortfall::Error => {
                    return Err(shortfall(query.0, &short));
                }
                Err(_) => dropped += 1,
            }
        }
        if dropped > 0 {
            let all = queries.len();
            io.note(format!(
                "{dropped} of {all} queries had too few negatives of a source and were dropped"
            ));
        }
        io.put("triples", mixed)
    }
}

/// How many are taken of each source.
fn takes(params: &Params, sources: usize) -> Vec<usize> {
    if params.take.is_empty() {
        return vec![1; sources];
    }
    params.take.iter().map(|count| *count as usize).collect()
}

/// A query with one of its positives.
type Query<'a> = (&'a str, &'a str);
/// The negatives of one query, by source.
type Pools<'a> = Vec<Vec<&'a Triple>>;

fn by_query(sources: &[Vec<Triple>]) -> BTreeMap<Query<'_>, Pools<'_>> {
    let mut queries: BTreeMap<Query<'_>, Pools<'_>> = BTreeMap::new();
    for (at, source) in sources.iter().enumerate() {
        for triple in source {
            let query = (triple.query_id.as_str(), triple.pos_id.as_str());
            let pools = queries
                .entry(query)
                .or_insert_with(|| vec![vec![]; sources.len()]);
            pools[at].push(triple);
        }
    }
    queries
}

/// A source, by its place, with how many it was to give and had.
type Short = (usize, usize, usize);

/// The negatives of one query, or what it falls short of.
fn mix<'a>(
    params: &Params,
    take: &[usize],
    query: Query<'_>,
    pools: &Pools<'a>,
) -> Result<Vec<&'a Triple>, Short> {
    let mut used = BTreeSet::new();
    let (mut taken, mut left, mut short) = (Vec::new(), Vec::new(), None);
    for (at, (pool, count)) in pools.iter().zip(take).enumerate() {
        let mut drawn = pool.clone();
        stream(params, query, at).shuffle(&mut drawn);
        drawn.retain(|triple| !used.contains(triple.neg_id.as_str()));
        if drawn.len() < *count {
            short = short.or(Some((at, *count, drawn.len())));
        }
        let rest = drawn.split_off(drawn.len().min(*count));
        used.extend(drawn.iter().map(|triple| triple.neg_id.as_str()));
        taken.extend(drawn);
        left.extend(rest);
    }
    let budget: usize = take.iter().sum();
    if params.on_shortfall == OnShortfall::Fill {
        let new = left
            .into_iter()
            .filter(|triple| used.insert(triple.neg_id.as_str()));
        taken.extend(new.take(budget - taken.len()));
    }
    match short {
        Some(short) if taken.len() < budget => Err(short),
        _ => Ok(taken),
    }
}

/// A stream of its own for each query and source, so that no query depends on another.
fn stream(params: &Params, (query, positive): Query<'_>, source: usize) -> ablate_core::Stream {
    let root = Seed::root(params.seed).child("mix").child(&source.to_string());
    root.child(query).child(positive).stream()
}

fn shortfall(query: &str, (source, asked, had): &Short) -> StageError {
    let port = MixNegatives::INPUTS[*source].name;
    StageError::with_help(
        format!("the query `{query}` has {had} negatives of its own in `{port}`, {asked} are asked for"),
        "make more of them, or set on_shortfall to drop_query or fill",
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn triples(source: &str, negatives: &[&str]) -> Vec<Triple> {
        let triple = |negative: &&str| Triple {
            query_id: "q".into(),
            query: "a query".into(),
            pos_id: "p".into(),
            pos_text: "the positive".into(),
            neg_id: (*negative).into(),
            neg_text: format!("text of {negative}"),
            source: source.into(),
        };
        negatives.iter().map(triple).collect()
    }

    /// Ids and sources, in order, of what is taken.
    fn mixed(
        take: &[usize],
        on_shortfall: OnShortfall,
        sources: &[Vec<Triple>],
    ) -> Result<Vec<String>, Short> {
        let params = Params {
            take: vec![],
            seed: 3,
            on_shortfall,
        };
        let queries = by_query(sources);
        let taken = mix(&params, take, ("q", "p"), &queries[&("q", "p")])?;
        let mut taken: Vec<String> = taken
            .iter()
            .map(|t| format!("{} {}", t.neg_id, t.source))
            .collect();
        taken.sort();
        Ok(taken)
    }

    #[test]
    fn each_source_gives_its_number_and_no_document_comes_twice() {
        let sources = [triples("bm25", &["a", "b"]), triples("llm", &["b", "c", "d"])];
        let taken = mixed(&[2, 2], OnShortfall::DropQuery, &sources).unwrap();
        assert_eq!(taken, ["a bm25", "b bm25", "c llm", "d llm"]);
        let one = mixed(&[0, 3], OnShortfall::DropQuery, &sources).unwrap();
        assert_eq!(one, ["b llm", "c llm", "d llm"]);
    }

    #[test]
    fn a_query_short_of_a_source_is_told_or_filled_up() {
        let sources = [triples("bm25", &["a"]), triples("llm", &["a", "c", "d"])];
        assert_eq!(mixed(&[2, 2], OnShortfall::DropQuery, &sources), Err((0, 2, 1)));
        assert_eq!(
            mixed(&[2, 1], OnShortfall::Fill, &sources).unwrap(),
            ["a bm25", "c llm", "d llm"]
        );
        assert_eq!(
            mixed(&[2, 2], OnShortfall::Fill, &sources),
            Err((0, 2, 1)),
            "all sources together have 3"
        );
    }

    #[test]
    fn the_draw_is_of_the_seed_and_the_query() {
        let many: Vec<String> = (0..40).map(|n| format!("d{n:02}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let sources = [triples("bm25", &many), triples("random", &["z"])];
        let first = mixed(&[5, 1], OnShortfall::DropQuery, &sources).unwrap();
        assert_eq!(first, mixed(&[5, 1], OnShortfall::DropQuery, &sources).unwrap());
        assert_ne!(
            first[..5],
            ["d00 bm25", "d01 bm25", "d02 bm25", "d03 bm25", "d04 bm25"]
        );
    }
}
