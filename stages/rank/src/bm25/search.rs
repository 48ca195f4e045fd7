//! The best documents of a query without looking at all of them: MaxScore (Turtle and Flood 1995) over the bounds of
//! blocks (Mallia et al. 2017, Lucene's MaxScoreBulkScorer), a window of documents at a time.
//!
//! Terms are added in the order of their bounds, the largest first, so that the terms that a window leaves out are
//! always the last ones: whatever is left out, a sum is made in the same order, and rounds to the same bits.

use super::{
    scored::Scored,
    top::Top,
    window::{PLACES, WINDOW, Window},
};

/// Documents of the first window. Each has twice those of the one before, so that there is soon something to beat.
const FIRST: usize = 1 << 12;

/// Postings that the last and largest windows hold at the mean: enough that what a window takes as such counts little,
/// few enough that their sums stay in a near cache.
const POSTINGS: f64 = 4096.0;

/// Memory that one search leaves to the next.
pub(crate) struct Scratch {
    window: Window,
    /// Places of the window that can be among the best.
    places: Vec<u16>,
    rests: Vec<f64>,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self {
            window: Window::new(),
            places: vec![0; PLACES],
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
    let mut top = Top::above(foreseen(lists, floor, depth, scratch), depth);
    search_all(lists, floor, &mut top, scratch);
    top.finish()
}

/// A score that the best documents are above, known from the lists with the largest bounds where they are a small part
/// of all: what their documents gain in them alone is less than what they score. (Mallia et al., CIKM 2020, compare such
/// estimates.) Without it, what there is to beat is known only when most documents have gone by.
fn foreseen(lists: &mut [Scored<'_>], floor: f64, depth: usize, scratch: &mut Scratch) -> f32 {
    let all: usize = lists.iter().map(Scored::count).sum();
    let mut held = 0;
    let enough = |list: &Scored<'_>| {
        held += list.count();
        held >= depth
    };
    let Some(last) = lists.iter().position(enough) else {
        return 0.0;
    };
    if held > all / 2 {
        return 0.0;
    }
    let first = &mut lists[..=last];
    let mut top = Top::above(0.0, depth);
    search_all(first, floor, &mut top, scratch);
    first.iter_mut().for_each(Scored::rewind);
    // Those that score the same may be among the best, too.
    top.reached().map_or(0.0, f32::next_down)
}

/// Offers all documents that can be among the best.
fn search_all(lists: &mut [Scored<'_>], floor: f64, top: &mut Top, scratch: &mut Scratch) {
    let bounds: Vec<f64> = lists.iter().map(|list| list.bound).collect();
    let (mut rests, mut reached) = (Vec::new(), 0);
    let most = span(lists);
    let mut span = FIRST;
    loop {
        let needed = needed(top.least(), floor, lists.len());
        rest_sums(bounds.iter().copied(), &mut rests);
        let essential = essential(&rests, needed);
        let next = lists[..essential]
            .iter_mut()
            .filter_map(|list| list.next(reached));
        let Some(from) = next.min() else {
            return;
        };
        scratch.window.open(from, span);
        search_window(lists, floor, top, scratch);
        reached = scratch.window.to;
        span = (2 * span).min(most);
    }
}

/// Over how many documents about [`POSTINGS`] of the lists lie.
fn span(lists: &[Scored<'_>]) -> usize {
    let density: f64 = lists.iter().map(Scored::density).sum();
    ((POSTINGS / density) as usize).clamp(FIRST, WINDOW)
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

/// Offers the documents of the window.
fn search_window(lists: &mut [Scored<'_>], floor: f64, top: &mut Top, scratch: &mut Scratch) {
    let Scratch {
        window,
        places,
        rests,
    } = scratch;
    let (from, to) = (window.from, window.to);
    let needed = needed(top.least(), floor, lists.len());
    rest_sums(lists.iter_mut().map(|list| list.bound_within(from, to)), rests);
    let essential = essential(rests, needed);
    for list in &mut lists[..essential] {
        list.add(window);
    }
    let mut count = window.keep_above((needed - rests[essential]).max(0.0), places);
    for (list, rest) in lists[essential..].iter_mut().zip(&rests[essential + 1..]) {
        list.add_at(&places[..count], window);
        count = window.keep(*rest, needed, &mut places[..count]);
    }
    for at in &places[..count] {
        let document = window.document(*at);
        top.offer(document, (floor + window.take(*at)) as f32);
    }
}
