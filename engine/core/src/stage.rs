//! What a stage is: to its author ([`Stage`]) and to the engine ([`StageKind`], [`Bound`]).

use std::{fmt, marker::PhantomData};

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{Expense, Input, Io, Output, ParamProblem, Ports, Preview, Problems, canon, params, schema_of};

/// Where a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Slot {
    /// Threads of the CPU only.
    Cpu,
    /// The compute device of the run (a GPU, or the whole CPU where there is none).
    Device,
}

/// What a node needs of main memory, from the bytes it reads. A coarse upper bound, so that nodes that run at once fit
/// together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Memory {
    /// Bytes per byte of its input tables, which are compressed where they are kept.
    pub tables: f64,
    /// Bytes per byte of the models it reads.
    pub models: f64,
    /// Bytes whatever it reads.
    pub least: u64,
}

impl Memory {
    /// What reads tables and computes with models as they are.
    pub const READING: Self = Self {
        tables: 8.0,
        models: 1.5,
        least: 0,
    };
    /// What trains a model: weights, gradients, two moments, and the states of a batch.
    pub const TRAINING: Self = Self {
        tables: 8.0,
        models: 8.0,
        least: 0,
    };

    /// Bytes for a node that reads so many bytes of tables and of models.
    pub fn bytes(&self, tables: u64, models: u64) -> u64 {
        let read = self.tables * tables as f64 + self.models * models as f64;
        self.least.max(read as u64)
    }
}

/// What a node occupies while it runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Needs {
    /// Its slot.
    pub slot: Slot,
    /// Its main memory.
    pub memory: Memory,
}

/// The numeric mode of a stage: enters the key. Device and thread count do not.
pub type Numeric = &'static str;

/// The device a run computes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum DeviceChoice {
    /// The CPU.
    #[default]
    Cpu,
    /// The CUDA device of this number.
    Cuda(usize),
    /// The GPU of a Mac.
    Metal,
}

/// As the command line takes it.
impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
            Self::Metal => f.write_str("metal"),
        }
    }
}

/// Why a stage did not finish.
#[derive(Debug)]
pub enum StageError {
    /// The run is being interrupted.
    Cancelled,
    /// It failed.
    Failed {
        /// A lower-case fragment that names the value at fault.
        message: String,
        /// What to do, as an imperative sentence.
        help: Option<String>,
    },
}

impl StageError {
    /// A failure.
    pub fn new(message: impl Into<String>) -> Self {
        Self::Failed {
            message: message.into(),
            help: None,
        }
    }

    /// A failure with what to do about it.
    pub fn with_help(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Failed {
            message: message.into(),
            help: Some(help.into()),
        }
    }
}

impl fmt::Display for StageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("interrupted"),
            Self::Failed { message, .. } => f.write_str(message),
        }
    }
}

// StageError is not itself a std error, so that `?` takes any.
impl<E: std::error::Error> From<E> for StageError {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            let text = inner.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            cause = inner.source();
        }
        Self::new(message)
    }
}

/// What a stage author writes: one file, one impl, one line in `STAGES`.
pub trait Stage: Sized + Send + Sync + 'static {
    /// The name after `use:`.
    const NAME: &'static str;
    /// Raise when equal inputs and parameters give other rows. Enters the key.
    const VERSION: u32;
    /// One line on what it does.
    const ABOUT: &'static str;
    /// A line of an experiment file, `name: {use: KIND, ...}`. The examples of all kinds make one experiment together.
    const EXAMPLE: &'static str = "";
    /// Input ports. Their names stand beside the parameters in the experiment file.
    const INPUTS: &'static [Input];
    /// Output ports.
    const OUTPUTS: &'static [Output];
    /// Parameters that cannot change the result (dotted names): batch sizes, concurrency. Never in the key.
    const EXECUTION: &'static [&'static str] = &[];
    /// What a node of this kind occupies.
    const SLOT: Slot = Slot::Cpu;
    /// What a node of this kind needs of main memory.
    const MEMORY: Memory = Memory::READING;
    /// Declared data type and kernel family, where no parameter says otherwise; enters the key.
    const NUMERIC: Numeric = "exact";
    /// The parameters; fields that their schema does not know are refused. Groups that several stages share are
    /// flattened. Give every field a doc comment, a default where one is sensible,
    /// and its range as `#[schemars(range(min = 1))]`: values outside are refused, editors and the reference show it.
    type Params: Serialize + DeserializeOwned + JsonSchema + Send + Sync;

    /// What a node with these parameters occupies.
    fn needs(_params: &Self::Params) -> Needs {
        Needs {
            slot: Self::SLOT,
            memory: Self::MEMORY,
        }
    }

    /// Finds what is wrong beyond the ranges of single values.
    fn check(_params: &Self::Params, _problems: &mut Problems) {}

    /// Finds what is wrong with parameters that do not go with what stands at the input ports.
    fn check_ports(_params: &Self::Params, _ports: &Ports<'_>, _problems: &mut Problems) {}

    /// What it is going to ask of servers, where that can be told.
    fn expense(_params: &Self::Params, _preview: &dyn Preview) -> Option<Expense> {
        None
    }

    /// Whether an output is written with these parameters.
    fn makes(_params: &Self::Params, _output: &str) -> bool {
        true
    }

    /// Computes the outputs.
    fn run(params: &Self::Params, io: &Io<'_>) -> Result<(), StageError>;
}

/// A stage kind as the engine sees it.
pub trait StageKind: Sync {
    /// [`Stage::NAME`].
    fn name(&self) -> &'static str;
    /// [`Stage::VERSION`].
    fn version(&self) -> u32;
    /// [`Stage::ABOUT`].
    fn about(&self) -> &'static str;
    /// [`Stage::EXAMPLE`].
    fn example(&self) -> &'static str;
    /// [`Stage::INPUTS`].
    fn inputs(&self) -> &'static [Input];
    /// [`Stage::OUTPUTS`].
    fn outputs(&self) -> &'static [Output];
    /// [`Stage::EXECUTION`].
    fn execution(&self) -> &'static [&'static str];
    /// [`Stage::SLOT`].
    fn slot(&self) -> Slot;
    /// [`Stage::NUMERIC`].
    fn numeric(&self) -> Numeric;
    /// JSON Schema of the parameters, without references.
    fn schema(&self) -> &'static Schema;
    /// Decodes the parameters (the fields without ports), or returns every problem.
    fn bind(&self, fields: &Map<String, Value>) -> Result<Box<dyn Bound>, Vec<ParamProblem>>;
}

