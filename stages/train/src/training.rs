//! What all trainers take as parameters, and their run within a stage.

use std::marker::PhantomData;

use ablate_core::{ArtifactKind, Input, Io, Output, Ports, Problems, Seed, StageError, rows::Step};
use ablate_models::Precision;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Batches, Checkpoints, Dev, Objective, Settings, optimizer::Decay, shuffled, train};

/// What a trainer does where its user says nothing; as sentence-transformers does, if the trainer has no choice of its own.
pub(crate) trait Defaults: 'static {
    /// See [`Training::epochs`].
    fn epochs() -> usize {
        1
    }
    /// See [`Training::batch`].
    fn batch() -> usize {
        32
    }
    /// See [`Training::lr`].
    fn lr() -> f64 {
        2e-5
    }
    /// See [`Training::warmup`].
    fn warmup() -> f64 {
        0.1
    }
    /// See [`Training::decay`].
    fn decay() -> Decay {
        Decay::Linear
    }
    /// See [`Training::weight_decay`].
    fn weight_decay() -> f64 {
        0.01
    }
    /// See [`Training::evaluate_every`].
    fn evaluate_every() -> usize {
        100
    }
}

/// The parameters that all trainers have, with the defaults of the trainer `D`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(bound = "D: Defaults")]
#[schemars(bound = "D: Defaults", rename = "Training")]
pub(crate) struct Training<D> {
    /// Times every row is trained on, unless `steps` says how long.
    #[serde(default = "D::epochs")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) epochs: usize,
    /// Rows of a batch.
    #[serde(default = "D::batch")]
    #[schemars(range(min = 1))]
    pub(crate) batch: usize,
    /// Highest learning rate.
    #[serde(default = "D::lr")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub(crate) lr: f64,
    /// Share of the steps in which the learning rate rises linearly.
    #[serde(default = "D::warmup")]
    #[schemars(range(min = 0, max = 1))]
    pub(crate) warmup: f64,
    /// What the learning rate does then.
    #[serde(default = "D::decay")]
    pub(crate) decay: Decay,
    /// Decoupled weight decay; biases and normalisations are not decayed.
    #[serde(default = "D::weight_decay")]
    #[schemars(range(min = 0))]
    pub(crate) weight_decay: f64,
    /// Global gradient norm above which gradients are scaled down; 0 for never.
    #[serde(default = "max_grad_norm")]
    #[schemars(range(min = 0))]
    pub(crate) max_grad_norm: f64,
    /// Seed of what is drawn: new parameters, the order of rows, dropout.
    #[serde(default = "seed")]
    pub(crate) seed: u64,
    /// Trains for this many steps instead of `epochs`: rows come again, in another order, until then (transformers' `max_steps`).
    #[serde(default)]
    #[schemars(range(min = 1, max = MOST_STEPS))]
    pub(crate) steps: Option<usize>,
    /// Steps between evaluations on `dev`.
    #[serde(default = "D::evaluate_every")]
    #[schemars(range(min = 1))]
    pub(crate) evaluate_every: usize,
    /// Ends training after so many evaluations without a smaller loss on `dev`.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub(crate) patience: Option<usize>,
    /// What products are computed in.
    #[serde(default)]
    pub(crate) precision: Precision,
    /// Whether a layer's states are computed again for its gradients instead of being kept: much less memory, about a third more
    /// time, the same result to the bit.
    #[serde(default)]
    pub(crate) gradient_checkpointing: bool,
    #[serde(skip)]
    defaults: PhantomData<fn() -> D>,
}

/// Steps of a run at most: the curve counts them in 32 bits.
const MOST_STEPS: u32 = u32::MAX;

/// Those that cannot change the result.
pub(crate) const EXECUTION: &[&str] = &["gradient_checkpointing"];

/// The port of rows that a model is only evaluated on.
pub(crate) const fn dev(kind: ArtifactKind) -> Input {
    Input::of("dev", kind)
        .optional()
        .about("what its loss is looked at on: the model is that of the smallest")
}

/// The output that every trainer has beside its model.
pub(crate) const CURVE: Output =
    Output::of("curve", ArtifactKind::Curve).about("loss, learning rate and gradient norm of every step");

fn max_grad_norm() -> f64 {
    1.0
}
fn seed() -> u64 {
    1
}

/// Rows that a model is evaluated on while it is trained: their loss and their batches; no batches, no evaluation.
pub(crate) type Judged<'a> = (&'a dyn Objective, Vec<Vec<usize>>);

