//! The scores of neighbouring documents while they are added up.

/// The most documents of a window. Places in it are `u16`.
pub(crate) const WINDOW: usize = 1 << 16;

/// Documents whose flags are a word.
const WORD: usize = u64::BITS as usize;

/// Sums by place in the window.
pub(crate) struct Window {
    /// Its first document.
    pub(crate) from: u32,
    /// The first document behind it.
    pub(crate) to: u32,
    sums: Vec<f64>,
    /// A bit for each document that something was added to.
    touched: Vec<u64>,
}

impl Window {
    pub(crate) fn new() -> Self {
        Self {
            from: 0,
            to: 0,
            sums: vec![0.0; WINDOW],
            touched: vec![0; WINDOW / WORD],
        }
    }

    /// Moves an empty window over `span` documents from `from` on, at most [`WINDOW`].
    pub(crate) fn open(&mut self, from: u32, span: usize) {
        self.from = from;
        self.to = from.saturating_add(span.min(WINDOW) as u32);
    }

    /// The document at a place.
    pub(crate) fn document(&self, at: u16) -> u32 {
        self.from + u32::from(at)
    }

    /// Adds the gains of documents, all within the window.
    pub(crate) fn add(&mut self, documents: &[u32], gains: &[f32]) {
        // So long for the compiler, too: no place is out of them.
        let (sums, touched) = (&mut self.sums[..WINDOW], &mut self.touched[..WINDOW / WORD]);
        for (document, gain) in documents.iter().zip(gains) {
            let at = (document - self.from) as usize % WINDOW;
            sums[at] += f64::from(*gain);
            touched[at / WORD] |= 1 << (at % WORD);
        }
    }

    /// The same for documents that have gained before; others stay at 0.
    pub(crate) fn add_more(&mut self, documents: &[u32], gains: &[f32]) {
        let sums = &mut self.sums[..WINDOW];
        for (document, gain) in documents.iter().zip(gains) {
            let sum = &mut sums[(document - self.from) as usize % WINDOW];
            *sum += if *sum > 0.0 { f64::from(*gain) } else { 0.0 };
        }
    }

    /// Adds the gain of one document.
    pub(crate) fn add_one(&mut self, at: u16, gain: f32) {
        self.sums[usize::from(at)] += f64::from(gain);
    }

    /// The sum at a place, which becomes 0.
    pub(crate) fn take(&mut self, at: u16) -> f64 {
        std::mem::take(&mut self.sums[usize::from(at)])
    }

    /// Puts the places whose sum is more than `least`, which is not below 0, at the front of `places`, and says how many
    /// they are; all other sums become 0. There is room for [`PLACES`].
    pub(crate) fn keep_above(&mut self, least: f64, places: &mut [u16]) -> usize {
        let count = self.take_touched(places);
        self.keep(0.0, least, &mut places[..count])
    }

    /// Puts the places of all documents that something was added to at the front of `places`, and says how many they are.
    fn take_touched(&mut self, places: &mut [u16]) -> usize {
        let words = ((self.to - self.from) as usize).div_ceil(WORD);
        let mut count = 0;
        for (start, words) in (0..).step_by(WORD).zip(self.touched[..words].chunks_mut(WORD)) {
            // Most words are empty where lists are short: they are passed over together.
            let mut filled = filled(words);
            while filled != 0 {
                let at = filled.trailing_zeros() as usize;
                filled &= filled - 1;
                count += put_places(
                    (start + at) * WORD,
                    std::mem::take(&mut words[at]),
                    &mut places[count..],
                );
            }
        }
        count
    }

    /// The same for places that were kept before: those whose sum and `rest` are more than `least` stay.
    pub(crate) fn keep(&mut self, rest: f64, least: f64, places: &mut [u16]) -> usize {
        // So long for the compiler, too: no place is out of them.
        let sums = &mut self.sums[..WINDOW];
        let mut count = 0;
        for from in 0..places.len() {
            let at = places[from];
            let sum = &mut sums[usize::from(at)];
            let stays = *sum + rest > least;
            // Not `if`: nobody can foretell where the compiler would jump.
            *sum = f64::from_bits(sum.to_bits() & u64::from(stays).wrapping_neg());
            places[count] = at;
            count += usize::from(stays);
        }
        count
    }
}

/// A bit for each of [`WORD`] words at most that is not 0.
fn filled(words: &[u64]) -> u64 {
    let bits = words.iter().enumerate();
    bits.fold(0, |filled, (at, word)| filled | u64::from(*word != 0) << at)
}

/// Puts the places of the bits of a word at the front of `places`, and says how many they are.
fn put_places(start: usize, mut bits: u64, places: &mut [u16]) -> usize {
    let mut count = 0;
    while bits != 0 {
        // Nobody can foretell how many bits are set: places are written by the group, and those too many written over.
        for _ in 0..GROUP {
            places[count] = (start + bits.trailing_zeros() as usize) as u16;
            count += usize::from(bits != 0);
            bits &= bits.wrapping_sub(1);
        }
    }
    count
}

/// Room for the places of a window, and for those written too many.
pub(crate) const PLACES: usize = WINDOW + WORD;

/// Places that are written together.
const GROUP: usize = 4;