/// A stage kind with its parameters.
pub trait Bound: Send + Sync {
    /// The parameters that matter to the result, in canonical form.
    fn meaning(&self) -> canon::Value;
    /// All parameters, defaults filled in.
    fn params(&self) -> Value;
    /// What it occupies while it runs.
    fn needs(&self) -> Needs;
    /// [`Stage::check_ports`].
    fn check_ports(&self, ports: &Ports<'_>) -> Vec<ParamProblem>;
    /// [`Stage::expense`].
    fn expense(&self, preview: &dyn Preview) -> Option<Expense>;
    /// [`Stage::makes`].
    fn makes(&self, output: &str) -> bool;
    /// Computes the outputs.
    fn run(&self, io: &Io<'_>) -> Result<(), StageError>;
}

/// Makes a [`StageKind`] of a [`Stage`]: `&Of::<Bm25>::NEW` is the line in the registry.
pub struct Of<S>(PhantomData<fn() -> S>);

impl<S> Of<S> {
    /// The one value.
    pub const NEW: Self = Self(PhantomData);
}

struct BoundStage<S: Stage>(S::Params);

impl<S: Stage> Bound for BoundStage<S> {
    fn meaning(&self) -> canon::Value {
        let mut value =
            canon::Value::of(&self.0).unwrap_or_else(|_| unreachable!("checked when it was bound"));
        for path in S::EXECUTION {
            value.remove(path);
        }
        value
    }
    fn params(&self) -> Value {
        serde_json::to_value(&self.0).unwrap_or_default()
    }
    fn needs(&self) -> Needs {
        S::needs(&self.0)
    }
    fn check_ports(&self, ports: &Ports<'_>) -> Vec<ParamProblem> {
        let mut problems = Problems::default();
        S::check_ports(&self.0, ports, &mut problems);
        problems.into_found()
    }
    fn expense(&self, preview: &dyn Preview) -> Option<Expense> {
        S::expense(&self.0, preview)
    }
    fn makes(&self, output: &str) -> bool {
        S::makes(&self.0, output)
    }
    fn run(&self, io: &Io<'_>) -> Result<(), StageError> {
        S::run(&self.0, io)
    }
}

impl<S: Stage> StageKind for Of<S> {
    fn name(&self) -> &'static str {
        S::NAME
    }
    fn version(&self) -> u32 {
        S::VERSION
    }
    fn about(&self) -> &'static str {
        S::ABOUT
    }
    fn example(&self) -> &'static str {
        S::EXAMPLE
    }
    fn inputs(&self) -> &'static [Input] {
        S::INPUTS
    }
    fn outputs(&self) -> &'static [Output] {
        S::OUTPUTS
    }
    fn execution(&self) -> &'static [&'static str] {
        S::EXECUTION
    }
    fn slot(&self) -> Slot {
        S::SLOT
    }
    fn numeric(&self) -> Numeric {
        S::NUMERIC
    }
    fn schema(&self) -> &'static Schema {
        schema_of::<S::Params>()
    }
    fn bind(&self, fields: &Map<String, Value>) -> Result<Box<dyn Bound>, Vec<ParamProblem>> {
        let params = params::decode(fields, self.schema().as_value(), S::check)?;
        Ok(Box::new(BoundStage::<S>(params)))
    }
}
