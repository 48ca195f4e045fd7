//! The loss of a bi-encoder's batch: in parts, by heads, and without likely positives.
#![allow(clippy::unwrap_used)]

#[path = "../../models/tests/common/mod.rs"]
#[expect(dead_code, reason = "shared with tests that use all of it")]
mod common;
#[expect(dead_code, reason = "shared with tests that use all of it")]
mod following;
mod ranked;

use ablate_core::Seed;
use ablate_models::Mode;
use ablate_train::{
    Gradients, Objective,
    masking::FalseNegatives,
    ranking::{Ranking, RankingSettings},
};
use common::tiny_encoder;
use following::told;
use ranked::{load, norm, ranking, ranking_by, rows};

/// GradCache changes memory, not gradients (dropout off: its draws are of the parts).
#[test]
fn a_batch_encoded_in_parts_has_the_gradients_of_the_whole() {
    let folder = tiny_encoder();
    let (encoder, rows) = (load(folder.path()), rows(6));
    let mode = Mode::train(Seed::root(3), Some(0.0));
    let of = |texts_at_once: Option<usize>| -> (f64, Gradients) {
        let objective = ranking_by(&encoder, &rows, |settings| {
            settings.texts_at_once = texts_at_once;
            settings.dimensions = vec![32, 8];
        });
        told(objective.gradients(&[0, 1, 2, 3, 4, 5], mode))
    };
    let ((whole, expected), (parts, found)) = (of(None), of(Some(5)));
    assert!((whole - parts).abs() < 1e-6, "{whole}, in parts {parts}");
    for (name, _) in encoder.store().trainable() {
        let (found, expected) = (found.get(name).unwrap(), expected.get(name).unwrap());
        let apart = norm(&(found - expected).unwrap());
        assert!(apart <= 1e-5 * norm(expected) + 1e-6, "`{name}`: {apart}");
    }
}

/// The losses of a head and of whole vectors add up.
#[test]
fn matryoshka_heads_add_up() {
    let folder = tiny_encoder();
    let (encoder, rows) = (load(folder.path()), rows(6));
    let of = |heads: &[usize]| {
        let objective = ranking_by(&encoder, &rows, |settings| settings.dimensions = heads.to_vec());
        told(objective.loss(&[0, 1, 2, 3]))
    };
    assert!((of(&[32]) - of(&[])).abs() < 1e-6);
    assert!((of(&[32]) + of(&[8]) - of(&[32, 8])).abs() < 1e-5);
    assert!((of(&[32]) - of(&[8])).abs() > 1e-3);
    let wide = RankingSettings {
        scale: 20.0,
        dimensions: vec![64],
        texts_at_once: None,
    };
    let refused = Ranking::new(&encoder, &rows, wide).err().unwrap().to_string();
    assert_eq!(refused, "a head of 64 numbers is asked for, the vectors have 32");
}

/// A guide that is the encoder itself: masked are the texts that it ranks above the positive, and the loss is that of the others.
#[test]
fn a_guide_takes_likely_positives_out_of_the_loss() {
    let folder = tiny_encoder();
    let (encoder, rows) = (load(folder.path()), rows(4));
    let all: Vec<usize> = (0..4).collect();
    let loss = |margin: Option<f64>| {
        let mut false_negatives = FalseNegatives::default();
        if let Some(margin) = margin {
            false_negatives = told(false_negatives.guided(&encoder, &rows, margin, &|_, _| Ok(())));
        }
        told(ranking(&encoder, &rows).without(false_negatives).loss(&all))
    };
    let vectors = |texts: Vec<String>| told(encoder.encode(&texts, 4, &|_, _| Ok(())));
    let queries = vectors(rows.iter().map(|row| row.query.clone()).collect());
    let positives = rows.iter().map(|row| row.pos_text.clone());
    let candidates = vectors(
        positives
            .chain(rows.iter().map(|row| row.neg_text.clone()))
            .collect(),
    );
    let mut expected = 0.0;
    for (at, query) in queries.rows().enumerate() {
        let cosine = |text: &[f32]| -> f64 {
            query
                .iter()
                .zip(text)
                .map(|(a, b)| f64::from(*a) * f64::from(*b))
                .sum()
        };
        let cosines: Vec<f64> = candidates.rows().map(cosine).collect();
        let counted = cosines.iter().filter(|cosine| **cosine <= cosines[at]);
        let total: f64 = counted.map(|cosine| (20.0 * cosine).exp()).sum();
        expected += (total.ln() - 20.0 * cosines[at]) / 4.0;
    }
    let (plain, guided) = (loss(None), loss(Some(0.0)));
    assert!(plain > guided + 0.1, "nothing was masked: {plain}, {guided}");
    assert!((guided - expected).abs() < 1e-4, "{guided}, by hand {expected}");
    assert!(
        (loss(Some(-2.0)) - plain).abs() < 1e-9,
        "a margin that no text passes"
    );
    assert!(loss(Some(2.0)).abs() < 1e-9, "all others are masked");
}
