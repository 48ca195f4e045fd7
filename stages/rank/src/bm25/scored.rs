//! A list of postings on its way through the documents, each with what its term adds to the score.

use super::{norms::Norms, window::Window};
use crate::{
    index::{BLOCK, List, Unpacked},
    similarity::{Bm25, Variant, saturated},
};

/// What a term adds at most, per unit of its weight, and how far the rounding of single steps may go beyond: a few
/// 2^-24 of the weight, whatever the variant.
pub(crate) const SLACK: f64 = 1e-6;

/// So many candidates in a block make it cheaper to add all of it than to look for them.
const MANY: usize = 32;

/// One term of a query in one field.
pub(crate) struct Scored<'a> {
    list: List<'a>,
    /// The largest gain in each block for a weight of 1.
    bounds: &'a [f32],
    norms: &'a Norms,
    bm25: Bm25,
    weight: f32,
    /// No document gains more.
    pub(crate) bound: f64,
    /// The block at hand, and how far it is known.
    at: usize,
    known: Known,
    block: Box<Block>,
    /// The first posting of the block that has not been added.
    place: usize,
}

/// What is known of a block.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Known {
    Nothing,
    Postings,
    Gains,
}

/// The postings of a block and what they gain; apart, so that lists are cheap to sort.
struct Block {
    postings: Unpacked,
    gains: [f32; BLOCK],
}

impl<'a> Scored<'a> {
    /// A list before its first document; `bound` is the largest of `bounds`.
    pub(crate) fn new(
        list: List<'a>,
        bounds: &'a [f32],
        bound: f32,
        norms: &'a Norms,
        bm25: Bm25,
        weight: f32,
    ) -> Self {
        Self {
            list,
            bounds,
            norms,
            bm25,
            weight,
            bound: f64::from(weight) * (f64::from(bound) + SLACK),
            at: 0,
            known: Known::Nothing,
            block: Box::new(Block {
                postings: Unpacked::new(),
                gains: [0.0; BLOCK],
            }),
            place: 0,
        }
    }

    /// How many documents it holds.
    pub(crate) fn count(&self) -> usize {
        self.list.count as usize
    }

    /// The share of all documents that it holds.
    pub(crate) fn density(&self) -> f64 {
        self.list.density()
    }

    /// A document from `from` on that no other of the list is before; `None` if there is none.
    pub(crate) fn next(&mut self, from: u32) -> Option<u32> {
        self.skip_to(from);
        if self.known >= Known::Postings {
            let left = &self.block.postings.documents()[self.place..];
            self.place += left.partition_point(|document| *document < from);
            if let Some(next) = self.block.postings.documents().get(self.place) {
                return Some(*next);
            }
            self.next_block();
        }
        (self.at < self.list.blocks()).then(|| self.list.first(self.at).max(from))
    }

    /// What a document of `from..to` gains at most; none before `from` is asked for again.
    pub(crate) fn bound_within(&mut self, from: u32, to: u32) -> f64 {
        self.skip_to(from);
        let (mut at, mut most) = (self.at, 0.0f32);
        while at < self.bounds.len() && self.list.first(at) < to {
            most = most.max(self.bounds[at]);
            at += 1;
        }
        if at == self.at {
            return 0.0;
        }
        f64::from(self.weight) * (f64::from(most) + SLACK)
    }

    /// Goes to the block where `document` would be.
    fn skip_to(&mut self, document: u32) {
        while self.at < self.list.blocks() && self.list.last(self.at) < document {
            self.next_block();
        }
    }

    fn next_block(&mut self) {
        self.at += 1;
        self.known = Known::Nothing;
        self.place = 0;
    }

    /// Goes back before the first document.
    pub(crate) fn rewind(&mut self) {
        self.at = 0;
        self.known = Known::Nothing;
        self.place = 0;
    }

    fn unpack(&mut self) {
        if self.known < Known::Postings {
            self.list.unpack(self.at, &mut self.block.postings);
            self.known = Known::Postings;
        }
    }

    fn open(&mut self) {
        self.unpack();
        if self.known < Known::Gains {
            let Block { postings, gains } = &mut *self.block;
            gains_of(postings, self.norms, self.bm25, self.weight, gains);
            self.known = Known::Gains;
        }
    }

