//! The scores of a few thousand neighbouring documents while they are added up.

/// Documents of a window: their sums fit the nearest caches.
pub(crate) const WINDOW: usize = GROUP * u64::BITS as usize;

/// Documents of a group: what is looked at and cleared at once.
const GROUP: usize = 64;

/// Sums by place in the window.
pub(crate) struct Window {
    sums: Vec<f64>,
    /// A bit for each group with a sum.
    touched: u64,
}

impl Window {
    pub(crate) fn new() -> Self {
        Self {
            sums: vec![0.0; WINDOW],
            touched: 0,
        }
    }

    /// Adds the gains of documents, the window beginning at `from`.
    pub(crate) fn add(&mut self, from: u32, documents: &[u32], gains: &[f32]) {
        let mut touched = self.touched;
        // So long for the compiler, too: no place is out of it.
        let sums = &mut self.sums[..WINDOW];
        for (document, gain) in documents.iter().zip(gains) {
            let at = (document - from) as usize % WINDOW;
            sums[at] += f64::from(*gain);
            touched |= 1 << (at / GROUP);
        }
        self.touched = touched;
    }

    /// The sum at a place.
    pub(crate) fn sum(&self, at: u16) -> f64 {
        self.sums[usize::from(at) % WINDOW]
    }

    /// The places whose sum is more than `least`, which is not below 0.
    pub(crate) fn above(&self, least: f64, into: &mut Vec<u16>) {
        into.clear();
        let mut left = self.touched;
        while left != 0 {
            let group = left.trailing_zeros() as usize * GROUP;
            left &= left - 1;
            for (eight, sums) in (group..)
                .step_by(8)
                .zip(self.sums[group..group + GROUP].chunks_exact(8))
            {
                // One comparison of all eight first: most have none. Then without a branch: nobody can foretell which.
                if sums.iter().filter(|sum| **sum > least).count() == 0 {
                    continue;
                }
                let (mut places, mut count) = ([0; 8], 0);
                for (at, sum) in (eight..).zip(sums) {
                    places[count % 8] = at as u16;
                    count += usize::from(*sum > least);
                }
                into.extend_from_slice(&places[..count]);
            }
        }
    }

    /// Sets all sums to 0.
    pub(crate) fn clear(&mut self) {
        while self.touched != 0 {
            let group = self.touched.trailing_zeros() as usize;
            self.touched &= self.touched - 1;
            self.sums[group * GROUP..][..GROUP].fill(0.0);
        }
    }
}
