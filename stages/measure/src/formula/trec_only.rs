//! Measures that trec_eval alone has. The source of a formula is its file of the name.

use super::{Ranking, discounted, interpolated, ratio};

/// What a grade gains.
fn gain(grade: i32) -> f64 {
    f64::from(grade.max(0))
}

fn gains(ranking: &Ranking<'_>) -> Vec<f64> {
    let grades = ranking.grades.iter();
    grades.map(|grade| grade.map_or(0.0, gain)).collect()
}

/// The gains of the best ranking there is, as far as they are above 0.
fn ideal(ranking: &Ranking<'_>) -> Vec<f64> {
    let best = ranking.pool.iter().map(|grade| gain(*grade));
    best.take_while(|gain| *gain > 0.0).collect()
}

/// The mean of interpolated precision at a recall of 0, 0.1 and so on to 1.
pub(super) fn eleven_points(ranking: &Ranking<'_>) -> f64 {
    let points = (0..=10).map(|tenths| interpolated(ranking, f64::from(tenths) / 10.0));
    points.sum::<f64>() / 11.0
}

/// Precision at a multiple of the number of relevant documents.
pub(super) fn precision_at_multiple(ranking: &Ranking<'_>, multiple: f64) -> f64 {
    let cutoff = (multiple * ranking.relevant() + 0.9) as usize;
    let top = &ranking.grades[..cutoff.min(ranking.grades.len())];
    ratio(ranking.hits(top), cutoff as f64)
}

/// A point for each relevant document found, and one off for each other.
pub(super) fn utility(ranking: &Ranking<'_>) -> f64 {
    2.0 * ranking.hits(ranking.grades) - ranking.grades.len() as f64
}

/// G with gains of 0 and 1.
pub(super) fn binary_g(ranking: &Ranking<'_>) -> f64 {
    let (mut others, mut sum) = (0.0_f64, 0.0);
    for grade in ranking.grades {
        if ranking.is_hit(*grade) {
            sum += 1.0 / (2.0 + others).log2();
        } else {
            others += 1.0;
        }
    }
    ratio(sum, ranking.relevant())
}

/// Gains, each discounted by how far the ranking is behind the best one there.
pub(super) fn normalised_gain(ranking: &Ranking<'_>) -> f64 {
    let ideal = ideal(ranking);
    let (mut behind, mut sum) = (0.0, 0.0);
    for (at, gain) in gains(ranking).into_iter().enumerate() {
        behind += ideal.get(at).copied().unwrap_or(0.0).max(1.0) - gain;
        sum += ratio(gain, (2.0 + behind).log2());
    }
    ratio(sum, ideal.iter().sum())
}

/// nDCG at each document that gains something, in the mean; one that was not found has that of the whole ranking.
pub(super) fn ndcg_at_relevant(ranking: &Ranking<'_>) -> f64 {
    let (gains, ideal) = (gains(ranking), ideal(ranking));
    let at = |depth: usize| ndcg_at(&gains, &ideal, depth);
    let found = gains.iter().enumerate().filter(|(_, gain)| **gain > 0.0);
    let found: Vec<f64> = found.map(|(place, _)| at(place + 1)).collect();
    let missed = ideal.len() - found.len();
    let sum = found.iter().sum::<f64>() + missed as f64 * at(usize::MAX);
    ratio(sum, ideal.len() as f64)
}

/// nDCG where the gains of the best ranking go down, in the mean; also of the whole ranking, where it goes on behind.
pub(super) fn ndcg_at_levels(ranking: &Ranking<'_>) -> f64 {
    if ranking.relevant() == 0.0 {
        return 0.0;
    }
    let (gains, ideal) = (gains(ranking), ideal(ranking));
    let ends = (1..=ideal.len()).filter(|end| ideal.get(*end) != Some(&ideal[end - 1]));
    let all = (gains.len() > ideal.len() + 1).then_some(usize::MAX);
    let values: Vec<f64> = ends
        .chain(all)
        .map(|depth| ndcg_at(&gains, &ideal, depth))
        .collect();
    values.iter().sum::<f64>() / values.len() as f64
}

/// nDCG of the first documents.
fn ndcg_at(gains: &[f64], ideal: &[f64], depth: usize) -> f64 {
    let dcg = |gains: &[f64]| discounted(gains.iter().copied().take(depth));
    ratio(dcg(gains), dcg(ideal))
}

/// What of rank-biased precision is not known: the ranks of documents nobody judged, and those behind the last.
pub(super) fn rank_biased_residual(ranking: &Ranking<'_>) -> f64 {
    const PERSISTENCE: f64 = 0.9;
    let (mut weight, mut sum) = (1.0, 0.0);
    for grade in ranking.grades {
        if is_unjudged(*grade) {
            sum += weight;
        }
        weight *= PERSISTENCE;
    }
    if sum == 0.0 {
        0.0
    } else {
        weight + (1.0 - PERSISTENCE) * sum
    }
}

/// The share of the first documents that nobody judged.
pub(super) fn unjudged(ranking: &Ranking<'_>) -> f64 {
    let count = ranking.top().iter().filter(|grade| is_unjudged(**grade)).count();
    ratio(count as f64, ranking.cutoff.unwrap_or(1) as f64)
}

fn is_unjudged(grade: Option<i32>) -> bool {
    grade.is_none_or(|grade| grade < 0)
}
