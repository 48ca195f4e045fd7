//! Scores of texts that are not in the index.

use super::{Searcher, norms, scored::SLACK};
use crate::index::Fields;

impl Searcher {
    /// The score that a document of this text would have for `query`, were it in the index and the statistics as they are. Where
    /// title and text are fields of their own, it has no title.
    pub(crate) fn score_of_text(&self, query: &str, text: &str) -> f32 {
        let terms = self.weights(text);
        let length: f32 = terms.values().sum();
        let untitled = usize::from(self.index.scheme().fields == Fields::Apart);
        let (mut floor, mut gains) = (0.0, Vec::new());
        for (at, ((field, statistics), scoring)) in self.index.fields().zip(&self.fields).enumerate() {
            let norm = norms::of_length(length as u32, self.bm25, statistics.average_length);
            for (term, weight) in self.weights(query) {
                let Some(place) = field.find(&term) else { continue };
                let weight = self.weight_of(weight, field.list(place).count, scoring);
                floor += f64::from(self.bm25.floor(weight));
                let bound = f64::from(weight) * (f64::from(scoring.list_bounds[place]) + SLACK);
                let frequency = terms.get(&term).filter(|_| at >= untitled);
                let gain = frequency.map_or(0.0, |often| self.bm25.gain(weight, *often, norm));
                gains.push((bound, f64::from(gain)));
            }
        }
        // In the order of a search, so that a text that is in the index has its score to the bit.
        gains.sort_by(|a, b| b.0.total_cmp(&a.0));
        (floor + gains.iter().map(|(_, gain)| gain).sum::<f64>()) as f32
    }
}
