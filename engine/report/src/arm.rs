//! What a table is made of, and why one cannot be made.

use std::collections::{BTreeMap, BTreeSet};

use ablate_stats::NotAProbability;
use serde::{Deserialize, Serialize};

/// One evaluated arm of a run: the per-query scores of an `evaluate` node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    /// The name of the evaluate stage.
    pub system: String,
    /// The collection it was judged on.
    pub collection: String,
    /// Axis → label, only the axes upstream of the node.
    pub point: BTreeMap<String, String>,
    /// Which replicate (seed) it is; `None` where no replicated field is upstream.
    pub replicate: Option<String>,
    /// The action key of the node.
    pub key: String,
    /// One value per query and measure.
    pub scores: Vec<QueryScore>,
    /// The measures that count: their values are added up over queries.
    pub counts: BTreeSet<String>,
    /// The content digest of the judgements.
    pub qrels: String,
    /// The models of its lineage: `stage.port` → what the user wrote.
    pub models: BTreeMap<String, String>,
    /// Hard negatives for each pair its models were trained with; `None` where there were none.
    pub negatives: Option<f64>,
}

/// The value of one measure on one query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueryScore {
    /// The query.
    pub query_id: String,
    /// The measure, by `ir_measures`' name.
    pub measure: String,
    /// Its value.
    pub value: f64,
}

/// Why figures cannot be folded or compared.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ReportError {
    /// Two arms claim to be the same replicate of the same row.
    #[error(
        "`{row}` has two results for replicate {replicate}: arms of one row must differ in their replicate"
    )]
    DuplicateReplicate {
        /// The row.
        row: String,
        /// The replicate's label.
        replicate: String,
    },
    /// A query has two values of one measure.
    #[error("`{row}` scores query `{query}` twice by {measure}")]
    DuplicateScore {
        /// The row.
        row: String,
        /// The query.
        query: String,
        /// The measure.
        measure: String,
    },
    /// A value is NaN or infinite.
    #[error("`{row}` scores query `{query}` by {measure} as a value that is not finite")]
    NotFinite {
        /// The row.
        row: String,
        /// The query.
        query: String,
        /// The measure.
        measure: String,
    },
    /// Values cannot be computed with.
    #[error("the values of `{row}` by {measure} are no statistic: {problem}")]
    Unfit {
        /// The row.
        row: String,
        /// The measure.
        measure: String,
        /// Why not.
        problem: String,
    },
    /// A test gave no probability.
    #[error("a comparison of the table went wrong: {0}")]
    PValue(NotAProbability),
    /// Figures over different queries were to be compared or averaged.
    #[error(
        "{measure} of `{row}` and of `{other}` are over different queries ({difference}): \
         compare systems on the same query set"
    )]
    QueriesDiffer {
        /// The measure.
        measure: String,
        /// A row.
        row: String,
        /// The row or replicate it was to be joined with.
        other: String,
        /// How the sets differ, with an example.
        difference: String,
    },
    /// Figures by different judgements were to be compared or averaged.
    #[error("`{row}` and `{other}` were judged by different qrels: compare systems on the same judgements")]
    QrelsDiffer {
        /// A row.
        row: String,
        /// The row or replicate it was to be joined with.
        other: String,
    },
}

/// How a row is called in messages: `scores[generator=small,negatives=bm25]`.
pub fn label(system: &str, point: &BTreeMap<String, String>) -> String {
    if point.is_empty() {
        return system.to_owned();
    }
    let labels: Vec<_> = point
        .iter()
        .map(|(axis, label)| format!("{axis}={label}"))
        .collect();
    format!("{system}[{}]", labels.join(","))
}

#[cfg(test)]
pub(crate) mod samples {
    //! Arms for tests.

    use super::{Arm, QueryScore};

    /// An arm scored by `measure`, with queries `q0`, `q1`, …; `point` as `axis=label` pairs.
    pub(crate) fn arm(
        system: &str,
        point: &[(&str, &str)],
        replicate: Option<&str>,
        measure: &str,
        values: &[f64],
    ) -> Arm {
        let score = |(i, value): (usize, &f64)| QueryScore {
            query_id: format!("q{i}"),
            measure: measure.into(),
            value: *value,
        };
        Arm {
            system: system.into(),
            collection: "demo".into(),
            point: point.iter().map(|(a, l)| ((*a).into(), (*l).into())).collect(),
            replicate: replicate.map(Into::into),
            key: format!("{system}{point:?}{replicate:?}"),
            scores: values.iter().enumerate().map(score).collect(),
            counts: [].into(),
            qrels: "qrels".into(),
            models: [].into(),
            negatives: None,
        }
    }
}
