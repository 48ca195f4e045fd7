//! The `negatives/denoise` stage: negatives that a cross-encoder takes for relevant are dropped.

use ablate_core::{
    ArtifactKind, Input, Io, Numeric, Output, Ports, Problems, Seed, Slot, Stage, StageError, rows::Triple,
};
use ablate_models::{
    reranker::Activation,
    source::{MODEL_SOURCE, RERANKER, require_role},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Pick, margins::Margins, seed};
use crate::scoring::{self, Scoring};

/// Drops likely false negatives (Qu et al. 2021, RocketQA, §4.2: a cross-encoder denoises what a retriever mined).
pub struct DenoiseNegatives;

/// Parameters of `negatives/denoise`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Params {
    /// What scores are before bounds are looked at.
    #[serde(default)]
    activation: Activation,
    /// The bounds.
    #[serde(flatten)]
    margins: Margins,
    /// Negatives kept per query, a query with fewer being left out; without it, all that remain.
    #[serde(default)]
    #[schemars(range(min = 1))]
    per_query: Option<usize>,
    /// Which of those that remain are kept.
    #[serde(default)]
    pick: Pick,
    /// Seed of the draw.
    #[serde(default = "seed")]
    seed: u64,
    /// How texts are put to the model.
    #[serde(flatten)]
    scoring: Scoring,
}

impl Stage for DenoiseNegatives {
    const NAME: &'static str = "negatives/denoise";
    const VERSION: u32 = 2;
    const ABOUT: &'static str = "negatives without those that a cross-encoder takes for relevant (RocketQA)";
    const EXAMPLE: &'static str = "clean: {use: negatives/denoise, triples: triples, scorer: ms-marco-minilm-l12, activation: sigmoid, max_score: 0.1}";
    const INPUTS: &'static [Input] = &[
        Input::of("triples", ArtifactKind::Triples).about("queries, each with its positives and negatives"),
        Input::of("scorer", ArtifactKind::Model)
            .or_source(&MODEL_SOURCE)
            .about("a cross-encoder or a monoT5"),
    ];
    const OUTPUTS: &'static [Output] =
        &[Output::of("triples", ArtifactKind::Triples)
            .about("the triples whose negative is within the bounds")];
    const EXECUTION: &'static [&'static str] = &["batch"];
    const SLOT: Slot = Slot::Device;
    const NUMERIC: Numeric = "f32";
    type Params = Params;

    fn check(params: &Params, problems: &mut Problems) {
        params.margins.check(true, problems);
        let bounded = params.margins.is_bounded();
        problems.require(
            bounded,
            "max_score",
            "or a margin is needed: without a bound nothing is dropped",
        );
    }

    fn check_ports(_: &Params, ports: &Ports<'_>, problems: &mut Problems) {
        require_role(RERANKER, "scorer", ports, problems);
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let triples: Vec<Triple> = io.rows("triples")?;
        let groups: Vec<&[Triple]> = triples
            .chunk_by(|a, b| (&a.query_id, &a.pos_id) == (&b.query_id, &b.pos_id))
            .collect();
        let scores = scores(params, &groups, io)?;
        let (mut kept, mut noisy, mut dropped) = (Vec::new(), 0, 0);
        for (group, scores) in groups.iter().zip(&scores) {
            let sound = sound(params, group, scores);
            noisy += group.len() - sound.len();
            match picked(params, sound) {
                Some(picked) => kept.extend(picked.into_iter().cloned()),
                None => dropped += 1,
            }
        }
        let all = triples.len();
        io.note(format!(
            "{noisy} of {all} negatives are out of bounds and were dropped"
        ));
        if dropped > 0 {
            let all = groups.len();
            io.note(format!(
                "{dropped} of {all} queries had too few left and were dropped"
            ));
        }
        io.put("triples", kept)
    }
}

/// Of each query, the score of its positive and then those of its negatives.
fn scores(params: &Params, groups: &[&[Triple]], io: &Io<'_>) -> Result<Vec<Vec<f32>>, StageError> {
    let texts = |group: &&'_ [Triple]| group.len() + 1;
    let counts: Vec<usize> = groups.iter().map(texts).collect();
    let mut pairs = Vec::with_capacity(counts.iter().sum());
    for group in groups {
        let query = group[0].query.as_str();
        pairs.push((query, group[0].pos_text.as_str()));
        pairs.extend(group.iter().map(|triple| (query, triple.neg_text.as_str())));
    }
    let logits = scoring::logits(io, "scorer", &pairs, &params.scoring)?;
    let mut scores = logits.into_iter().map(|logit| params.activation.apply(logit));
    Ok(counts
        .into_iter()
        .map(|count| scores.by_ref().take(count).collect())
        .collect())
}

/// A negative with its score.
type Scored<'a> = (&'a Triple, f32);

/// The negatives within the bounds.
fn sound<'a>(params: &Params, group: &'a [Triple], scores: &[f32]) -> Vec<Scored<'a>> {
    let margins = params.margins;
    let scored = group.iter().zip(scores[1..].iter().copied());
    scored
        .filter(|(_, score)| margins.keep(*score, scores[0]))
        .collect()
}

/// The budget of a query, or nothing if there are too few; without a budget all of them.
fn picked<'a>(params: &Params, mut sound: Vec<Scored<'a>>) -> Option<Vec<&'a Triple>> {
    let count = params.per_query.unwrap_or(sound.len());
    if sound.is_empty() || sound.len() < count {
        return None;
    }
    match params.pick {
        Pick::Top => sound.sort_by(|a, b| b.1.total_cmp(&a.1)),
        Pick::Random => {
            let query = &sound[0].0.query_id;
            Seed::root(params.seed)
                .child("denoise")
                .child(query)
                .stream()
                .shuffle(&mut sound);
        }
    }
    Some(sound.into_iter().take(count).map(|(triple, _)| triple).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn group() -> Vec<Triple> {
        let triple = |negative: usize| Triple {
            query_id: "q".into(),
            query: "a query".into(),
            pos_id: "p".into(),
            pos_text: "the positive".into(),
            neg_id: format!("n{negative}"),
            neg_text: "a negative".into(),
            source: "bm25".into(),
        };
        (0..4).map(triple).collect()
    }

    fn params(text: &str) -> Params {
        serde_json::from_str(text).unwrap()
    }

    fn ids(triples: &[&Triple]) -> Vec<String> {
        triples.iter().map(|triple| triple.neg_id.clone()).collect()
    }

    const SCORES: [f32; 5] = [0.9, 0.05, 0.85, 0.02, 0.08];

    #[test]
    fn likely_positives_go() {
        let (group, params) = (group(), params(r#"{"max_score": 0.1}"#));
        let sound = sound(&params, &group, &SCORES);
        assert_eq!(picked(&params, sound).unwrap().len(), 3);
    }

    #[test]
    fn the_hardest_of_the_rest_fill_the_budget_or_the_query_goes() {
        let group = group();
        let of = |count: usize| {
            params(&format!(
                r#"{{"absolute_margin": 0.1, "pick": "top", "per_query": {count}}}"#
            ))
        };
        let two = picked(&of(2), sound(&of(2), &group, &SCORES)).unwrap();
        assert_eq!(ids(&two), ["n3", "n0"]);
        assert!(picked(&of(4), sound(&of(4), &group, &SCORES)).is_none());
    }
}
