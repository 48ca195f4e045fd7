//! Stages made for tests of the engine.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use ablate_cache::{Store, Trace};
use ablate_core::{
    ArtifactKind as Kind, Digest, Input, Io, Of, Output, Record, RowFunction, Slot, Stage, StageError,
    StageKind, canon, rows::Document,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All of them.
pub(crate) const KINDS: &[&dyn StageKind] = &[
    &Of::<Make>::NEW,
    &Of::<Add>::NEW,
    &Of::<Documents>::NEW,
    &Of::<Shout>::NEW,
    &Of::<Weights>::NEW,
    &Of::<Say>::NEW,
    &Of::<Toss>::NEW,
];

/// Rows that `shout` with `count: true` has computed, in all runs.
pub(crate) static COMPUTED: AtomicU64 = AtomicU64::new(0);

/// The models `say` has loaded, in order, in all runs.
pub(crate) static LOADED: Mutex<Vec<String>> = Mutex::new(vec![]);

fn document(id: impl ToString, text: impl ToString) -> Document {
    Document {
        doc_id: id.to_string(),
        title: None,
        text: text.to_string(),
    }
}

/// The number a node of `make` or `add` holds.
pub(crate) fn value(store: &Store, trace: &Trace) -> u32 {
    try_value(store, trace).unwrap()
}

/// The same where the object can be read.
pub(crate) fn try_value(store: &Store, trace: &Trace) -> Option<u32> {
    let rows = Document::decode(&store.read_rows(&trace.outputs[0]).ok()?).unwrap();
    rows[0].text.parse().ok()
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Number {
    #[serde(default)]
    k: u32,
}

struct Make;

impl Stage for Make {
    const NAME: &'static str = "make";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "a number";
    const INPUTS: &'static [Input] = &[];
    const OUTPUTS: &'static [Output] = &[Output::of("corpus", Kind::Corpus)];
    type Params = Number;
    fn run(params: &Number, io: &Io<'_>) -> Result<(), StageError> {
        io.put("corpus", vec![document("n", params.k)])
    }
}

struct Add;

impl Stage for Add {
    const NAME: &'static str = "add";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "a + b + k modulo 3";
    const INPUTS: &'static [Input] = &[Input::of("a", Kind::Corpus), Input::of("b", Kind::Corpus)];
    const OUTPUTS: &'static [Output] = &[Output::of("corpus", Kind::Corpus)];
    type Params = Number;
    fn run(params: &Number, io: &Io<'_>) -> Result<(), StageError> {
        let number = |port| -> Result<u32, StageError> { Ok(io.rows::<Document>(port)?[0].text.parse()?) };
        io.put(
            "corpus",
            vec![document("n", (number("a")? + number("b")? + params.k) % 3)],
        )
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Count {
    count: u32,
}

struct Documents;

impl Stage for Documents {
    const NAME: &'static str = "documents";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "so many documents";
    const INPUTS: &'static [Input] = &[];
    const OUTPUTS: &'static [Output] = &[Output::of("corpus", Kind::Corpus)];
    type Params = Count;
    fn run(params: &Count, io: &Io<'_>) -> Result<(), StageError> {
        io.put(
            "corpus",
            (0..params.count)
                .map(|at| document(format!("d{at:04}"), at))
                .collect(),
        )
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Words {
    text: String,
    /// The row at which the stage panics.
    #[serde(default)]
    fatal: Option<usize>,
    /// Whether rows are counted in [`COMPUTED`].
    #[serde(default)]
    count: bool,
}

/// A row-wise stage with a memo.
struct Shout;

impl Stage for Shout {
    const NAME: &'static str = "shout";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "adds a text to every document";
    const INPUTS: &'static [Input] = &[Input::of("documents", Kind::Corpus)];
    const OUTPUTS: &'static [Output] = &[Output::of("corpus", Kind::Corpus)];
    const EXECUTION: &'static [&'static str] = &["fatal", "count"];
    type Params = Words;
    fn run(params: &Words, io: &Io<'_>) -> Result<(), StageError> {
        let documents: Vec<Document> = io.rows("documents")?;
        let function = RowFunction {
            name: "shout",
            version: 1,
        };
        let memo = io.memo(function, canon::Value::text(&params.text))?;
        let keys: Vec<Digest> = documents.iter().map(|d| Digest::of(d.text.as_bytes())).collect();
        let texts = memo.map(
            &keys,
            |_: &Vec<f32>| true,
            |missing, sink| {
                for (at, row) in missing.iter().enumerate() {
                    assert!(params.fatal != Some(at), "no paper left");
                    if params.count {
                        COMPUTED.fetch_add(1, Ordering::SeqCst);
                    }
                    sink(at, vec![documents[*row].text.len() as f32])?;
                }
                Ok(())
            },
        )?;
        let shouted = documents.iter().zip(texts);
        io.put(
            "corpus",
            shouted
                .map(|(d, lengths)| document(&d.doc_id, format!("{} {} {}", d.text, params.text, lengths[0])))
                .collect(),
        )
    }
}

/// A model that is a word.
struct Weights;

impl Stage for Weights {
    const NAME: &'static str = "weights";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "a model";
    const INPUTS: &'static [Input] = &[];
    const OUTPUTS: &'static [Output] = &[Output::of("model", Kind::Model)];
    type Params = Words;
    fn run(params: &Words, io: &Io<'_>) -> Result<(), StageError> {
        fs_err::write(io.out_dir("model")?.join("model.safetensors"), &params.text)?;
        Ok(())
    }
}

/// Says the word of a model so many times.
struct Say;

impl Stage for Say {
    const NAME: &'static str = "say";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "what a model says";
    const INPUTS: &'static [Input] = &[Input::of("model", Kind::Model)];
    const OUTPUTS: &'static [Output] = &[Output::of("corpus", Kind::Corpus)];
    const SLOT: Slot = Slot::Device;
    type Params = Count;
    fn run(params: &Count, io: &Io<'_>) -> Result<(), StageError> {
        let word = io.model("model", "exact", |folder| {
            let word = fs_err::read_to_string(folder.join("model.safetensors"))?;
            LOADED.lock().unwrap().push(word.clone());
            Ok(word)
        })?;
        io.put(
            "corpus",
            (0..params.count).map(|at| document(at, &word)).collect(),
        )
    }
}

/// A stage that breaks its promise: it never gives the same twice.
struct Toss;

impl Stage for Toss {
    const NAME: &'static str = "toss";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "another number each time, beside a row that stays";
    const INPUTS: &'static [Input] = &[];
    const OUTPUTS: &'static [Output] = &[Output::of("corpus", Kind::Corpus)];
    type Params = Number;
    fn run(_: &Number, io: &Io<'_>) -> Result<(), StageError> {
        static TOSSES: AtomicU64 = AtomicU64::new(0);
        let toss = TOSSES.fetch_add(1, Ordering::SeqCst);
        io.put("corpus", vec![document("same", "same"), document("toss", toss)])
    }
}
