//! What a distilled bi-encoder learns: to score documents as its teacher does.

use std::{collections::BTreeMap, ops::Range};

use ablate_core::{
    StageError,
    rows::{Hit, Triple},
};
use ablate_models::{
    Mode,
    encoder::{Role, SentenceEncoder},
    ops,
    params::ParamStore,
};
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Objective,
    batches::by_positive,
    loss::{margin_error, teacher_divergence},
    tokens::TokenTable,
};

/// How the distance of the student's scores from the teacher's is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImitationLoss {
    /// The squared error of each margin between a positive and a negative (MarginMSE; Hofstätter et al., 2020;
    /// sentence-transformers' `MarginMSELoss`).
    #[default]
    MarginMse,
    /// The divergence of the distributions over the documents of a query (sentence-transformers' `DistillKLDivLoss`).
    Kl,
}

/// How a batch is imitated.
#[derive(Clone, Copy, Debug)]
pub struct ImitationSettings {
    /// The distance.
    pub loss: ImitationLoss,
    /// What the student's scores are multiplied by.
    pub scale: f64,
    /// What both scores are divided by before the softmax of [`ImitationLoss::Kl`].
    pub temperature: f64,
    /// Rows of a batch that are computed together; all if `None`.
    pub rows_at_once: Option<usize>,
}

/// A row: a query with its positive, the first, and its negatives.
struct Row<'a> {
    query_id: &'a str,
    query: &'a str,
    documents: Vec<&'a str>,
    /// The teacher's scores of the documents.
    wanted: Vec<f32>,
}

/// The scores of a teacher, imitated by the products of an encoder's vectors. Vectors are those that the encoder gives its
/// users: of length 1 if it scales them so.
pub struct Imitation<'a> {
    encoder: &'a SentenceEncoder,
    rows: Vec<Row<'a>>,
    tokens: TokenTable<'a>,
    settings: ImitationSettings,
}

/// Scores by query and document.
type Scores<'a> = BTreeMap<(&'a str, &'a str), f32>;

impl<'a> Imitation<'a> {
    /// Over triples whose documents a teacher has scored.
    ///
    /// # Errors
    /// If it has not scored all of them, or a text cannot be tokenised.
    pub fn new(
        encoder: &'a SentenceEncoder,
        triples: &'a [Triple],
        teacher: &'a [Hit],
        settings: ImitationSettings,
    ) -> Result<Self, StageError> {
        let key = |hit: &'a Hit| ((hit.query_id.as_str(), hit.doc_id.as_str()), hit.score);
        let scores: Scores<'_> = teacher.iter().map(key).collect();
        let rows: Vec<Row<'_>> = by_positive(triples)
            .map(|group| row(group, &scores))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            encoder,
            rows,
            tokens: TokenTable::of(encoder, triples)?,
            settings,
        })
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The student's scores of the documents of some rows, one row after the other: `(documents)`.
    fn scores(&self, rows: &[&Row<'_>], mode: Mode<'_>) -> candle_core::Result<Tensor> {
        let queries = rows.iter().map(|row| self.tokens.get(Role::Query, row.query));
        let documents = rows.iter().flat_map(|row| &row.documents);
        let ids: Vec<&[u32]> = queries
            .chain(documents.map(|text| self.tokens.get(Role::Document, text)))
            .collect();
        let vectors = self.encoder.forward(&ids, mode)?;
        let vectors = if self.encoder.normalizes() {
            ops::normalize(&vectors)?
        } else {
            vectors
        };
        let of = |(at, row): (usize, &&Row<'_>)| vec![at as u32; row.documents.len()];
        let of: Vec<u32> = rows.iter().enumerate().flat_map(of).collect();
        let queries = vectors.index_select(&Tensor::new(of, vectors.device())?, 0)?;
        let documents = vectors.narrow(0, rows.len(), ids.len() - rows.len())?;
        (queries * documents)?.sum(1)? * self.settings.scale
    }
}

fn row<'a>(group: &'a [Triple], scores: &Scores<'_>) -> Result<Row<'a>, StageError> {
    let first = &group[0];
    let negatives = group
        .iter()
        .map(|row| (row.neg_id.as_str(), row.neg_text.as_str()));
    let documents = std::iter::once((first.pos_id.as_str(), first.pos_text.as_str())).chain(negatives);
    let (ids, documents): (Vec<&str>, Vec<&str>) = documents.unzip();
    let wanted = |id: &&str| {
        let score = scores.get(&(first.query_id.as_str(), *id)).copied();
        score.ok_or_else(|| unscored(&first.query_id, id))
    };
    Ok(Row {
        query_id: &first.query_id,
        query: &first.query,
        documents,
        wanted: ids.iter().map(wanted).collect::<Result<_, _>>()?,
    })
}

fn unscored(query: &str, document: &str) -> StageError {
    StageError::with_help(
        format!("the teacher has no score of the document `{document}` for the query `{query}`"),
        "make `teacher` from the same triples, those of `dev` included",
    )
}

impl Objective for Imitation<'_> {
    fn store(&self) -> &ParamStore {
        self.encoder.store()
    }

    fn share(&self, part: &[usize], batch: &[usize], mode: Mode<'_>) -> Result<Tensor, StageError> {
        let rows: Vec<&Row<'_>> = part.iter().map(|row| &self.rows[*row]).collect();
        let scores = self.scores(&rows, mode)?;
        let wanted: Vec<f32> = rows.iter().flat_map(|row| &row.wanted).copied().collect();
        let lists = lists(&rows);
        let (sum, count) = match self.settings.loss {
            ImitationLoss::MarginMse => {
                let negatives = |row: &usize| self.rows[*row].documents.len() - 1;
                let count: usize = batch.iter().map(negatives).sum();
                (margin_error(&scores, &wanted, &lists)?, count)
            }
            ImitationLoss::Kl => {
                let sum = teacher_divergence(&scores, &wanted, &lists, self.settings.temperature)?;
                (sum, batch.len())
            }
        };
        Ok((sum / count as f64)?)
    }

    fn rows_at_once(&self) -> Option<usize> {
        self.settings.rows_at_once
    }

    fn query_id(&self, row: usize) -> &str {
        self.rows[row].query_id
    }
}

/// Where the documents of each row are.
fn lists(rows: &[&Row<'_>]) -> Vec<Range<usize>> {
    let mut start = 0;
    let mut next = |row: &&Row<'_>| {
        start += row.documents.len();
        start - row.documents.len()..start
    };
    rows.iter().map(&mut next).collect()
}
