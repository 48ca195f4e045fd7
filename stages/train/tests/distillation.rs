//! Distillation of bi-encoders: twenty steps against sentence-transformers, and what a teacher must know.
#![allow(clippy::unwrap_used)]

#[path = "../../models/tests/common/mod.rs"]
#[expect(dead_code, reason = "shared with tests that use all of it")]
mod common;
mod following;
#[path = "../../models/tests/common/t5.rs"]
#[expect(dead_code, reason = "shared with tests that use all of it")]
mod t5;

use ablate_core::{
    Seed,
    rows::{Hit, Triple},
};
use ablate_models::{Mode, encoder::SentenceEncoder, params::to_vec};
use ablate_train::{
    Gradients, Objective,
    imitation::{Imitation, ImitationLoss, ImitationSettings},
    optimizer::Decay,
};
use candle_core::Device;
use common::{fixture, tiny_encoder};
use following::{assert_curve, assert_parameter, rounds, settings, told, trained, triples};
use serde_json::Value;

/// The encoder of the fixture.
fn encoder(fixture: &Value) -> SentenceEncoder {
    let folder = tiny_encoder();
    fs_err::write(folder.path().join("config.json"), fixture["config"].to_string()).unwrap();
    told(t5::formula(&fixture["parameters"]).save(&folder.path().join("model.safetensors")));
    told(SentenceEncoder::load(folder.path(), &Device::Cpu))
}

/// The teacher of the fixture, on its triples.
fn teacher(fixture: &Value, triples: &[Triple]) -> Vec<Hit> {
    let scores: Vec<[f32; 3]> = serde_json::from_value(fixture["scores"].clone()).unwrap();
    let hit = |query_id: &str, doc_id: &str, score: f32| Hit {
        query_id: query_id.into(),
        doc_id: doc_id.into(),
        rank: 0,
        score,
    };
    let of = |(query, rows): (usize, &[Triple])| {
        let first = hit(&rows[0].query_id, &rows[0].pos_id, scores[query][0]);
        let second = hit(&rows[0].query_id, &rows[0].neg_id, scores[query][1]);
        [
            first,
            second,
            hit(&rows[1].query_id, &rows[1].neg_id, scores[query][2]),
        ]
    };
    triples.chunks(2).enumerate().flat_map(of).collect()
}

fn imitated(fixture: &Value, loss: ImitationLoss, rows_at_once: Option<usize>) -> ImitationSettings {
    ImitationSettings {
        loss,
        scale: fixture["scale"].as_f64().unwrap(),
        temperature: fixture["temperature"].as_f64().unwrap(),
        rows_at_once,
    }
}

#[test]
fn twenty_steps_follow_sentence_transformers() {
    let fixture = fixture("distillation_training.json");
    let triples = triples(&fixture);
    let teacher = teacher(&fixture, &triples);
    for (name, loss) in [
        ("margin_mse", ImitationLoss::MarginMse),
        ("kl", ImitationLoss::Kl),
    ] {
        let encoder = encoder(&fixture);
        let objective = told(Imitation::new(
            &encoder,
            &triples,
            &teacher,
            imitated(&fixture, loss, None),
        ));
        assert_eq!(objective.rows(), 6);
        let curve = trained(&objective, &rounds(4, 6), &settings(1e-3, 0.1, Decay::Linear));
        assert_curve(name, &curve, &fixture[name]["steps"]);
        for (parameter, expected) in fixture[name]["after"].as_object().unwrap() {
            if !parameter.ends_with("key.bias") {
                let found = encoder.store().get(parameter).unwrap();
                assert_parameter(&format!("{name}: {parameter}"), found, expected, 4, 1e-6);
            }
        }
    }
}

#[test]
fn every_parameter_has_a_gradient_and_parts_of_a_batch_give_that_of_the_whole() {
    let fixture = fixture("distillation_training.json");
    let (triples, encoder) = (triples(&fixture), encoder(&fixture));
    let teacher = teacher(&fixture, &triples);
    let mode = Mode::train(Seed::root(3), Some(0.0));
    for loss in [ImitationLoss::MarginMse, ImitationLoss::Kl] {
        let of = |rows_at_once| -> (f64, Gradients) {
            let settings = imitated(&fixture, loss, rows_at_once);
            let objective = told(Imitation::new(&encoder, &triples, &teacher, settings));
            told(objective.gradients(&[0, 1, 2, 3, 4], mode))
        };
        let ((whole, expected), (parts, found)) = (of(None), of(Some(2)));
        assert!((whole - parts).abs() < 1e-5, "{whole}, in parts {parts}");
        for (name, _) in encoder.store().trainable() {
            let gradient = expected
                .get(name)
                .unwrap_or_else(|| panic!("`{name}` has no gradient"));
            let found = to_vec(found.get(name).unwrap()).unwrap();
            for (found, expected) in found.iter().zip(to_vec(gradient).unwrap()) {
                let allowed = 1e-5 + 1e-4 * expected.abs();
                assert!(
                    (found - expected).abs() < allowed,
                    "`{name}`: {found}, of the whole {expected}"
                );
            }
        }
    }
}

#[test]
fn a_document_without_a_score_is_named() {
    let fixture = fixture("distillation_training.json");
    let (triples, encoder) = (triples(&fixture), encoder(&fixture));
    let teacher = teacher(&fixture, &triples[..2]);
    let settings = imitated(&fixture, ImitationLoss::Kl, None);
    let refused = Imitation::new(&encoder, &triples, &teacher, settings)
        .err()
        .unwrap();
    assert!(
        refused.to_string().contains("`p1` for the query `q1`"),
        "{refused}"
    );
}
