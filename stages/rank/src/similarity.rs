//! The formulas of BM25 in use. Names and variants: Kamphuis, de Vries, Boytsov and Lin, ECIR 2020.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which BM25.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// As Lucene computes it: document lengths in one byte.
    #[default]
    Lucene,
    /// Lucene's formula with exact document lengths.
    LuceneAccurate,
    /// Robertson et al. 1994, terms in more than half of the documents counting nothing.
    Robertson,
    /// ATIRE (Trotman, Jia and Crane 2012).
    Atire,
    /// BM25L (Lv and Zhai 2011): long documents are not penalised as much.
    Bm25l,
    /// BM25+ (Lv and Zhai 2011): each term that occurs has a lower bound.
    #[serde(rename = "bm25+")]
    Bm25Plus,
}

impl Variant {
    /// For fields whose default must not move the key.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A variant with its constants.
#[derive(Clone, Copy, Debug)]
pub struct Bm25 {
    /// Term frequency saturation.
    pub k1: f32,
    /// Length normalisation.
    pub b: f32,
    /// The formula.
    pub variant: Variant,
    /// The shift of BM25L and BM25+; the others have none.
    pub delta: f32,
}

impl Bm25 {
    /// Lucene's formula.
    pub fn lucene(k1: f32, b: f32) -> Self {
        Self {
            k1,
            b,
            variant: Variant::Lucene,
            delta: 0.0,
        }
    }

    /// 1 / (k1 (1 - b + b dl / avgdl)).
    pub(crate) fn norm(self, length: f32, average: f32) -> f32 {
        1.0 / (self.k1 * ((1.0 - self.b) + self.b * length / average))
    }

    /// The weight of a term found in `frequency` of `all` documents.
    pub(crate) fn weight(self, frequency: usize, all: usize) -> f32 {
        let (all, frequency) = (all as f64, frequency as f64);
        let odds = (all - frequency + 0.5) / (frequency + 0.5);
        let idf = match self.variant {
            Variant::Lucene | Variant::LuceneAccurate => return (1.0 + odds).ln() as f32,
            Variant::Robertson => return odds.max(1.0).ln() as f32,
            Variant::Atire => (all / frequency).ln(),
            Variant::Bm25l => ((all + 1.0) / (frequency + 0.5)).ln(),
            Variant::Bm25Plus => ((all + 1.0) / frequency).ln(),
        };
        (idf * (f64::from(self.k1) + 1.0)) as f32
    }

    /// What a term of `weight` adds to a document that has it `frequency` times, above one that lacks it.
    pub(crate) fn gain(self, weight: f32, frequency: f32, norm: f32) -> f32 {
        let relative = frequency * norm;
        if self.variant == Variant::Bm25l {
            let shifted = self.k1 * relative + self.delta;
            return weight * (shifted / (self.k1 + shifted)) - self.floor(weight);
        }
        saturated(weight, relative)
    }

    /// What a term of `weight` gives to every document.
    pub(crate) fn floor(self, weight: f32) -> f32 {
        match self.variant {
            Variant::Bm25l => weight * (self.delta / (self.k1 + self.delta)),
            Variant::Bm25Plus => weight / (self.k1 + 1.0) * self.delta,
            _ => 0.0,
        }
    }
}

/// The gain of all variants but BM25L, as Lucene writes it, so that rounding agrees: w - w / (1 + tf * norm).
pub(crate) fn saturated(weight: f32, relative: f32) -> f32 {
    weight - weight / (1.0 + relative)
}
