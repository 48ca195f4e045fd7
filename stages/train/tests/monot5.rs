//! Training of T5s: twenty steps against PyTorch, and monoT5s that learn to answer.
#![allow(clippy::unwrap_used)]

#[path = "../../models/tests/common/mod.rs"]
#[expect(dead_code, reason = "shared with tests that use all of it")]
mod common;
mod following;
#[path = "../../models/tests/common/t5.rs"]
mod t5;

use ablate_core::{Seed, StageError, rows::Triple};
use ablate_models::{Mode, bert::Tokens, params::ParamStore, reranker::MonoT5, t5::T5};
use ablate_train::{Objective, answers::Answers, optimizer::Decay};
use candle_core::{Device, Tensor};
use common::fixture;
use following::{assert_curve, assert_parameter, rounds, settings, told, trained};

/// The twelve texts of the fixture, of which every second is answered with its second word.
struct Texts {
    model: T5,
    store: ParamStore,
    words: Vec<u32>,
}

impl Objective for Texts {
    fn store(&self) -> &ParamStore {
        &self.store
    }

    fn share(&self, part: &[usize], _batch: &[usize], mode: Mode<'_>) -> Result<Tensor, StageError> {
        let text = |row: usize| (0..=3 * row).map(move |i| ((i * 37 + row * 11 + 5) % 100) as u32);
        let texts: Vec<Vec<u32>> = part.iter().map(|row| text(*row).collect()).collect();
        let answers: Vec<u32> = part.iter().map(|row| self.words[row % 2]).collect();
        let tokens = Tokens::new(&texts);
        Ok(self.model.answer_loss(&self.store, &tokens, &answers, mode)?)
    }

    fn query_id(&self, _: usize) -> &'static str {
        "a text"
    }
}

#[test]
fn twenty_steps_follow_pytorch() {
    let fixture = fixture("t5_training.json");
    for (name, entry) in fixture["models"].as_object().unwrap() {
        let store = t5::formula(&entry["parameters"]);
        let texts = Texts {
            model: told(T5::new(
                serde_json::from_value(entry["config"].clone()).unwrap(),
                &store,
            )),
            store,
            words: serde_json::from_value(fixture["words"].clone()).unwrap(),
        };
        let curve = trained(&texts, &rounds(6, 12), &settings(1e-3, 0.1, Decay::Constant));
        assert_curve(name, &curve, &entry["steps"]);
        for (parameter, expected) in entry["after"].as_object().unwrap() {
            let found = texts.store().get(parameter).unwrap();
            assert_parameter(&format!("{name}: {parameter}"), found, expected, 4, 1e-6);
        }
    }
}

/// Triples over the words of the tiny monoT5.
fn triples() -> Vec<Triple> {
    let words = |row: usize, part: usize| -> String {
        let words: Vec<String> = (0..3 + row % 4)
            .map(|i| format!("w{}", (row * 17 + part * 29 + i * 7) % 90))
            .collect();
        words.join(" ")
    };
    let triple = |row: usize| Triple {
        query_id: format!("q{}", row / 2),
        query: words(row / 2, 0),
        pos_id: format!("p{}", row / 2),
        pos_text: words(row / 2, 1),
        neg_id: format!("n{row}"),
        neg_text: words(row, 2),
        source: "test".into(),
    };
    (0..8).map(triple).collect()
}

#[test]
fn a_monot5_learns_to_answer_and_loads_again() {
    let folder = t5::tiny_monot5(&fixture("t5.json"));
    let model = told(MonoT5::load(folder.path(), &Device::Cpu));
    let triples = triples();
    assert_eq!(told(Answers::new(&model, &triples, false, None)).rows(), 12);
    let objective = told(Answers::new(&model, &triples, true, Some(5)));
    assert_eq!(objective.rows(), 16, "a positive for each negative");
    let all: Vec<usize> = (0..16).collect();
    let (before, gradients) = told(objective.gradients(&all, Mode::train(Seed::root(1), Some(0.1))));
    assert!(before > 0.0);
    for (name, _) in model.store().trainable() {
        assert!(gradients.get(name).is_some(), "`{name}` has no gradient");
    }
    let before = told(objective.loss(&all));
    trained(
        &objective,
        &vec![all.clone(); 30],
        &settings(1e-2, 0.0, Decay::Constant),
    );
    let after = told(objective.loss(&all));
    assert!(after < 0.5 * before, "{before} to {after}");
    let out = tempfile::tempdir().unwrap();
    told(model.save(folder.path(), out.path()));
    let again = told(MonoT5::load(out.path(), &Device::Cpu));
    assert!((told(told(Answers::new(&again, &triples, true, Some(5))).loss(&all)) - after).abs() < 1e-9);
}
