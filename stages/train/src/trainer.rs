//! The training loop: batches, schedule, optimiser, evaluation, checkpoints. What is learnt is an [`Objective`]'s matter.

use ablate_core::{Seed, StageError, rows::Step};
use ablate_models::{Mode, Precision, gradient_checkpointing::Tape, params::ParamStore};
use candle_core::Tensor;

use crate::{
    Batches, Checkpoints, Gradients,
    optimizer::{Decay, Optimizer, Schedule},
};

/// What a training run teaches a model.
pub trait Objective {
    /// The model's parameters.
    fn store(&self) -> &ParamStore;

    /// What `part`, rows of `batch` that are computed together, adds to the mean loss of the batch, with its graph: a scalar.
    fn share(&self, part: &[usize], batch: &[usize], mode: Mode<'_>) -> Result<Tensor, StageError>;

    /// Rows of a batch that are computed together; all of them if `None`.
    fn rows_at_once(&self) -> Option<usize> {
        None
    }

    /// The query of a row, for messages.
    fn query_id(&self, row: usize) -> &str;

    /// The mean loss of a batch, and its gradients, added up over its parts.
    fn gradients(&self, batch: &[usize], mode: Mode<'_>) -> Result<(f64, Gradients), StageError> {
        let (mut sum, mut gradients) = (0.0, Gradients::default());
        for (at, part) in batch
            .chunks(self.rows_at_once().unwrap_or(usize::MAX))
            .enumerate()
        {
            let mode = if at == 0 { mode } else { mode.child(at) };
            let share = self.share(part, batch, mode)?;
            sum += value(&share)?;
            gradients.add(Gradients::of(&share, self.store(), mode)?)?;
        }
        Ok((sum, gradients))
    }

    /// The mean loss of a batch, without gradients or dropout.
    fn loss(&self, batch: &[usize]) -> Result<f64, StageError> {
        let parts = batch.chunks(self.rows_at_once().unwrap_or(usize::MAX));
        parts
            .map(|part| value(&self.share(part, batch, Mode::Inference)?))
            .sum()
    }
}

/// The number in a scalar.
pub(crate) fn value(scalar: &Tensor) -> Result<f64, StageError> {
    Ok(f64::from(scalar.to_scalar::<f32>()?))
}

/// What a training run does at each step.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Share of the steps that warm up.
    pub warmup: f64,
    /// What the learning rate does then.
    pub decay: Decay,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Global gradient norm above which gradients are scaled down; 0 for never.
    pub max_gradient_norm: f64,
    /// Dropout probability; the model's configuration if `None`.
    pub dropout: Option<f32>,
    /// What products are computed in; the loss of rows that are only evaluated is of f32.
    pub precision: Precision,
    /// Whether layers are computed again for their gradients, in less memory.
    pub gradient_checkpointing: bool,
    /// Dropout draws from streams below this, named by step and layer.
    pub seed: Seed,
}

/// What a model is evaluated on while it is trained.
pub struct Dev<'a> {
    /// The loss, over rows that it is not trained on.
    pub objective: &'a dyn Objective,
    /// Their batches.
    pub batches: &'a [Vec<usize>],
    /// Steps between evaluations; the last step is followed by one too.
    pub every: usize,
    /// Ends the training after so many evaluations without a smaller loss.
    pub patience: Option<usize>,
}

/// Trains in place on `batches`, one step each, and returns the curve. With `dev` the parameters are in the end those
/// of the evaluation with the smallest loss.
///
/// `checkpoints` are taken up where an interrupted run left them; the result is the same to the bit.
/// `observe` hears of each step before the next begins; its error ends the training, and a checkpoint is kept.
///
/// # Errors
/// If a loss or a gradient is not a finite number: the message names the step, the queries of its batch, and the last
/// checkpoint.
pub fn train(
    objective: &dyn Objective,
    batches: &Batches<'_>,
    settings: &Settings,
    dev: Option<&Dev<'_>>,
    checkpoints: Option<&Checkpoints<'_>>,
    observe: &mut dyn FnMut(&Step) -> Result<(), StageError>,
) -> Result<Vec<Step>, StageError> {
    let mut run = Run::begin(objective, batches.steps(), settings, checkpoints)?;
    let mut left = batches.after(run.curve.len());
    while !dev.is_some_and(|dev| run.is_over(dev))
        && let Some(batch) = left.next()
    {
        let mut step = run.step(&batch)?;
        let last = run.curve.len() + 1 == batches.steps();
        if let Some(dev) = dev.filter(|dev| last || (run.curve.len() + 1).is_multiple_of(dev.every)) {
            step.dev_loss = Some(run.evaluate(dev)?);
        }
        run.curve.push(step.clone());
        let heard = observe(&step);
        if heard.is_err() || checkpoints.is_some_and(|checkpoints| (checkpoints.due)()) {
            run.save()?;
        }
        heard?;
    }
    run.finish()
}

