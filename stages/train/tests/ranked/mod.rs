//! What tests of the bi-encoder's objective share: encoders, rows over the tiny one's words, losses of them.

use std::path::Path;

use ablate_core::rows::Triple;
use ablate_models::{encoder::SentenceEncoder, params::to_vec};
use ablate_train::ranking::{Ranking, RankingSettings};
use candle_core::{Device, Tensor};

use crate::following::told;

pub(crate) fn load(folder: &Path) -> SentenceEncoder {
    told(SentenceEncoder::load(folder, &Device::Cpu))
}

pub(crate) fn triple(id: usize, [query, positive, negative]: [String; 3]) -> Triple {
    Triple {
        query_id: format!("q{id}"),
        query,
        pos_id: format!("p{id}"),
        pos_text: positive,
        neg_id: format!("n{id}"),
        neg_text: negative,
        source: "test".into(),
    }
}

/// Rows over the tiny encoder's words, of different lengths.
pub(crate) fn rows(count: usize) -> Vec<Triple> {
    let word = |row: usize, part: usize, i: usize| format!("w{}", (row * 37 + part * 11 + i * 7) % 90);
    let text = |row: usize, part: usize| {
        let words = (0..=(row + 3 * part) % 9).map(|i| word(row, part, i));
        words.collect::<Vec<_>>().join(" ")
    };
    (0..count)
        .map(|row| triple(row, [0, 1, 2].map(|part| text(row, part))))
        .collect()
}

pub(crate) fn ranking<'a>(encoder: &'a SentenceEncoder, rows: &'a [Triple]) -> Ranking<'a> {
    ranking_by(encoder, rows, |_| {})
}

pub(crate) fn ranking_by<'a>(
    encoder: &'a SentenceEncoder,
    rows: &'a [Triple],
    change: impl Fn(&mut RankingSettings),
) -> Ranking<'a> {
    let mut settings = RankingSettings {
        scale: 20.0,
        dimensions: vec![],
        texts_at_once: None,
    };
    change(&mut settings);
    told(Ranking::new(encoder, rows, settings))
}

pub(crate) fn norm(tensor: &Tensor) -> f64 {
    to_vec(tensor)
        .unwrap()
        .iter()
        .map(|x| f64::from(*x).powi(2))
        .sum::<f64>()
        .sqrt()
}
