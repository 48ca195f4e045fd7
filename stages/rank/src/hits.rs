//! Rankings as the parts of a run.

use std::sync::Arc;

use ablate_core::{Record, StageError, rows::Hit};
use arrow::{
    array::{ArrayRef, Float32Array, RecordBatch, StringBuilder, UInt32Array},
    error::ArrowError,
};

/// Rows of a run, collected column by column.
#[derive(Default)]
pub(crate) struct Hits {
    queries: StringBuilder,
    documents: StringBuilder,
    ranks: Vec<u32>,
    scores: Vec<f32>,
}

impl Hits {
    /// Appends the ranking of a query, best first.
    pub(crate) fn add<'a>(&mut self, query_id: &str, ranking: impl IntoIterator<Item = (&'a str, f32)>) {
        for (rank, (doc_id, score)) in (1..).zip(ranking) {
            self.queries.append_value(query_id);
            self.documents.append_value(doc_id);
            self.ranks.push(rank);
            self.scores.push(score);
        }
    }

    /// The rows as a part of a run.
    pub(crate) fn finish(mut self) -> Result<RecordBatch, StageError> {
        let columns: [ArrayRef; 4] = [
            Arc::new(self.queries.finish()),
            Arc::new(self.documents.finish()),
            Arc::new(UInt32Array::from(self.ranks)),
            Arc::new(Float32Array::from(self.scores)),
        ];
        let part: Result<RecordBatch, ArrowError> = RecordBatch::try_new(Hit::schema(), columns.into());
        Ok(part?)
    }
}
