//! The best documents of a query without looking at all of them: MaxScore (Turtle and Flood 1995) over the bounds of
//! blocks (Mallia et al. 2017, Lucene's MaxScoreBulkScorer), a window of documents at a time.
//!
//! Terms are added in the order of their bounds, the largest first, so that the terms that a window leaves out are
//! always the last ones: whatever is left out, a sum is made in the same order, and rounds to the same bits.

use super::{
    scored::Scored,
    top::Top,
    window::{WINDOW, Window},
};

/// Memory that one search leaves to the next.
pub(crate) struct Scratch {
    window: Window,
    candidates: Vec<u16>,
    rests: Vec<f64>,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self {
            window: Window::new(),
            candidates: Vec::new(),
            rests: Vec::new(),
        }
    }
}

/// Puts lists in the order in which gains are added.
pub(crate) fn sort(lists: &mut [Scored<'_>]) {
    // Stable: equal bounds stay in the order of fields and terms.
    lists.sort_by(|a, b| b.bound.total_cmp(&a.bound));
}

/// The best `depth` documents with their scores, `floor` included, which every document has; without a gain above 0 a
/// document is no hit.
pub(crate) fn search(
    lists: &mut [Scored<'_>],
    floor: f64,
    depth: usize,
    scratch: &mut Scratch,
) -> Vec<(u32, f32)> {
    sort(lists);
    let mut top = Top::new(depth);
    let bounds: Vec<f64> = lists.iter().map(|list| list.bound).collect();
    let (mut rests, mut reached) = (Vec::new(), 0);
    loop {
        let needed = needed(top.least(), floor, lists.len());
        rest_sums(bounds.iter().copied(), &mut rests);
        let essential = essential(&rests, needed);
        let next = lists[..essential]
            .iter_mut()
            .filter_map(|list| list.next(reached));
        let Some(from) = next.min() else {
            return top.finish();
        };
        search_window(lists, from, floor, &mut top, scratch);
        reached = from.saturating_add(WINDOW as u32);
    }
}

/// What the gains of a document must sum to more than, so that its score is above `least`: somewhat less than the
/// difference, because sums are rounded at every step.
fn needed(least: f32, floor: f64, steps: usize) -> f64 {
    let rounding = (steps + 4) as f64 * f64::EPSILON;
    (f64::from(least) * (1.0 - rounding) - floor).max(0.0)
}

/// For each list, the sum of the bounds from it on; 0 behind the last.
fn rest_sums(bounds: impl DoubleEndedIterator<Item = f64>, into: &mut Vec<f64>) {
    into.clear();
    into.push(0.0);
    let mut sum = 0.0;
    for bound in bounds.rev() {
        sum += bound;
        into.push(sum);
    }
    into.reverse();
}

/// How many lists a document must have one of to gain more than `needed`.
fn essential(rests: &[f64], needed: f64) -> usize {
    rests
        .iter()
        .position(|rest| *rest <= needed)
        .unwrap_or(rests.len())
}

/// Offers the documents of the window that begins at `from`.
fn search_window(lists: &mut [Scored<'_>], from: u32, floor: f64, top: &mut Top, scratch: &mut Scratch) {
    let Scratch {
        window,
        candidates,
        rests,
    } = scratch;
    let to = from.saturating_add(WINDOW as u32);
    let needed = needed(top.least(), floor, lists.len());
    rest_sums(lists.iter_mut().map(|list| list.bound_within(from, to)), rests);
    let essential = essential(rests, needed);
    for list in &mut lists[..essential] {
        list.add(from, to, window);
    }
    window.above((needed - rests[essential]).max(0.0), candidates);
    for (list, rest) in lists[essential..].iter_mut().zip(&rests[essential + 1..]) {
        if candidates.is_empty() {
            break;
        }
        list.add_at(candidates, from, to, window);
        candidates.retain(|at| window.sum(*at) + rest > needed);
    }
    for at in candidates.iter() {
        top.offer(from + u32::from(*at), (floor + window.sum(*at)) as f32);
    }
    window.clear();
}
