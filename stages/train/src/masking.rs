//! Which texts of a batch are no negatives of a query, though they stand among them.

use std::collections::{BTreeMap, BTreeSet};

use ablate_core::{StageError, rows::Triple};
use ablate_models::encoder::{Role, SentenceEncoder};
use candle_core::{Device, Tensor};

use crate::tokens::{Put, prompted, texts};

/// Likely false negatives: they count for nothing in the softmax of the query.
#[derive(Default)]
pub struct FalseNegatives<'a> {
    /// Queries and the positives of all their rows.
    known: BTreeSet<(&'a str, &'a str)>,
    guide: Option<Guide<'a>>,
}

/// A model that says which texts are closer to a query than its positive (GISTEmbed; Solatorio, 2024).
struct Guide<'a> {
    vectors: BTreeMap<Put<'a>, Vec<f32>>,
    margin: f64,
}

impl<'a> FalseNegatives<'a> {
    /// The positives that a query has in other rows.
    #[must_use]
    pub fn known(mut self, rows: &'a [Triple]) -> Self {
        self.known = rows
            .iter()
            .map(|row| (row.query.as_str(), row.pos_text.as_str()))
            .collect();
        self
    }

    /// Texts whose cosine with the query, by another encoder, is above that of the positive less `margin` (sentence-transformers'
    /// `GISTEmbedLoss`, among queries and their candidates). `progress` hears how many texts are encoded.
    ///
    /// # Errors
    /// If a text cannot be encoded, or `progress` says so.
    pub fn guided(
        mut self,
        encoder: &SentenceEncoder,
        rows: &'a [Triple],
        margin: f64,
        progress: &dyn Fn(usize, usize) -> Result<(), StageError>,
    ) -> Result<Self, StageError> {
        let texts = texts(rows);
        let vectors = encoder.encode(&prompted(encoder, &texts), 32, progress)?;
        let rows = vectors.rows().map(<[f32]>::to_vec);
        self.guide = Some(Guide {
            vectors: texts.into_iter().zip(rows).collect(),
            margin,
        });
        Ok(self)
    }

    /// What is added to the scores of a batch, `(b, 2b)`: 0, or −∞ where the candidate is no negative of the query. Candidates are
    /// the positives, then the negatives. `None` if all of them count.
    pub(crate) fn mask(&self, batch: &[&Triple], device: &Device) -> candle_core::Result<Option<Tensor>> {
        let positives = batch.iter().map(|row| row.pos_text.as_str());
        let candidates: Vec<&str> = positives
            .chain(batch.iter().map(|row| row.neg_text.as_str()))
            .collect();
        let mut mask = Vec::with_capacity(batch.len() * candidates.len());
        for (at, row) in batch.iter().enumerate() {
            let counts = |(place, text): (usize, &&str)| place == at || !self.is_false(row, text);
            let added = |counts: bool| if counts { 0.0 } else { f32::NEG_INFINITY };
            mask.extend(candidates.iter().enumerate().map(counts).map(added));
        }
        if mask.iter().all(|added| *added == 0.0) {
            return Ok(None);
        }
        Tensor::from_vec(mask, (batch.len(), candidates.len()), device).map(Some)
    }

    fn is_false(&self, row: &Triple, text: &str) -> bool {
        let guide = |guide: &Guide<'_>| {
            guide.cosine(&row.query, text) > guide.cosine(&row.query, &row.pos_text) - guide.margin
        };
        self.known.contains(&(row.query.as_str(), text)) || self.guide.as_ref().is_some_and(guide)
    }
}

impl Guide<'_> {
    fn cosine(&self, query: &str, document: &str) -> f64 {
        let [a, b] =
            [(Role::Query, query), (Role::Document, document)].map(|text| self.vectors[&text].as_slice());
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn triple(query: &str, positive: &str, negative: &str) -> Triple {
        Triple {
            query_id: query.into(),
            query: query.into(),
            pos_id: positive.into(),
            pos_text: positive.into(),
            neg_id: negative.into(),
            neg_text: negative.into(),
            source: "test".into(),
        }
    }

    #[test]
    fn a_positive_of_another_row_is_no_negative() {
        let rows = [
            triple("a", "x", "u"),
            triple("a", "y", "v"),
            triple("b", "z", "y"),
        ];
        let known = FalseNegatives::default().known(&rows);
        let mask = known.mask(&[&rows[0], &rows[2]], &Device::Cpu).unwrap().unwrap();
        let none = f32::NEG_INFINITY;
        // x, z, u, y: `y` is a positive of `a` in the second row.
        let expected = [[0.0, 0.0, 0.0, none], [0.0, 0.0, 0.0, 0.0]];
        assert_eq!(mask.to_vec2::<f32>().unwrap(), expected);
        assert!(known.mask(&[&rows[1]], &Device::Cpu).unwrap().is_none());
        let all = FalseNegatives::default();
        assert!(all.mask(&[&rows[0], &rows[2]], &Device::Cpu).unwrap().is_none());
    }
}