    /// Adds what the documents of a window gain.
    pub(crate) fn add(&mut self, window: &mut Window) {
        self.skip_to(window.from);
        while self.at < self.list.blocks() && self.list.first(self.at) < window.to {
            if !self.add_block(window, Window::add) {
                return;
            }
        }
    }

    /// Adds what `candidates` gain: the places, going up, of all documents that have gained.
    pub(crate) fn add_at(&mut self, candidates: &[u16], window: &mut Window) {
        let mut left = candidates;
        while let [first, ..] = left {
            self.skip_to(window.document(*first));
            if self.at >= self.list.blocks() {
                return;
            }
            let last = self.list.last(self.at);
            let (here, behind) = left.split_at(left.partition_point(|at| window.document(*at) <= last));
            if here.len() < MANY {
                self.add_few(here, window);
            } else {
                self.add_block(window, Window::add_more);
            }
            left = behind;
        }
    }

    /// Adds what `candidates` gain, which would be in the block at hand.
    fn add_few(&mut self, candidates: &[u16], window: &mut Window) {
        self.unpack();
        let mut from = self.place;
        for at in candidates {
            let document = window.document(*at);
            let postings = &self.block.postings;
            from += postings.documents()[from..].partition_point(|other| *other < document);
            if postings.documents().get(from) == Some(&document) {
                window.add_one(*at, self.gain(from));
            }
        }
    }

    /// What the posting at a place of the block at hand gains.
    fn gain(&self, place: usize) -> f32 {
        let Block { postings, gains } = &*self.block;
        if self.known == Known::Gains {
            return gains[place];
        }
        let norm = self.norms.of_one(postings.documents[place]);
        let frequency = (postings.frequencies[place] as i32 + 1) as f32;
        self.bm25.gain(self.weight, frequency, norm)
    }

    /// Adds the block at hand as far as it lies within the window; whether it ended there.
    fn add_block(&mut self, window: &mut Window, add: fn(&mut Window, &[u32], &[f32])) -> bool {
        self.open();
        let (documents, gains) = (self.block.postings.documents(), &self.block.gains);
        let start = self.place + documents[self.place..].partition_point(|document| *document < window.from);
        let end = match documents.last() {
            Some(last) if *last < window.to => documents.len(),
            _ => start + documents[start..].partition_point(|document| *document < window.to),
        };
        add(window, &documents[start..end], &gains[start..end]);
        self.place = end;
        let ended = end == documents.len();
        if ended {
            self.next_block();
        }
        ended
    }

    /// Adds what every document gains to `scores`, by number.
    pub(crate) fn add_all(&mut self, scores: &mut [f64]) {
        while self.at < self.list.blocks() {
            self.open();
            let postings = self.block.postings.documents().iter().zip(&self.block.gains);
            postings.for_each(|(document, gain)| scores[*document as usize] += f64::from(*gain));
            self.next_block();
        }
    }

    /// What one document gains.
    pub(crate) fn gain_of(&mut self, document: u32) -> f64 {
        self.skip_to(document);
        if self.at >= self.list.blocks() {
            return 0.0;
        }
        self.unpack();
        let found = self.block.postings.documents().binary_search(&document);
        found.map_or(0.0, |place| f64::from(self.gain(place)))
    }
}

/// What the postings of a block gain.
pub(crate) fn gains_of(block: &Unpacked, norms: &Norms, bm25: Bm25, weight: f32, into: &mut [f32; BLOCK]) {
    let mut of_block = [0.0; BLOCK];
    norms.of(block, &mut of_block);
    // Frequencies fit i32, whose conversion vectorises.
    let postings = into.iter_mut().zip(&block.frequencies).zip(&of_block);
    if bm25.variant == Variant::Bm25l {
        postings.for_each(|((gain, less), norm)| *gain = bm25.gain(weight, (*less as i32 + 1) as f32, *norm));
    } else {
        postings.for_each(|((gain, less), norm)| *gain = saturated(weight, (*less as i32 + 1) as f32 * norm));
    }
}