/// A training run under way.
struct Run<'a> {
    objective: &'a dyn Objective,
    settings: &'a Settings,
    schedule: Schedule,
    optimizer: Optimizer,
    checkpoints: Option<&'a Checkpoints<'a>>,
    /// The parameters of the best evaluation so far.
    best: Option<ParamStore>,
    curve: Vec<Step>,
}

impl<'a> Run<'a> {
    fn begin(
        objective: &'a dyn Objective,
        steps: usize,
        settings: &'a Settings,
        checkpoints: Option<&'a Checkpoints<'a>>,
    ) -> Result<Self, StageError> {
        let mut optimizer = Optimizer::new(settings.weight_decay, settings.max_gradient_norm);
        let (curve, best) = match checkpoints {
            Some(checkpoints) => checkpoints.restore(objective.store(), &mut optimizer)?,
            None => (vec![], None),
        };
        Ok(Self {
            objective,
            settings,
            schedule: Schedule::new(settings.learning_rate, settings.decay, settings.warmup, steps),
            optimizer,
            checkpoints,
            best,
            curve,
        })
    }

    /// Moves the parameters by one batch.
    fn step(&mut self, rows: &[usize]) -> Result<Step, StageError> {
        let at = self.curve.len();
        let seed = self.settings.seed.child("dropout").child(&at.to_string());
        let mode = Mode::train(seed, self.settings.dropout).in_precision(self.settings.precision);
        let tape = Tape::default();
        let mode = match self.settings.gradient_checkpointing {
            true => mode.checkpointed(&tape),
            false => mode,
        };
        let (loss, gradients) = self.objective.gradients(rows, mode)?;
        self.refuse_unsound("loss", loss, rows)?;
        let learning_rate = self.schedule.rate(at);
        let gradient_norm = self
            .optimizer
            .step(self.objective.store(), &gradients, learning_rate)?;
        self.refuse_unsound("gradient norm", gradient_norm, rows)?;
        Ok(Step {
            step: at as u32 + 1,
            learning_rate,
            loss,
            gradient_norm,
            dev_loss: None,
        })
    }

    /// The mean loss of the rows the model is not trained on; the parameters are kept if it is the smallest so far.
    fn evaluate(&mut self, dev: &Dev<'_>) -> Result<f64, StageError> {
        let (mut sum, mut count) = (0.0, 0);
        for batch in dev.batches {
            sum += dev.objective.loss(batch)? * batch.len() as f64;
            count += batch.len();
        }
        let loss = sum / count.max(1) as f64;
        let losses = self.curve.iter().filter_map(|step| step.dev_loss);
        if loss.is_finite() && losses.fold(f64::INFINITY, f64::min) > loss {
            self.best = Some(self.objective.store().copy()?);
        }
        Ok(loss)
    }

    /// Whether the last evaluations were all worse than one before them.
    fn is_over(&self, dev: &Dev<'_>) -> bool {
        // Nothing but an evaluation ends it: the curve is not read at every step.
        if self.curve.last().is_none_or(|step| step.dev_loss.is_none()) {
            return false;
        }
        let losses: Vec<f64> = self.curve.iter().filter_map(|step| step.dev_loss).collect();
        let best = (0..losses.len()).min_by(|a, b| losses[*a].total_cmp(&losses[*b]));
        dev.patience
            .zip(best)
            .is_some_and(|(patience, best)| losses.len() - 1 - best >= patience)
    }

    fn save(&self) -> Result<(), StageError> {
        let store = self.objective.store();
        match self.checkpoints {
            Some(checkpoints) => checkpoints.save(store, &self.optimizer, &self.curve, self.best.as_ref()),
            None => Ok(()),
        }
    }

    fn finish(self) -> Result<Vec<Step>, StageError> {
        if let Some(best) = &self.best {
            self.objective.store().set_all(best)?;
        }
        Ok(self.curve)
    }

    fn refuse_unsound(&self, what: &str, value: f64, rows: &[usize]) -> Result<(), StageError> {
        if value.is_finite() {
            return Ok(());
        }
        let step = self.curve.len() + 1;
        let queries: Vec<&str> = rows.iter().map(|row| self.objective.query_id(*row)).collect();
        let kept = match self.checkpoints.map(Checkpoints::last).transpose()?.flatten() {
            Some(step) => format!("; the last checkpoint is of step {step}"),
            None => String::new(),
        };
        Err(StageError::with_help(
            format!(
                "the {what} of step {step} is {value}; its queries: {}{kept}",
                queries.join(", ")
            ),
            "lower `lr`, raise `warmup`, or look at these queries' texts",
        ))
    }
}
