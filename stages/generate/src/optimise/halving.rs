//! Successive halving: many candidates on few documents, the better half on twice as many, until the last ones are compared on all
//! (Karnin et al. 2013; Jamieson and Talwalkar 2016).

use std::ops::Range;

use ablate_core::StageError;

/// A rung of the search. The candidate at place 0 comes to every rung, beside the best, so that the gain over it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rung {
    /// Candidates that come to it.
    candidates: usize,
    /// Documents they have been tried on when they leave it.
    documents: usize,
}

/// What becomes of a candidate on a rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Kept,
    Dropped,
    Chosen,
}

impl Outcome {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Dropped => "dropped",
            Self::Chosen => "chosen",
        }
    }
}

/// A candidate on a rung.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    pub(super) candidate: usize,
    pub(super) rung: usize,
    pub(super) documents: usize,
    /// Mean worth over these documents.
    pub(super) score: f64,
    pub(super) outcome: Outcome,
}

/// All candidates on `first` documents, then half of the candidates on twice the documents, to all of the documents.
pub(super) fn rungs(candidates: usize, documents: usize, first: usize) -> Vec<Rung> {
    let mut rung = Rung {
        candidates,
        documents: first.clamp(1, documents.max(1)),
    };
    let mut rungs = vec![rung];
    while rung.documents < documents {
        rung = Rung {
            candidates: rung.candidates.div_ceil(2),
            documents: (2 * rung.documents).min(documents),
        };
        rungs.push(rung);
    }
    rungs
}

/// Texts that a search writes at most.
pub(super) fn texts(rungs: &[Rung]) -> usize {
    let first = rungs.first().map_or(0, |rung| rung.candidates * rung.documents);
    let more = |pair: &[Rung]| (pair[1].candidates + 1) * (pair[1].documents - pair[0].documents);
    first + rungs.windows(2).map(more).sum::<usize>()
}

/// Searches candidates whose prompts have these lengths; `worths` tries one on documents it has not seen. Of equal scores the shorter
/// prompt is the better, then the earlier one.
///
/// # Errors
/// Those of `worths`.
pub(super) fn search(
    tokens: &[usize],
    rungs: &[Rung],
    mut worths: impl FnMut(usize, Range<usize>) -> Result<Vec<f64>, StageError>,
) -> Result<Vec<Step>, StageError> {
    let (mut left, mut sums): (Vec<usize>, _) = ((0..tokens.len()).collect(), vec![0.0; tokens.len()]);
    let (mut seen, mut steps) = (0, Vec::new());
    for (number, rung) in rungs.iter().enumerate() {
        for candidate in &left {
            sums[*candidate] += worths(*candidate, seen..rung.documents)?.iter().sum::<f64>();
        }
        seen = rung.documents;
        let rank = |candidate: &usize| (tokens[*candidate], *candidate);
        left.sort_by(|a, b| sums[*b].total_cmp(&sums[*a]).then(rank(a).cmp(&rank(b))));
        let next = rungs.get(number + 1).map(|rung| rung.candidates);
        for (place, candidate) in left.iter().enumerate() {
            steps.push(Step {
                candidate: *candidate,
                rung: number,
                documents: seen,
                score: sums[*candidate] / seen as f64,
                outcome: outcome(place, *candidate, next),
            });
        }
        let stays = |step: &Step| (step.outcome == Outcome::Kept).then_some(step.candidate);
        left = steps[steps.len() - left.len()..]
            .iter()
            .filter_map(stays)
            .collect();
    }
    Ok(steps)
}

/// Of the candidate at a place, best first; `next` are the places of the next rung, if there is one.
fn outcome(place: usize, candidate: usize, next: Option<usize>) -> Outcome {
    match next {
        Some(places) if place < places || candidate == 0 => Outcome::Kept,
        None if place == 0 => Outcome::Chosen,
        _ => Outcome::Dropped,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shape(candidates: usize, documents: usize, first: usize) -> Vec<(usize, usize)> {
        let rungs = rungs(candidates, documents, first);
        rungs
            .iter()
            .map(|rung| (rung.candidates, rung.documents))
            .collect()
    }

    #[test]
    fn half_go_on_to_twice_the_documents() {
        assert_eq!(shape(16, 64, 8), [(16, 8), (8, 16), (4, 32), (2, 64)]);
        assert_eq!(shape(5, 11, 4), [(5, 4), (3, 8), (2, 11)]);
        assert_eq!(shape(3, 4, 4), [(3, 4)]);
        assert_eq!(shape(2, 9, 20), [(2, 9)]);
    }

    /// Candidate `at` is worth `at / 10` on every document, but for candidate 1, which is lucky on the first two.
    fn worth(at: usize, document: usize) -> f64 {
        match (at, document) {
            (1, 0 | 1) => 1.0,
            _ => at as f64 / 10.0,
        }
    }

    #[test]
    fn the_best_on_all_documents_is_chosen_and_nothing_is_tried_twice() {
        let (mut tried, rungs) = (Vec::new(), rungs(6, 8, 2));
        let steps = search(&[9; 6], &rungs, |at, documents| {
            tried.extend(documents.clone().map(|document| (at, document)));
            Ok(documents.map(|document| worth(at, document)).collect())
        })
        .unwrap();
        let of = |rung| -> Vec<(usize, &str)> {
            let steps = steps.iter().filter(|step| step.rung == rung);
            steps.map(|step| (step.candidate, step.outcome.word())).collect()
        };
        let (kept, dropped) = ("kept", "dropped");
        assert_eq!(
            of(0),
            [
                (1, kept),
                (5, kept),
                (4, kept),
                (3, dropped),
                (2, dropped),
                (0, kept)
            ]
        );
        assert_eq!(of(1), [(1, kept), (5, kept), (4, dropped), (0, kept)]);
        assert_eq!(of(2), [(5, "chosen"), (1, dropped), (0, dropped)]);
        let last = steps.iter().find(|step| step.outcome == Outcome::Chosen).unwrap();
        assert_eq!((last.documents, (last.score * 1e6).round()), (8, 500_000.0));
        let count = tried.len();
        tried.sort_unstable();
        tried.dedup();
        assert_eq!(tried.len(), count);
        assert!(count <= texts(&rungs), "{count}");
    }

    #[test]
    fn of_equals_the_shorter_prompt_is_chosen() {
        let chosen = |tokens: &[usize]| {
            let all = rungs(tokens.len(), 2, 2);
            let steps = search(tokens, &all, |_, documents| Ok(vec![0.5; documents.len()])).unwrap();
            steps
                .iter()
                .find(|step| step.outcome == Outcome::Chosen)
                .unwrap()
                .candidate
        };
        assert_eq!(chosen(&[30, 20, 25]), 1);
        assert_eq!(chosen(&[30, 20, 20]), 1);
    }
}
