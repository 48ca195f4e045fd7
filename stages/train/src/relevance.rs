//! What a cross-encoder learns: to tell a query's positives from its negatives.

use std::ops::Range;

use ablate_core::{StageError, rows::Triple};
use ablate_models::{
    Mode,
    params::ParamStore,
    reranker::{CrossEncoder, PairTokens},
};
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Objective,
    batches::by_positive,
    loss::{binary_cross_entropy, first_of_all},
};

/// How the logits of a query's documents become a loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RelevanceLoss {
    /// Binary cross-entropy of each pair of a query and a document (sentence-transformers' `BinaryCrossEntropyLoss`).
    #[default]
    Bce,
    /// Cross-entropy of the positive among all documents of its query (the softmax of LCE; Gao et al., 2021).
    Listwise,
}

/// A row: documents of one query that are trained on together.
struct Row<'a> {
    query_id: &'a str,
    /// Its pairs.
    pairs: Range<usize>,
    /// Whether the one pair of [`RelevanceLoss::Bce`] is relevant; of a list, the first is.
    relevant: bool,
}

/// The relevance of documents to queries, by a cross-encoder.
pub struct Relevance<'a> {
    model: &'a CrossEncoder,
    pairs: Vec<PairTokens>,
    rows: Vec<Row<'a>>,
    loss: RelevanceLoss,
    rows_at_once: Option<usize>,
}

impl<'a> Relevance<'a> {
    /// Over triples, whose positives and negatives are the documents of their queries. At most `rows_at_once` rows of a
    /// batch are computed together; their gradients are added up.
    ///
    /// # Errors
    /// If a pair cannot be tokenised.
    pub fn new(
        model: &'a CrossEncoder,
        triples: &'a [Triple],
        loss: RelevanceLoss,
        rows_at_once: Option<usize>,
    ) -> Result<Self, StageError> {
        let (mut texts, mut rows) = (Vec::new(), Vec::new());
        for group in by_positive(triples) {
            let (first, query) = (texts.len(), group[0].query.as_str());
            texts.push((query, group[0].pos_text.as_str()));
            texts.extend(group.iter().map(|triple| (query, triple.neg_text.as_str())));
            let query_id = group[0].query_id.as_str();
            let row = |pairs: Range<usize>| Row {
                query_id,
                relevant: pairs.start == first,
                pairs,
            };
            match loss {
                RelevanceLoss::Bce => rows.extend((first..texts.len()).map(|at| row(at..at + 1))),
                RelevanceLoss::Listwise => rows.push(row(first..texts.len())),
            }
        }
        Ok(Self {
            model,
            pairs: model.tokenize(&texts)?,
            rows,
            loss,
            rows_at_once,
        })
    }

    /// How many rows there are: pairs, or lists of them.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }
}

impl Objective for Relevance<'_> {
    fn store(&self) -> &ParamStore {
        self.model.store()
    }

    fn share(&self, part: &[usize], batch: &[usize], mode: Mode<'_>) -> Result<Tensor, StageError> {
        let rows = || part.iter().map(|row| &self.rows[*row]);
        let pairs = rows().flat_map(|row| &self.pairs[row.pairs.clone()]);
        let logits = self.model.forward(pairs, mode)?;
        let sum = match self.loss {
            RelevanceLoss::Bce => {
                let labels: Vec<f32> = rows().map(|row| f32::from(u8::from(row.relevant))).collect();
                binary_cross_entropy(&logits, &labels)
            }
            RelevanceLoss::Listwise => {
                let lengths: Vec<usize> = rows().map(|row| row.pairs.len()).collect();
                first_of_all(&logits, &lengths)
            }
        };
        Ok((sum? / batch.len() as f64)?)
    }

    fn rows_at_once(&self) -> Option<usize> {
        self.rows_at_once
    }

    fn query_id(&self, row: usize) -> &str {
        self.rows[row].query_id
    }
}
