//! The best of the documents that are offered.

/// Keeps the `depth` best of the documents offered to it: by score, equal scores by the lower number.
pub(crate) struct Top {
    depth: usize,
    /// Of documents: the bits of the score, then what is left of the number to its largest value, so that keys go as
    /// positive scores do and equal scores as lower numbers. No more than twice `depth`.
    keys: Vec<u64>,
    /// What a document must score more than to be among the best.
    least: f32,
}

impl Top {
    /// Of documents that score more than `least`.
    pub(crate) fn above(least: f32, depth: usize) -> Self {
        Self {
            depth,
            keys: Vec::with_capacity(depth.saturating_mul(2).min(1 << 16)),
            least,
        }
    }

    /// A document that scores no more than this, and is offered behind all others, is not among the best. Never below 0.
    pub(crate) fn least(&self) -> f32 {
        self.least
    }

    /// Offers a document; documents come in order, and those that score 0 are none.
    pub(crate) fn offer(&mut self, document: u32, score: f32) {
        if score > self.least {
            self.keys
                .push(u64::from(score.to_bits()) << 32 | u64::from(u32::MAX - document));
            if self.keys.len() >= self.depth.saturating_mul(2) {
                self.shrink();
            }
        }
    }

    /// Leaves the best; there are no fewer than `depth`.
    fn shrink(&mut self) {
        let (_, last, _) = self.keys.select_nth_unstable_by(self.depth - 1, |a, b| b.cmp(a));
        self.least = score(*last);
        self.keys.truncate(self.depth);
    }

    /// What the best score at the least; `None` if there are too few.
    pub(crate) fn reached(mut self) -> Option<f32> {
        (self.keys.len() >= self.depth).then(|| {
            self.shrink();
            self.least
        })
    }

    /// The best first.
    pub(crate) fn finish(mut self) -> Vec<(u32, f32)> {
        if self.keys.len() > self.depth {
            self.shrink();
        }
        self.keys.sort_unstable_by(|a, b| b.cmp(a));
        let hit = |key: u64| (u32::MAX - key as u32, score(key));
        self.keys.into_iter().map(hit).collect()
    }
}

fn score(key: u64) -> f32 {
    f32::from_bits((key >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_scores_go_by_the_lower_number() {
        for depth in 1..12 {
            let scores = [1.0, 3.0, 0.0, 3.0, 2.0, 1.0, 3.0, 0.5, 2.0];
            let mut top = Top::above(0.0, depth);
            let mut all: Vec<(u32, f32)> = (0..).zip(scores).collect();
            all.iter()
                .for_each(|(document, score)| top.offer(*document, *score));
            all.retain(|(_, score)| *score > 0.0);
            all.sort_by(|a, b| b.1.total_cmp(&a.1));
            all.truncate(depth);
            assert_eq!(top.finish(), all, "depth {depth}");
        }
    }
}
