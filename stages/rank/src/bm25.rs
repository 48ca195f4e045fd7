//! BM25 as Lucene computes it (BM25Similarity, Lucene 8 and later), over an index in memory.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::analysis::Analyser;

/// The two constants of BM25.
#[derive(Clone, Copy, Debug)]
pub struct Bm25 {
    /// Term frequency saturation.
    pub k1: f32,
    /// Length normalisation.
    pub b: f32,
}

/// An inverted index over texts, by position.
pub struct Index {
    analyser: Analyser,
    terms: BTreeMap<String, usize>,
    /// Per term, (document, frequency) in document order.
    postings: Vec<Vec<(u32, u32)>>,
    /// Per document, its length as Lucene keeps it: in one byte.
    lengths: Vec<u8>,
    /// Mean of the exact lengths.
    average_length: f32,
}

impl Index {
    /// Indexes `texts`; a document's number is its position.
    pub fn build(texts: &[String], analyser: Analyser) -> Self {
        let counted: Vec<(BTreeMap<String, u32>, u32)> =
            texts.par_iter().map(|text| count(text, analyser)).collect();
        let total: u64 = counted.iter().map(|(_, length)| u64::from(*length)).sum();
        // Lucene's avgdl counts the documents that have the field at all.
        let documents = counted.iter().filter(|(_, length)| *length > 0).count().max(1);
        let lengths = counted.iter().map(|(_, length)| encode_length(*length)).collect();
        let mut terms = BTreeMap::new();
        let mut postings: Vec<Vec<(u32, u32)>> = Vec::new();
        for (document, (counts, _)) in counted.into_iter().enumerate() {
            for (term, frequency) in counts {
                let at = *terms.entry(term).or_insert_with(|| {
                    postings.push(Vec::new());
                    postings.len() - 1
                });
                postings[at].push((document as u32, frequency));
            }
        }
        let average_length = (total as f64 / documents as f64) as f32;
        Self {
            analyser,
            terms,
            postings,
            lengths,
            average_length,
        }
    }

    /// The best `depth` documents for `query`: by score, ties by position. Documents without a query term are no hits.
    pub fn search(&self, query: &str, depth: usize, bm25: Bm25) -> Vec<(u32, f32)> {
        best(&self.scores(query, bm25), depth)
    }

    /// The score of every document for `query`; 0 for those without a query term.
    pub fn scores(&self, query: &str, bm25: Bm25) -> Vec<f32> {
        let mut weights: BTreeMap<usize, f32> = BTreeMap::new();
        for term in self.analyser.terms(query) {
            if let Some(at) = self.terms.get(&term) {
                *weights.entry(*at).or_default() += 1.0;
            }
        }
        let norms = self.norms(bm25);
        let mut scores = vec![0.0f32; self.lengths.len()];
        for (term, weight) in weights {
            let idf = self.idf(self.postings[term].len());
            let weight = weight * idf;
            for (document, frequency) in &self.postings[term] {
                let norm = norms[usize::from(self.lengths[*document as usize])];
                // As Lucene writes it, so that rounding agrees: w - w / (1 + tf * norm).
                scores[*document as usize] += weight - weight / (1.0 + *frequency as f32 * norm);
            }
        }
        scores
    }

    /// Searches many queries over all cores, in the order given.
    pub fn search_all(&self, queries: &[String], depth: usize, bm25: Bm25) -> Vec<Vec<(u32, f32)>> {
        queries
            .par_iter()
            .map(|query| self.search(query, depth, bm25))
            .collect()
    }

    /// ln(1 + (N - df + .5) / (df + .5)).
    fn idf(&self, frequency: usize) -> f32 {
        let (all, frequency) = (self.lengths.len() as f64, frequency as f64);
        (1.0 + (all - frequency + 0.5) / (frequency + 0.5)).ln() as f32
    }

