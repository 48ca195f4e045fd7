//! The training loop of a bi-encoder.

use std::collections::BTreeMap;

use ablate_core::{
    Seed, StageError,
    rows::{Step, Triple},
};
use ablate_models::{bert::Mode, encoder::SentenceEncoder};
use candle_core::Tensor;

use crate::{
    Checkpoints,
    loss::multiple_negatives_ranking,
    optimizer::{Optimizer, Schedule},
};

/// What a training run does at each step.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Share of the steps that warm up.
    pub warmup: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// What cosines are multiplied by.
    pub scale: f64,
    /// Global gradient norm above which gradients are scaled down; 0 for never.
    pub max_gradient_norm: f64,
    /// Dropout probability; the model's configuration if `None`.
    pub dropout: Option<f32>,
    /// Dropout draws from streams below this, named by step and layer.
    pub seed: Seed,
}

/// The token ids of every text of the rows.
pub(crate) type TokenTable<'a> = BTreeMap<&'a str, Vec<u32>>;

/// Trains `encoder` in place on `batches` of `rows`, one step each, and returns the curve.
///
/// `checkpoints` are taken up where an interrupted run left them; the result is the same to the bit.
/// `observe` hears of each step before the next begins; its error ends the training, and a checkpoint is kept.
///
/// # Errors
/// If a loss or a gradient is not a finite number: the message names the step and the queries of its batch.
pub fn train(
    encoder: &SentenceEncoder,
    rows: &[Triple],
    batches: &[Vec<usize>],
    settings: &Settings,
    checkpoints: Option<&Checkpoints<'_>>,
    observe: &mut dyn FnMut(&Step) -> Result<(), StageError>,
) -> Result<Vec<Step>, StageError> {
    let tokens = tokenize(encoder, rows)?;
    let schedule = Schedule::new(settings.learning_rate, settings.warmup, batches.len());
    let mut optimizer = Optimizer::new(settings.weight_decay, settings.max_gradient_norm);
    let mut curve = match checkpoints {
        Some(checkpoints) => checkpoints.restore(encoder.store(), &mut optimizer)?,
        None => vec![],
    };
    for (at, batch) in batches.iter().enumerate().skip(curve.len()) {
        let batch: Vec<&Triple> = batch.iter().map(|row| &rows[*row]).collect();
        let mode = Mode::Train {
            seed: settings.seed.child("dropout").child(&at.to_string()),
            dropout: settings.dropout,
        };
        let loss = token_loss(encoder, &batch, &tokens, settings.scale, mode)?;
        let value = f64::from(loss.to_scalar::<f32>()?);
        refuse_unsound("loss", value, at, &batch)?;
        let gradients = loss.backward()?;
        drop(loss); // frees the activations before the optimiser allocates
        let learning_rate = schedule.rate(at);
        let gradient_norm = optimizer.step(encoder.store(), &gradients, learning_rate)?;
        refuse_unsound("gradient norm", gradient_norm, at, &batch)?;
        let step = Step {
            step: at as u32 + 1,
            learning_rate,
            loss: value,
            gradient_norm,
        };
        curve.push(step);
        let heard = observe(curve.last().unwrap_or_else(|| unreachable!("just pushed")));
        if let Some(checkpoints) = checkpoints
            && (heard.is_err() || (checkpoints.due)())
        {
            checkpoints.save(encoder.store(), &optimizer, &curve)?;
        }
        heard?;
    }
    Ok(curve)
}

/// The loss of one batch, a scalar with its graph: queries, positives and negatives go through the encoder together.
pub fn batch_loss(
    encoder: &SentenceEncoder,
    batch: &[&Triple],
    scale: f64,
    mode: Mode,
) -> Result<Tensor, StageError> {
    let rows: Vec<Triple> = batch.iter().map(|row| (*row).clone()).collect();
    let tokens = tokenize(encoder, &rows)?;
    token_loss(encoder, batch, &tokens, scale, mode)
}

fn token_loss(
    encoder: &SentenceEncoder,
    batch: &[&Triple],
    tokens: &TokenTable<'_>,
    scale: f64,
    mode: Mode,
) -> Result<Tensor, StageError> {
    let queries = batch.iter().map(|row| &row.query);
    let positives = batch.iter().map(|row| &row.pos_text);
    let negatives = batch.iter().map(|row| &row.neg_text);
    let texts = queries.chain(positives).chain(negatives);
    let ids: Vec<&[u32]> = texts.map(|text| tokens[text.as_str()].as_slice()).collect();
    let vectors = encoder.forward(&ids, mode)?;
    let queries = vectors.narrow(0, 0, batch.len())?;
    let candidates = vectors.narrow(0, batch.len(), 2 * batch.len())?;
    Ok(multiple_negatives_ranking(&queries, &candidates, scale)?)
}

fn tokenize<'a>(encoder: &SentenceEncoder, rows: &'a [Triple]) -> Result<TokenTable<'a>, StageError> {
    let texts = rows
        .iter()
        .flat_map(|row| [&row.query, &row.pos_text, &row.neg_text]);
    let mut table: TokenTable<'a> = texts.map(|text| (text.as_str(), Vec::new())).collect();
    let texts: Vec<String> = table.keys().map(|text| (*text).to_owned()).collect();
    for (slot, ids) in table.values_mut().zip(encoder.tokenize(&texts)?) {
        *slot = ids;
    }
    Ok(table)
}

fn refuse_unsound(what: &str, value: f64, at: usize, batch: &[&Triple]) -> Result<(), StageError> {
    if value.is_finite() {
        return Ok(());
    }
    let queries: Vec<&str> = batch.iter().map(|row| row.query_id.as_str()).collect();
    Err(StageError::with_help(
        format!(
            "the {what} of step {} is {value}; its queries: {}",
            at + 1,
            queries.join(", ")
        ),
        "lower `lr`, raise `warmup`, or look at these queries' texts",
    ))
}
