//! What a monoT5 learns: to answer `true` for a query's positives and `false` for its negatives.

use ablate_core::{StageError, rows::Triple};
use ablate_models::{Mode, params::ParamStore, reranker::MonoT5};
use candle_core::Tensor;

use crate::{Objective, batches::by_positive};

/// The answers of a monoT5, a row a pair of a query and a document (Nogueira et al., 2020): cross-entropy of the answer and the
/// end token behind it.
pub struct Answers<'a> {
    model: &'a MonoT5,
    query_ids: Vec<&'a str>,
    prompts: Vec<Vec<u32>>,
    relevant: Vec<bool>,
    rows_at_once: Option<usize>,
}

impl<'a> Answers<'a> {
    /// Over triples: each positive once a negative if `balanced`, as InPars trains, else once a query. At most
    /// `rows_at_once` rows of a batch are computed together; their gradients are added up.
    ///
    /// # Errors
    /// If a query leaves no room for a document.
    pub fn new(
        model: &'a MonoT5,
        triples: &'a [Triple],
        balanced: bool,
        rows_at_once: Option<usize>,
    ) -> Result<Self, StageError> {
        let (mut pairs, mut query_ids, mut relevant) = (Vec::new(), Vec::new(), Vec::new());
        let mut add = |triple: &'a Triple, document: &'a str, is_relevant: bool| {
            pairs.push((triple.query.as_str(), document));
            query_ids.push(triple.query_id.as_str());
            relevant.push(is_relevant);
        };
        for group in by_positive(triples) {
            for (at, triple) in group.iter().enumerate() {
                if balanced || at == 0 {
                    add(triple, &triple.pos_text, true);
                }
                add(triple, &triple.neg_text, false);
            }
        }
        Ok(Self {
            model,
            prompts: model.tokenize(&pairs)?,
            query_ids,
            relevant,
            rows_at_once,
        })
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.prompts.len()
    }
}

impl Objective for Answers<'_> {
    fn store(&self) -> &ParamStore {
        self.model.store()
    }

    fn share(&self, part: &[usize], batch: &[usize], mode: Mode<'_>) -> Result<Tensor, StageError> {
        let prompts: Vec<&[u32]> = part.iter().map(|row| self.prompts[*row].as_slice()).collect();
        let relevant: Vec<bool> = part.iter().map(|row| self.relevant[*row]).collect();
        let mean = self.model.answer_loss(&prompts, &relevant, mode)?;
        Ok((mean * (part.len() as f64 / batch.len() as f64))?)
    }

    fn rows_at_once(&self) -> Option<usize> {
        self.rows_at_once
    }

    fn query_id(&self, row: usize) -> &str {
        self.query_ids[row]
    }
}