impl<D> Training<D> {
    /// Finds what does not go with the inputs.
    pub(crate) fn check_ports(&self, ports: &Ports<'_>, problems: &mut Problems) {
        problems.require(
            self.patience.is_none() || ports.has("dev"),
            "patience",
            "waits for a smaller loss on `dev`, and nothing stands there: connect it, or leave `patience` out",
        );
    }

    /// The root of what is drawn.
    pub(crate) fn root(&self) -> Seed {
        Seed::root(self.seed)
    }

    /// The batches of all epochs, or of as many as `steps` asks for; `epoch` makes those of one.
    ///
    /// # Errors
    /// If there are no rows, or more steps than a curve has room for.
    pub(crate) fn batches<'a>(
        &self,
        rows: usize,
        epoch: impl Fn(&Seed) -> Vec<Vec<usize>> + 'a,
    ) -> Result<Batches<'a>, StageError> {
        if rows == 0 {
            return Err(StageError::with_help(
                "there is nothing to train on",
                "look at the stages before: a filter, the negatives or a margin may have dropped every row",
            ));
        }
        let shuffle = self.root().child("shuffle");
        let epoch = move |number: usize| epoch(&shuffle.child(&number.to_string()));
        // Epochs need not have the same number of batches.
        let all = || (0..self.epochs).map(|number| epoch(number).len()).sum::<usize>();
        let steps = self.steps.unwrap_or_else(all);
        match steps <= MOST_STEPS as usize {
            true => Ok(Batches::new(steps, epoch)),
            false => Err(StageError::with_help(
                format!(
                    "{} epochs of {rows} rows are {steps} steps, and {MOST_STEPS} are the most",
                    self.epochs
                ),
                "lower `epochs`, or set `steps`",
            )),
        }
    }

    /// The same, each epoch all rows in another order.
    pub(crate) fn shuffled(&self, rows: usize) -> Result<Batches<'static>, StageError> {
        let size = self.batch;
        self.batches(rows, move |seed| shuffled(rows, size, seed))
    }

    /// The batches of rows that are only evaluated.
    pub(crate) fn judged<'a>(&self, objective: &'a dyn Objective, rows: usize) -> Judged<'a> {
        (objective, shuffled(rows, self.batch, &self.root().child("dev")))
    }

    /// Trains as [`train`] does, with the checkpoints and the progress of a stage.
    ///
    /// # Errors
    /// As [`train`], and if there is nothing to be patient about.
    pub(crate) fn run(
        &self,
        objective: &dyn Objective,
        batches: &Batches<'_>,
        (judge, judged): Judged<'_>,
        dropout: Option<f32>,
        io: &Io<'_>,
    ) -> Result<Vec<Step>, StageError> {
        if self.patience.is_some() && judged.is_empty() {
            return Err(StageError::with_help(
                "`patience` waits for a smaller loss on `dev`, and there is no row",
                "look at the stages before `dev`, or leave `patience` out",
            ));
        }
        let dev = (!judged.is_empty()).then_some(Dev {
            objective: judge,
            batches: &judged,
            every: self.evaluate_every,
            patience: self.patience,
        });
        let steps = batches.steps();
        io.progress(0, steps, "steps")?;
        let mut observe = |step: &Step| io.progress(step.step as usize, steps, "steps");
        let checkpoints = Checkpoints {
            folder: io.checkpoints()?,
            due: &|| io.checkpoint_due(),
        };
        let curve = train(
            objective,
            batches,
            &self.settings(dropout),
            dev.as_ref(),
            Some(&checkpoints),
            &mut observe,
        )?;
        tell(&curve, steps, io);
        Ok(curve)
    }

    fn settings(&self, dropout: Option<f32>) -> Settings {
        Settings {
            learning_rate: self.lr,
            warmup: self.warmup,
            decay: self.decay,
            weight_decay: self.weight_decay,
            max_gradient_norm: self.max_grad_norm,
            dropout,
            precision: self.precision,
            gradient_checkpointing: self.gradient_checkpointing,
            seed: self.root(),
        }
    }
}

/// Says which step's model it is, and whether training ended early.
fn tell(curve: &[Step], steps: usize, io: &Io<'_>) {
    let losses = curve.iter().filter_map(|step| Some((step.dev_loss?, step.step)));
    if let Some((loss, best)) = losses.min_by(|a, b| a.0.total_cmp(&b.0)) {
        let last = curve.len();
        io.note(format!(
            "the model is that of step {best} of {last}, whose loss on dev is {loss:.4}"
        ));
    }
    if curve.len() < steps {
        let done = curve.len();
        io.note(format!(
            "stopped after {done} of {steps} steps: the loss on dev fell no more"
        ));
    }
}