    /// 1 / (k1 (1 - b + b dl / avgdl)) for each of the 256 lengths a byte can hold.
    fn norms(&self, bm25: Bm25) -> Vec<f32> {
        let norm = |byte: u8| {
            let length = decode_length(byte) as f32;
            1.0 / (bm25.k1 * ((1.0 - bm25.b) + bm25.b * length / self.average_length))
        };
        (0..=255).map(norm).collect()
    }
}

fn count(text: &str, analyser: Analyser) -> (BTreeMap<String, u32>, u32) {
    let mut counts = BTreeMap::new();
    let terms = analyser.terms(text);
    let length = terms.len() as u32;
    terms
        .into_iter()
        .for_each(|term| *counts.entry(term).or_default() += 1);
    (counts, length)
}

fn best(scores: &[f32], depth: usize) -> Vec<(u32, f32)> {
    let mut hits: Vec<(u32, f32)> = scores
        .iter()
        .enumerate()
        .filter(|(_, score)| **score > 0.0)
        .map(|(at, score)| (at as u32, *score))
        .collect();
    let order = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if hits.len() > depth && depth > 0 {
        hits.select_nth_unstable_by(depth - 1, order);
        hits.truncate(depth);
    }
    hits.sort_unstable_by(order);
    hits
}

/// Lengths up to this one fit the byte as they are (SmallFloat.NUM_FREE_VALUES).
const EXACT: u32 = 255 - long_to_int4(i32::MAX as u64);

/// Lucene's SmallFloat.intToByte4: four significant bits.
const fn encode_length(length: u32) -> u8 {
    if length < EXACT {
        length as u8
    } else {
        (EXACT + long_to_int4((length - EXACT) as u64)) as u8
    }
}

/// Lucene's SmallFloat.byte4ToInt.
const fn decode_length(byte: u8) -> u32 {
    let byte = byte as u32;
    if byte < EXACT {
        byte
    } else {
        EXACT + int4_to_long(byte - EXACT) as u32
    }
}

const fn long_to_int4(value: u64) -> u32 {
    let bits = 64 - value.leading_zeros();
    if bits < 4 {
        return value as u32;
    }
    let shift = bits - 4;
    (((value >> shift) & 7) as u32) | ((shift + 1) << 3)
}

const fn int4_to_long(code: u32) -> u64 {
    let mantissa = (code & 7) as u64;
    match code >> 3 {
        0 => mantissa,
        shift => (mantissa | 8) << (shift - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small lengths exact, larger ones rounded down to four significant bits.
    #[test]
    fn lengths_as_lucene_keeps_them() {
        assert_eq!(EXACT, 24);
        assert!((0..40).all(|length| decode_length(encode_length(length)) == length));
        assert_eq!(
            [41, 57, 107, 180, 310].map(|l| decode_length(encode_length(l))),
            [40, 56, 104, 168, 280]
        );
        assert_eq!(encode_length(i32::MAX as u32), 255);
    }

    #[test]
    fn a_hand_computed_score() {
        let texts = ["red apple pie", "green apple", "blue sky over the sea"].map(String::from);
        let index = Index::build(&texts, Analyser::Whitespace);
        let hits = index.search("apple", 10, Bm25 { k1: 0.9, b: 0.4 });
        // N = 3, df = 2: idf = ln(1 + 1.5 / 2.5) = .4700; avgdl = 10/3; dl = 2: norm = 1 / (.9 (.6 + .4 · 2 / 3.3333)).
        let (idf, norm) = (1.6f64.ln(), 1.0 / (0.9 * (0.6 + 0.4 * 2.0 / (10.0 / 3.0))));
        assert_eq!(hits.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1, 0]);
        assert!(
            (f64::from(hits[0].1) - idf * norm / (1.0 + norm)).abs() < 1e-6,
            "{hits:?}"
        );
    }

    #[test]
    fn ties_go_by_position_and_depth_cuts() {
        let texts = ["same words", "same words", "same words"].map(String::from);
        let index = Index::build(&texts, Analyser::Whitespace);
        let hits = index.search("words", 2, Bm25 { k1: 0.9, b: 0.4 });
        assert_eq!(hits.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 1]);
    }
}
