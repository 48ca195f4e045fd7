//! Gradient checkpointing: the gradients of every family of models with and without it, to the bit and with dropout.
#![allow(clippy::unwrap_used)]

#[path = "../../models/tests/common/mod.rs"]
#[expect(dead_code, reason = "shared with tests that use all of it")]
mod common;
#[expect(dead_code, reason = "shared with tests that use all of it")]
mod following;
#[path = "../../models/tests/common/formula.rs"]
#[expect(dead_code, reason = "shared with tests that use all of it")]
mod formula;
#[expect(dead_code, reason = "shared with tests that use all of it")]
mod ranked;
#[path = "../../models/tests/common/t5.rs"]
#[expect(dead_code, reason = "shared with tests that use all of it")]
mod t5;

use ablate_core::Seed;
use ablate_models::{
    Mode, Precision,
    decoder::{Lora, TunedDecoder},
    encoder::SentenceEncoder,
    gradient_checkpointing::Tape,
    params::{ParamStore, to_vec},
    reranker::{CrossEncoder, MonoT5},
};
use ablate_train::{
    Gradients, Objective, Settings,
    answers::Answers,
    completions::{Completions, Example, Preference},
    loss::PreferenceLoss,
    optimizer::Decay,
    relevance::{Relevance, RelevanceLoss},
};
use candle_core::Device;
use common::{fixture, tiny_cross_encoder, tiny_encoder};
use following::{told, trained};
use formula::{Formula, opened};
use ranked::{ranking, ranking_by, rows};

/// Every parameter's gradient, as bits.
fn bits(gradients: &Gradients, store: &ParamStore) -> Vec<(String, Option<Vec<u32>>)> {
    let numbers = |name| to_vec(gradients.get(name)?).ok();
    let bits = |name| Some(numbers(name)?.into_iter().map(f32::to_bits).collect());
    store
        .trainable()
        .map(|(name, _)| (name.to_owned(), bits(name)))
        .collect()
}

/// The graph is cut, and loss and gradients are those of the whole graph.
fn assert_nothing_moves(what: &str, objective: &dyn Objective, rows: usize) {
    for precision in [Precision::F32, Precision::Bf16] {
        assert_nothing_moves_in(precision, what, objective, rows);
    }
}

fn assert_nothing_moves_in(precision: Precision, what: &str, objective: &dyn Objective, rows: usize) {
    let batch: Vec<usize> = (0..rows).collect();
    let mode = Mode::train(Seed::root(5), Some(0.2)).in_precision(precision);
    let nodes = |mode| told(objective.share(&batch, &batch, mode)).sorted_nodes().len();
    let forgotten = Tape::default();
    let (cut, whole) = (nodes(mode.checkpointed(&forgotten)), nodes(mode));
    assert!(cut < whole, "{what}: {cut} nodes of {whole} are kept");
    let (loss, expected) = told(objective.gradients(&batch, mode));
    let tape = Tape::default();
    let (found_loss, found) = told(objective.gradients(&batch, mode.checkpointed(&tape)));
    assert_eq!(found_loss.to_bits(), loss.to_bits(), "{what}: the loss");
    let (found, expected) = (
        bits(&found, objective.store()),
        bits(&expected, objective.store()),
    );
    let reached = expected.iter().filter(|(_, bits)| bits.is_some()).count();
    assert!(reached > 0, "{what}: nothing has a gradient");
    for (found, expected) in found.into_iter().zip(expected) {
        assert!(found == expected, "{what}: the gradient of `{}` moved", found.0);
    }
}

#[test]
fn encoders() {
    let (folder, rows) = (tiny_encoder(), rows(6));
    let encoder = told(SentenceEncoder::load(folder.path(), &Device::Cpu));
    for texts_at_once in [None, Some(5)] {
        assert_nothing_moves(
            "bi-encoder",
            &ranking_by(&encoder, &rows, |settings| settings.texts_at_once = texts_at_once),
            6,
        );
    }
    let folder = tiny_cross_encoder();
    let model = told(CrossEncoder::load(folder.path(), &Device::Cpu));
    for rows_at_once in [None, Some(5)] {
        let objective = told(Relevance::new(&model, &rows, RelevanceLoss::Bce, rows_at_once));
        assert_nothing_moves("cross-encoder", &objective, 12);
    }
}

/// The table of distances is read by every layer, and more than once in each; the decoder's layers all read the encoder's states.
#[test]
fn t5() {
    let (folder, rows) = (t5::tiny_monot5(&fixture("t5.json")), rows(6));
    let model = told(MonoT5::load(folder.path(), &Device::Cpu));
    assert_nothing_moves("monoT5", &told(Answers::new(&model, &rows, true, None)), 12);
}

#[test]
fn decoders() {
    let ids = |start: u32, count: u32| {
        (0..count)
            .map(|k| (start + 13 * k * k + 5 * k) % 58 + 3)
            .collect()
    };
    let example = |i: u32| Example {
        id: i.to_string(),
        prompt: ids(i, 3 + i % 5),
        chosen: ids(7 * i + 1, 2 + i % 4),
        rejected: Some(ids(11 * i + 2, 1 + i % 6)),
    };
    let examples: Vec<Example> = (0..4).map(example).collect();
    let preference = Preference {
        loss: PreferenceLoss::Sigmoid,
        beta: 0.1,
        smoothing: 0.0,
        alpha: 1.0,
    };
    let lora = Lora {
        rank: 4,
        alpha: 8.0,
        dropout: 0.0,
        targets: vec!["all-linear".into()],
    };
    let all = formula::fixture();
    for case in all["cases"].as_array().unwrap() {
        let (config, layout) = opened(case);
        for lora in [None, Some(&lora)] {
            let weights = &mut Formula::of(case);
            let seed = Seed::root(3);
            // Mixtures of experts are not trained.
            let Ok(model) = TunedDecoder::load(config.clone(), layout, weights, lora, &seed, &Device::Cpu)
            else {
                continue;
            };
            let objective = Completions::new(&model, &examples, Some(preference), 3);
            assert_nothing_moves(&case["name"].to_string(), &objective, 4);
        }
    }
}

#[test]
fn a_whole_run_ends_with_the_same_parameters() {
    let (folder, rows) = (tiny_encoder(), rows(6));
    let run = |gradient_checkpointing| {
        let encoder = told(SentenceEncoder::load(folder.path(), &Device::Cpu));
        let settings = Settings {
            dropout: None,
            gradient_checkpointing,
            ..following::settings(1e-3, 0.1, Decay::Linear)
        };
        let curve = trained(
            &ranking(&encoder, &rows),
            &vec![vec![0, 1, 2, 3, 4, 5]; 5],
            &settings,
        );
        let values: Vec<Vec<f32>> = encoder
            .store()
            .iter()
            .map(|(_, value)| to_vec(value).unwrap())
            .collect();
        (curve, values)
    };
    assert!(run(true) == run(false));
}
