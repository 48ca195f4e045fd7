//! Rankings as the parts of a run.

use std::sync::Arc;

use ablate_core::{Io, Record, StageError, rows::Hit};
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
    ///
    /// A score that does not lie below the one before is lowered to the next number below it: `trec_eval` orders by score and
    /// breaks ties its own way, and must find this order. Anserini lowers ties likewise (`ScoreTiesAdjusterReranker`);
    /// on NFCorpus, whose queries of one word tie often, that is nDCG@10 .3218 rather than .3205.
    pub(crate) fn add<'a>(&mut self, query_id: &str, ranking: impl IntoIterator<Item = (&'a str, f32)>) {
        let mut bound = f32::INFINITY;
        for (rank, (doc_id, score)) in (1..).zip(ranking) {
            // Not `min`, which would put the bound for a score that is no number; the rows are refused for it.
            let score = if score > bound { bound } else { score };
            bound = score.next_down();
            self.queries.append_value(query_id);
            self.documents.append_value(doc_id);
            self.ranks.push(rank);
            self.scores.push(score);
        }
    }

    /// Writes the rows as the run of a stage.
    pub(crate) fn put(self, io: &Io<'_>) -> Result<(), StageError> {
        io.put_parts::<Hit>("run", std::iter::once(self.finish()))
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_score_that_is_no_number_stays_one() {
        let mut hits = Hits::default();
        hits.add("q1", [("a", f32::INFINITY), ("b", f32::NAN)]);
        assert!(hits.scores[1].is_nan());
    }

    #[test]
    fn ties_keep_the_order_of_the_ranking() {
        let mut hits = Hits::default();
        hits.add("q1", [("b", 2.0), ("c", 1.0), ("a", 1.0), ("d", 1.0)]);
        hits.add("q2", [("a", 2.0)]);
        let rows = Hit::decode(&hits.finish().unwrap()).unwrap();
        let first = 1.0_f32;
        let second = first.next_down();
        let scores: Vec<_> = rows.iter().map(|hit| hit.score).collect();
        assert_eq!(scores, [2.0, first, second, second.next_down(), 2.0]);
        assert!(
            rows[..4]
                .windows(2)
                .all(|pair| pair[0].rank + 1 == pair[1].rank && pair[0].score > pair[1].score)
        );
    }
}
