//! `train/biencoder` as the engine runs it.
#![allow(clippy::unwrap_used)]

#[path = "../../models/tests/common/mod.rs"]
#[expect(dead_code, reason = "shared with tests that use all of it")]
mod common;

use std::{
    path::{Path, PathBuf},
    sync::Mutex,
};

use ablate_core::{
    DeviceChoice, Digest, Host, Io, MemoryRows, Of, Places, Progress, Record, RowStore, StageError,
    StageKind, canon,
    rows::{Step, Triple},
};
use ablate_models::encoder::SentenceEncoder;
use ablate_train::TrainBiencoder;
use arrow::array::RecordBatch;
use candle_core::Device;
use common::tiny_encoder;
use serde_json::{Value, json};

/// An engine with one training set and one model.
struct Engine {
    triples: RecordBatch,
    base: PathBuf,
    out: PathBuf,
    curve: Mutex<Option<RecordBatch>>,
    progress: Mutex<Vec<Progress>>,
    places: Places,
    memo: MemoryRows,
    checkpoints: PathBuf,
    /// A checkpoint behind every step.
    eager: bool,
    /// Interrupts the run behind this step.
    stop: Option<u64>,
}

impl Host for Engine {
    fn rows(&self, _: &str) -> Result<Option<RecordBatch>, StageError> {
        Ok(Some(self.triples.clone()))
    }
    fn tree(&self, port: &str) -> Result<Option<PathBuf>, StageError> {
        Ok((port == "base").then(|| self.base.clone()))
    }
    fn source(&self, _: &str) -> Option<String> {
        None
    }
    fn put(&self, _: &str, batch: RecordBatch) -> Result<(), StageError> {
        *self.curve.lock().unwrap() = Some(batch);
        Ok(())
    }
    fn out_dir(&self, _: &str) -> Result<PathBuf, StageError> {
        Ok(self.out.clone())
    }
    fn progress(&self, progress: Progress) {
        self.progress.lock().unwrap().push(progress);
    }
    fn note(&self, _: String) {}
    fn cancelled(&self) -> bool {
        let done = self.progress.lock().unwrap().last().map(|progress| progress.done);
        self.stop.is_some() && done == self.stop
    }
    fn device(&self) -> DeviceChoice {
        DeviceChoice::Cpu
    }
    fn places(&self) -> &Places {
        &self.places
    }
    fn digest(&self, port: &str) -> Result<Option<Digest>, StageError> {
        Ok(Some(Digest::of(port.as_bytes())))
    }
    fn memo(&self, _: &canon::Value) -> Result<Box<dyn RowStore + '_>, StageError> {
        Ok(Box::new(&self.memo))
    }
    fn count_rows(&self, _: u64, _: u64) {}
    fn checkpoints(&self) -> Result<PathBuf, StageError> {
        Ok(self.checkpoints.clone())
    }
    fn checkpoint_due(&self) -> bool {
        self.eager
    }
}

fn rows(count: usize) -> Vec<Triple> {
    let row = |row: usize| Triple {
        query_id: format!("q{row}"),
        query: format!("w{row} w7"),
        pos_id: format!("p{row}"),
        pos_text: format!("w{} w{row} w8", row + 1),
        neg_id: format!("n{row}"),
        neg_text: format!("w{} w9 w{}", row + 30, row + 2),
        source: "test".into(),
    };
    (0..count).map(row).collect()
}

fn run(rows: &[Triple], fields: &Value) -> Result<(Vec<Step>, Vec<Progress>, SentenceEncoder), StageError> {
    run_from(tempfile::tempdir().unwrap().path(), None, rows, fields)
}

fn run_from(
    checkpoints: &Path,
    stop: Option<u64>,
    rows: &[Triple],
    fields: &Value,
) -> Result<(Vec<Step>, Vec<Progress>, SentenceEncoder), StageError> {
    let (base, out) = (tiny_encoder(), tempfile::tempdir().unwrap());
    let engine = Engine {
        triples: Triple::encode(rows).unwrap(),
        base: base.path().into(),
        out: out.path().into(),
        curve: Mutex::default(),
        progress: Mutex::default(),
        places: Places::default(),
        memo: MemoryRows::default(),
        checkpoints: checkpoints.to_owned(),
        eager: true,
        stop,
    };
    let bound = Of::<TrainBiencoder>::NEW
        .bind(fields.as_object().unwrap())
        .unwrap();
    bound.run(&Io::new(&engine))?;
    let curve = Step::decode(engine.curve.lock().unwrap().as_ref().unwrap()).unwrap();
    let encoder = SentenceEncoder::load(out.path(), &Device::Cpu)?;
    Ok((curve, engine.progress.into_inner().unwrap(), encoder))
}

#[test]
fn a_run_gives_a_model_and_its_curve() {
    let fields = json!({"epochs": 2, "batch": 8, "lr": 1e-3, "max_length": 16});
    let (curve, progress, encoder) = run(&rows(20), &fields).map_err(|e| e.to_string()).unwrap();
    assert_eq!(
        curve.iter().map(|step| step.step).collect::<Vec<_>>(),
        (1..=6).collect::<Vec<_>>()
    );
    assert!(
        curve
            .iter()
            .all(|step| step.loss > 0.0 && step.gradient_norm > 0.0)
    );
    let last = progress.last().unwrap();
    assert_eq!((last.done, last.total, last.unit), (6, Some(6), "steps"));
    assert_eq!(encoder.max_length(), 48, "the base's own limit");
}

