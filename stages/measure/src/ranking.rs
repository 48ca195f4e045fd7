//! Joins a run with judgements, under trec_eval's rules.

use std::collections::BTreeMap;

use ablate_core::rows::{Hit, Judgement};
use hashbrown::HashMap;
use rayon::prelude::*;

use crate::Measure;

/// One query's ranking, judged. A grade below 0 says that a document was in the pool and not judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judged {
    /// The grade at each rank; `None` where the document is not in the judgements.
    pub grades: Vec<Option<i32>>,
    /// All grades of the query's judgements, best first.
    pub pool: Vec<i32>,
}

/// A hit as far as trec_eval looks at it: its rank is not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored<'a> {
    /// The query.
    pub query: &'a str,
    /// The document.
    pub document: &'a str,
    /// Higher is better.
    pub score: f32,
}

impl<'a> From<&'a Hit> for Scored<'a> {
    fn from(hit: &'a Hit) -> Self {
        Self {
            query: &hit.query_id,
            document: &hit.doc_id,
            score: hit.score,
        }
    }
}

impl Judged {
    fn new(mut hits: Vec<Scored<'_>>, judgements: &[&[Judgement]], depth: Option<usize>) -> Self {
        rank(&mut hits);
        hits.truncate(depth.unwrap_or(usize::MAX));
        let known: HashMap<&str, i32> = judgements
            .iter()
            .copied()
            .flatten()
            .map(|judgement| (judgement.doc_id.as_str(), judgement.grade))
            .collect();
        let mut pool: Vec<i32> = known.values().copied().collect();
        pool.sort_unstable_by(|a, b| b.cmp(a));
        let grades = hits.iter().map(|hit| known.get(hit.document).copied()).collect();
        Self { grades, pool }
    }
}

/// Sorts the hits of a query by score, ties by descending document id: the rank column is not read (trec_eval's
/// form_res_rels.c).
pub(crate) fn rank(hits: &mut [Scored<'_>]) {
    hits.sort_unstable_by(|a, b| {
        b.score
            .total_cmp(&a.score)
            .then_with(|| b.document.cmp(a.document))
    });
}

/// trec_eval's options.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// `-c`: a judged query the run lacks counts as 0 instead of being left out.
    pub complete: bool,
    /// `-l`: the least relevant grade of measures whose name does not say.
    pub level: i32,
    /// `-M`: how many documents of a query are looked at; all of them by default.
    pub depth: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            complete: false,
            level: 1,
            depth: None,
        }
    }
}

/// Values by query, in the order of the measures asked for.
pub type PerQuery = BTreeMap<String, Vec<f64>>;

/// Evaluates every query that has judgements and, unless `complete` is set, hits.
pub fn evaluate(run: &[Scored<'_>], qrels: &[Judgement], measures: &[Measure], options: Options) -> PerQuery {
    let hits = grouped(run, |hit| hit.query);
    let value = |(query, judgements): (&&str, &Vec<&[Judgement]>)| {
        let found = hits.get(query);
        let scored = found.map_or_else(Vec::new, |runs| runs.concat());
        let values = values(scored, judgements, measures, options);
        (options.complete || found.is_some()).then(|| ((*query).to_owned(), values))
    };
    grouped(qrels, |judgement| &judgement.query_id)
        .par_iter()
        .filter_map(value)
        .collect()
}

/// The value of each measure for one query.
pub(crate) fn values(
    hits: Vec<Scored<'_>>,
    judgements: &[&[Judgement]],
    measures: &[Measure],
    options: Options,
) -> Vec<f64> {
    let ranking = Judged::new(hits, judgements, options.depth);
    let value = |measure: &Measure| measure.value(&ranking, options.level);
    measures.iter().map(value).collect()
}

/// Rows by query, those that stand together as one slice: usually all of them.
pub(crate) fn grouped<T>(rows: &[T], query: impl Fn(&T) -> &str) -> BTreeMap<&str, Vec<&[T]>> {
    let mut groups: BTreeMap<&str, Vec<&[T]>> = BTreeMap::new();
    for rows in rows.chunk_by(|a, b| query(a) == query(b)) {
        groups.entry(query(&rows[0])).or_default().push(rows);
    }
    groups
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn fixture() -> Value {
        serde_json::from_str(include_str!("../../../tests/fixtures/trec_eval.json")).unwrap()
    }

    fn run(fixture: &Value) -> Vec<Scored<'_>> {
        let mut rows = Vec::new();
        for (query, docs) in fixture["run"].as_object().unwrap() {
            for (document, score) in docs.as_object().unwrap() {
                let score = score.as_f64().unwrap() as f32;
                rows.push(Scored {
                    query,
                    document,
                    score,
                });
            }
        }
        rows
    }

    fn qrels(fixture: &Value) -> Vec<Judgement> {
        let mut rows = Vec::new();
        for (query, docs) in fixture["qrels"].as_object().unwrap() {
            for (doc, grade) in docs.as_object().unwrap() {
                let grade = grade.as_i64().unwrap() as i32;
                rows.push(Judgement {
                    query_id: query.clone(),
                    doc_id: doc.clone(),
                    grade,
                });
            }
        }
        rows
    }

    /// Values by pytrec_eval (tests/fixtures/trec_eval.py), on 5 runs with ties, missing queries and unjudged documents.
    #[test]
    fn every_value_equals_trec_eval() {
        let mut compared = 0;
        for case in fixture().as_array().unwrap() {
            let expected = case["values"].as_object().unwrap();
            let names: Vec<&String> = expected["q2"].as_object().unwrap().keys().collect();
            let measures: Vec<Measure> = names.iter().map(|name| name.parse().unwrap()).collect();
            let found = evaluate(&run(case), &qrels(case), &measures, Options::default());
            assert!(found.keys().eq(expected.keys()), "{:?}", found.keys());
            for (query, values) in &found {
                for (name, value) in names.iter().zip(values) {
                    let wanted = expected[query][name.as_str()].as_f64().unwrap();
                    assert!(
                        (value - wanted).abs() < 1e-9,
                        "{query} {name}: {value}, trec_eval says {wanted}"
                    );
                    compared += 1;
                }
            }
        }
        assert!(compared > 1700, "{compared} values");
    }

    #[test]
    fn a_complete_evaluation_counts_missing_queries_as_zero() {
        let fixture = &fixture()[0];
        let measures = ["AP".parse().unwrap()];
        let complete = Options {
            complete: true,
            ..Options::default()
        };
        let found = evaluate(&run(fixture), &qrels(fixture), &measures, complete);
        assert_eq!(found["q0"], [0.0]);
        assert_eq!(found.len(), 9);
    }
}
