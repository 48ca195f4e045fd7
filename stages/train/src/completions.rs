//! What a generator learns: completions of prompts (SFT), or to prefer one to another (CPO).

use ablate_core::StageError;
use ablate_models::{
    Mode,
    decoder::{Prompted, TunedDecoder},
    params::ParamStore,
};
use candle_core::Tensor;

use crate::{Objective, loss::PreferenceLoss};

/// A row's tokens.
#[derive(Clone, Debug)]
pub struct Example {
    /// The row's name in messages.
    pub id: String,
    /// At least one token.
    pub prompt: Vec<u32>,
    /// The completion; of a preference the chosen one.
    pub chosen: Vec<u32>,
    /// What a preference rejects.
    pub rejected: Option<Vec<u32>>,
}

impl Example {
    /// Tokens of the prompt with its longer completion.
    pub(crate) fn tokens(&self) -> usize {
        let rejected = self.rejected.as_ref().map_or(0, Vec::len);
        self.prompt.len() + self.chosen.len().max(rejected)
    }
}

/// How a preference is learnt: the mean loss of the rows' margins, and `alpha` times the mean negative log-likelihood of the
/// tokens of all chosen completions of the batch (Xu et al., 2024, eq. 5; TRL 0.12.1, `CPOTrainer`).
#[derive(Clone, Copy, Debug)]
pub struct Preference {
    /// What becomes of a margin.
    pub loss: PreferenceLoss,
    /// How far one completion is to be preferred.
    pub beta: f64,
    /// The share of preferences taken to be wrong; of the sigmoid's loss only.
    pub smoothing: f64,
    /// Weight of the chosen completions' likelihood.
    pub alpha: f64,
}

/// Completions of prompts, a row each: their mean negative log-likelihood over tokens, or a [`Preference`].
pub struct Completions<'a> {
    model: &'a TunedDecoder,
    examples: &'a [Example],
    preference: Option<Preference>,
    rows_at_once: usize,
}

impl<'a> Completions<'a> {
    /// Over these rows; at most `rows_at_once` of a batch are computed together, and their gradients are added up.
    pub fn new(
        model: &'a TunedDecoder,
        examples: &'a [Example],
        preference: Option<Preference>,
        rows_at_once: usize,
    ) -> Self {
        Self {
            model,
            examples,
            preference,
            rows_at_once,
        }
    }

    fn text(&self, row: usize) -> Prompted<'_> {
        let example = &self.examples[row];
        let rejected = example.rejected.as_deref().filter(|_| self.preference.is_some());
        Prompted {
            prompt: &example.prompt,
            completions: std::iter::once(example.chosen.as_slice())
                .chain(rejected)
                .collect(),
        }
    }
}

/// The log-probabilities of each text's completions.
fn split(tokens: &Tensor, texts: &[Prompted<'_>]) -> candle_core::Result<Vec<Vec<Tensor>>> {
    let mut start = 0;
    let mut next = |completion: &&[u32]| {
        start += completion.len();
        tokens.narrow(0, start - completion.len(), completion.len())
    };
    let of = |text: &Prompted<'_>| text.completions.iter().map(&mut next).collect();
    texts.iter().map(of).collect()
}

impl Preference {
    /// The losses of rows with these log-probabilities of their completions, `(n)`.
    fn losses(&self, rows: &[Vec<Tensor>]) -> Result<Tensor, StageError> {
        let margins = rows.iter().map(|row| self.margin(row));
        let margins = Tensor::stack(&margins.collect::<Result<Vec<_>, _>>()?, 0)?;
        Ok(self.loss.of(&margins, self.beta, self.smoothing)?)
    }

    /// How much likelier the first of two completions is.
    fn margin(&self, completions: &[Tensor]) -> Result<Tensor, StageError> {
        let [chosen, rejected] = completions else {
            return Err(StageError::new("a preference has nothing it rejects"));
        };
        let whole = |tokens: &Tensor| match self.loss.averages() {
            true => tokens.mean_all(),
            false => tokens.sum_all(),
        };
        Ok((whole(chosen)? - whole(rejected)?)?)
    }
}

impl Objective for Completions<'_> {
    fn store(&self) -> &ParamStore {
        self.model.store()
    }

    fn share(&self, part: &[usize], batch: &[usize], mode: Mode<'_>) -> Result<Tensor, StageError> {
        let texts: Vec<Prompted<'_>> = part.iter().map(|row| self.text(*row)).collect();
        let tokens = self.model.log_probabilities(&texts, mode)?;
        let parts = split(&tokens, &texts)?;
        let of = |at: usize| parts.iter().filter_map(move |part| part.get(at));
        let chosen: Vec<Tensor> = of(0).map(Tensor::sum_all).collect::<Result<_, _>>()?;
        let tokens: usize = batch.iter().map(|row| self.examples[*row].chosen.len()).sum();
        let likelihood = (Tensor::stack(&chosen, 0)?.sum_all()? / -(tokens as f64))?;
        let Some(preference) = self.preference else {
            return Ok(likelihood);
        };
        let losses = preference.losses(&parts)?;
        Ok(((losses.sum_all()? / batch.len() as f64)? + (likelihood * preference.alpha)?)?)
    }

    fn rows_at_once(&self) -> Option<usize> {
        Some(self.rows_at_once)
    }

    fn query_id(&self, row: usize) -> &str {
        &self.examples[row].id
    }
}
