//! SFT and CPO of generators, whole and through adapters, against TRL and peft (tests/fixtures/preferences_training.py).
#![allow(clippy::unwrap_used)]

mod following;
#[path = "../../models/tests/common/formula.rs"]
#[expect(dead_code, reason = "shared with tests that use all of it")]
mod formula;

use ablate_core::Seed;
use ablate_models::{
    Mode, Precision,
    decoder::{Lora, TunedDecoder},
    params::{ParamStore, to_vec},
};
use ablate_train::{
    Objective, Settings,
    completions::{Completions, Example, Preference},
    optimizer::Decay,
};
use candle_core::{Device, Tensor, Var};
use following::{assert_curve, assert_near, assert_parameter, rounds, settings, told, trained};
use formula::{Formula, list, opened};
use serde_json::Value;

fn fixture() -> Value {
    serde_json::from_str(include_str!("../../../tests/fixtures/preferences_training.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f32> {
    list(value, |number| number.as_f64().unwrap() as f32)
}

fn preference(settings: &Value) -> Option<Preference> {
    let number = |name: &str| settings[name].as_f64().unwrap();
    Some(Preference {
        loss: serde_json::from_value(settings.get("loss_type")?.clone()).unwrap(),
        beta: number("beta"),
        smoothing: number("label_smoothing"),
        alpha: number("cpo_alpha"),
    })
}

#[test]
fn losses_and_their_gradients_are_trl_s() {
    let near = |found: &[f32], expected: &Value| {
        for (found, expected) in found.iter().zip(numbers(expected)) {
            let allowed = 1e-5 * expected.abs().max(1.0);
            assert!((found - expected).abs() < allowed, "{found}, TRL says {expected}");
        }
    };
    for case in fixture()["losses"].as_array().unwrap() {
        let chosen = Var::new(numbers(&case["chosen"]), &Device::Cpu).unwrap();
        let rejected = Tensor::new(numbers(&case["rejected"]), &Device::Cpu).unwrap();
        let settings = preference(&case["settings"]).unwrap();
        let margins = (chosen.as_tensor() - rejected).unwrap();
        let losses = settings
            .loss
            .of(&margins, settings.beta, settings.smoothing)
            .unwrap();
        near(&to_vec(&losses).unwrap(), &case["losses"]);
        let gradients = losses.sum_all().unwrap().backward().unwrap();
        near(
            &to_vec(gradients.get(&chosen).unwrap()).unwrap(),
            &case["gradient"],
        );
    }
}

/// The decoder of a run, its adapters' first matrices by the formula.
fn model(run: &Value) -> TunedDecoder {
    let all = formula::fixture();
    let cases = all["cases"].as_array().unwrap();
    let case = cases.iter().find(|case| case["name"] == run["model"]).unwrap();
    let (config, layout) = opened(case);
    let lora = run["targets"].is_array().then(|| Lora {
        rank: 4,
        alpha: 8.0,
        dropout: 0.0,
        targets: list(&run["targets"], |target| target.as_str().unwrap().to_owned()),
    });
    let mut weights = Formula::of(case);
    let seed = Seed::root(3);
    let model = told(TunedDecoder::load(
        config,
        layout,
        &mut weights,
        lora.as_ref(),
        &seed,
        &Device::Cpu,
    ));
    let mut by_formula = ParamStore::default();
    for (name, variable) in model.store().iter().filter(|(name, _)| name.contains("lora_A")) {
        let count = variable.elem_count() as u64;
        let values: Vec<f32> = (0..count).map(|at| weights.value(name, at)).collect();
        by_formula
            .insert(
                name,
                &Tensor::from_vec(values, variable.shape(), &Device::Cpu).unwrap(),
            )
            .unwrap();
    }
    model.store().set_all(&by_formula).unwrap();
    model
}

/// The rows of the script.
fn examples() -> Vec<Example> {
    let ids = |start: u32, count: u32| (0..count).map(move |k| (start + 13 * k * k + 5 * k) % 58 + 3);
    let example = |i: u32| Example {
        id: format!("row {i}"),
        prompt: ids(i, 3 + i % 5).collect(),
        chosen: ids(7 * i + 1, 2 + i % 4).chain([2]).collect(),
        rejected: Some(ids(11 * i + 2, 1 + i % 6).chain([2]).collect()),
    };
    (0..12).map(example).collect()
}

#[test]
fn twenty_steps_follow_trl_and_peft() {
    let examples = examples();
    for run in fixture()["runs"].as_array().unwrap() {
        let name = format!("{} {} {}", run["model"], run["method"], run["targets"]);
        let model = model(run);
        // Parts of a batch add up to it.
        let objective = Completions::new(&model, &examples, preference(&run["settings"]), 3);
        let curve = trained(&objective, &rounds(4, 12), &settings(3e-3, 0.1, Decay::Constant));
        assert_curve(&name, &curve, &run["steps"]);
        check_parameters(&name, model.store(), &run["after"]);
    }
}

/// Adapters and whole decoders learn in bf16 as in f32, but for rounding: five steps of PyTorch's autocast are .004 of a loss away
/// at the most, of gemma3 .05.
#[test]
fn bf16_is_near_f32() {
    let (examples, all) = (examples(), fixture());
    for run in all["runs"].as_array().unwrap() {
        let model = model(run);
        let objective = Completions::new(&model, &examples, preference(&run["settings"]), 3);
        let settings = Settings {
            precision: Precision::Bf16,
            ..settings(3e-3, 0.4, Decay::Constant)
        };
        let curve = trained(&objective, &rounds(4, 12)[..5], &settings);
        let mut moved = 0.0;
        for (step, expected) in curve.iter().zip(run["steps"].as_array().unwrap()) {
            let loss = expected["loss"].as_f64().unwrap();
            assert_near(&format!("{}: loss", run["model"]), step.loss, loss, 1e-2, 2e-2);
            moved += (step.loss - loss).abs();
        }
        assert!(moved > 1e-5, "{}: nothing was rounded", run["model"]);
    }
}

fn check_parameters(run: &str, store: &ParamStore, expected: &Value) {
    let expected = expected.as_object().unwrap();
    assert_eq!(store.iter().count(), expected.len(), "{run}");
    for (name, expected) in expected {
        let variable = store
            .get(name)
            .unwrap_or_else(|| panic!("{run}: no parameter `{name}`"));
        // A bias of keys has no gradient but of rounding, which AdamW makes as large as any.
        if name.ends_with("c_attn.bias") || name.ends_with("k_proj.bias") {
            continue;
        }
        // GPT-2's matrices are `(in, out)` in its checkpoints, and `(out, in)` here: the first number is the same.
        let compared = if name.starts_with("transformer.h.") { 1 } else { 4 };
        assert_parameter(&format!("{run}: {name}"), variable, expected, compared, 1e-6);
    }
}

#[test]
fn every_trained_parameter_has_a_gradient() {
    for run in fixture()["runs"].as_array().unwrap() {
        let (model, examples) = (model(run), examples());
        let objective = Completions::new(&model, &examples, preference(&run["settings"]), 4);
        let mode = Mode::train(Seed::root(1), Some(0.1));
        let (_, gradients) = told(objective.gradients(&[0, 1, 2, 3], mode));
        for (name, _) in model.store().trainable() {
            assert!(
                gradients.get(name).is_some(),
                "{}: `{name}` has no gradient",
                run["model"]
            );
        }
    }
}