#[test]
fn fewer_steps_than_the_epochs_have_end_schedule_and_training() {
    let fields = json!({"epochs": 5, "batch": 8, "steps": 4, "warmup": 0.0, "lr": 1e-3});
    let (curve, ..) = run(&rows(20), &fields).map_err(|e| e.to_string()).unwrap();
    let rates: Vec<f64> = curve.iter().map(|step| step.learning_rate).collect();
    assert_eq!(rates, [1e-3, 0.75e-3, 0.5e-3, 0.25e-3]);
}

#[test]
fn steps_beyond_the_epochs_repeat_the_rows_in_another_order() {
    let fields = |more: Value| {
        let mut fields =
            json!({"epochs": 1, "batch": 8, "warmup": 0.0, "decay": "constant", "dropout": 0.0, "lr": 1e-3});
        fields
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        fields
    };
    let curve = |more| {
        run(&rows(20), &fields(more))
            .map_err(|e| e.to_string())
            .unwrap()
            .0
    };
    let (once, longer) = (curve(json!({})), curve(json!({"steps": 7})));
    assert_eq!((once.len(), longer.len()), (3, 7));
    let losses = |curve: &[Step]| curve.iter().map(|step| step.loss).collect::<Vec<f64>>();
    assert_eq!(losses(&longer)[..3], losses(&once));
    assert_eq!(losses(&longer)[..6], losses(&curve(json!({"epochs": 2}))));
}

/// Their batches alone would take terabytes.
#[test]
fn billions_of_steps_begin_at_once() {
    let (folder, fields) = (
        tempfile::tempdir().unwrap(),
        json!({"steps": 4_000_000_000_u32, "batch": 8}),
    );
    let stopped = run_from(folder.path(), Some(2), &rows(20), &fields);
    assert!(matches!(stopped, Err(StageError::Cancelled)));
}

#[test]
fn no_triples_are_an_error_that_says_where_to_look() {
    let Err(StageError::Failed { message, help }) = run(&[], &json!({})) else {
        panic!("it ran")
    };
    assert!(message.contains("nothing to train on") && help.unwrap().contains("stages before"));
}

#[test]
fn every_value_out_of_range_is_named() {
    let fields = json!({"batch": 0, "lr": -1.0, "warmup": 1.5, "dropout": 1.0, "steps": 0, "max_length": 2});
    let problems = Of::<TrainBiencoder>::NEW
        .bind(fields.as_object().unwrap())
        .err()
        .unwrap();
    let mut named: Vec<String> = problems.iter().map(|problem| problem.path.join(".")).collect();
    named.sort();
    assert_eq!(named, ["batch", "dropout", "lr", "max_length", "steps", "warmup"]);
    let endless = json!({"steps": 10_000_000_000_u64, "epochs": 10_000_000_000_u64});
    let problems = Of::<TrainBiencoder>::NEW.bind(endless.as_object().unwrap()).err();
    assert_eq!(problems.unwrap().len(), 2);
}

fn weights(encoder: &SentenceEncoder) -> Vec<Vec<f32>> {
    let flat = |variable: &candle_core::Var| variable.flatten_all().unwrap().to_vec1().unwrap();
    encoder
        .store()
        .iter()
        .map(|(_, variable)| flat(variable))
        .collect()
}

/// Interrupted behind any step, and once more behind another, a run ends with the weights and the curve of one that was
/// never interrupted.
#[test]
fn an_interrupted_run_ends_with_the_same_bits() {
    let fields = json!({"epochs": 2, "batch": 8, "lr": 1e-3, "max_length": 16});
    let (curve, _, whole) = run(&rows(20), &fields).map_err(|e| e.to_string()).unwrap();
    for (first, second) in [(1, 3), (2, 5), (4, 5)] {
        let folder = tempfile::tempdir().unwrap();
        for stop in [first, second] {
            let stopped = run_from(folder.path(), Some(stop), &rows(20), &fields);
            assert!(matches!(stopped, Err(StageError::Cancelled)));
        }
        let (resumed, progress, encoder) = run_from(folder.path(), None, &rows(20), &fields)
            .map_err(|e| e.to_string())
            .unwrap();
        assert_eq!(resumed, curve);
        assert_eq!(weights(&encoder), weights(&whole));
        let steps: Vec<u64> = progress.iter().map(|p| p.done).filter(|done| *done > 0).collect();
        assert_eq!(steps, (second + 1..=6).collect::<Vec<_>>(), "only the steps left");
    }
}

/// A checkpoint that was cut or flipped is not taken up: the run begins anew and ends the same.
#[test]
fn a_damaged_checkpoint_is_passed_over() {
    let fields = json!({"epochs": 2, "batch": 8, "lr": 1e-3, "max_length": 16});
    let (_, _, whole) = run(&rows(20), &fields).map_err(|e| e.to_string()).unwrap();
    for file in [
        "weights.safetensors",
        "moments.safetensors",
        "curve.json",
        "digests.json",
    ] {
        let folder = tempfile::tempdir().unwrap();
        run_from(folder.path(), Some(3), &rows(20), &fields)
            .map(drop)
            .unwrap_err();
        let path = folder.path().join("3").join(file);
        let mut bytes = fs_err::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        fs_err::write(&path, bytes).unwrap();
        let (_, progress, encoder) = run_from(folder.path(), None, &rows(20), &fields)
            .map_err(|e| e.to_string())
            .unwrap();
        assert!(progress.iter().any(|p| p.done == 1), "{file}: it begins anew");
        assert_eq!(weights(&encoder), weights(&whole), "{file}");
    }
}
