//! Joins a run with judgements, under trec_eval's rules.

use std::collections::BTreeMap;

use ablate_core::rows::{Hit, Judgement};
use rayon::prelude::*;

use crate::Measure;

/// One query's ranking, judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judged {
    /// The grade at each rank; `None` where the document is not judged.
    pub grades: Vec<Option<i32>>,
    /// The positive grades of the query, best first.
    pub ideal: Vec<i32>,
    /// How many documents are judged.
    pub judged: usize,
}

impl Judged {
    /// How many documents are relevant.
    pub fn relevant(&self) -> usize {
        self.ideal.len()
    }

    /// Sorts by score, ties by descending document id: the rank column is not read (trec_eval's form_res_rels.c).
    fn new(hits: &[&Hit], judgements: &BTreeMap<&str, i32>) -> Self {
        let mut hits = hits.to_vec();
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| b.doc_id.cmp(&a.doc_id)));
        let mut ideal: Vec<i32> = judgements.values().copied().filter(|grade| *grade > 0).collect();
        ideal.sort_unstable_by(|a, b| b.cmp(a));
        let grades = hits
            .iter()
            .map(|hit| judgements.get(hit.doc_id.as_str()).copied())
            .collect();
        Self {
            grades,
            ideal,
            judged: judgements.len(),
        }
    }
}

/// Values by query, in the order of the measures asked for.
pub type PerQuery = BTreeMap<String, Vec<f64>>;

/// Evaluates every query that has a relevant document. With `complete` (trec_eval's `-c`) a query the run lacks
/// counts as 0; without, it is left out, as is a query without judgements.
pub fn evaluate(run: &[Hit], qrels: &[Judgement], measures: &[Measure], complete: bool) -> PerQuery {
    let mut hits: BTreeMap<&str, Vec<&Hit>> = BTreeMap::new();
    run.iter()
        .for_each(|hit| hits.entry(&hit.query_id).or_default().push(hit));
    let mut judged: BTreeMap<&str, BTreeMap<&str, i32>> = BTreeMap::new();
    for judgement in qrels {
        judged
            .entry(&judgement.query_id)
            .or_default()
            .insert(&judgement.doc_id, judgement.grade);
    }
    let queries: Vec<_> = judged
        .into_iter()
        .filter(|(query, _)| complete || hits.contains_key(query))
        .collect();
    let value = |(query, judgements): &(&str, BTreeMap<&str, i32>)| {
        let ranking = Judged::new(hits.get(query).map_or(&[], Vec::as_slice), judgements);
        let values = measures.iter().map(|measure| measure.value(&ranking)).collect();
        (!complete || ranking.relevant() > 0).then(|| ((*query).to_owned(), values))
    };
    queries.par_iter().filter_map(value).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn fixture() -> Value {
        serde_json::from_str(include_str!("../../../tests/fixtures/trec_eval.json")).unwrap()
    }

    fn run(fixture: &Value) -> Vec<Hit> {
        let mut rows = Vec::new();
        for (query, docs) in fixture["run"].as_object().unwrap() {
            for (rank, (doc, score)) in docs.as_object().unwrap().iter().enumerate() {
                let score = score.as_f64().unwrap() as f32;
                rows.push(Hit {
                    query_id: query.clone(),
                    doc_id: doc.clone(),
                    rank: rank as u32 + 1,
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

    /// Values by pytrec_eval: tests/fixtures/trec_eval.py, with ties, missing and unjudged queries.
    #[test]
    fn every_value_equals_trec_eval() {
        let fixture = fixture();
        let expected = fixture["values"].as_object().unwrap();
        let names: Vec<&String> = expected
            .values()
            .next()
            .unwrap()
            .as_object()
            .unwrap()
            .keys()
            .collect();
        let measures: Vec<Measure> = names.iter().map(|name| name.parse().unwrap()).collect();
        let found = evaluate(&run(&fixture), &qrels(&fixture), &measures, false);
        assert_eq!(found.keys().collect::<Vec<_>>(), {
            let mut queries: Vec<_> = expected.keys().collect();
            queries.sort();
            queries
        });
        for (query, values) in &found {
            for (name, value) in names.iter().zip(values) {
                let wanted = expected[query][name.as_str()].as_f64().unwrap();
                assert!(
                    (value - wanted).abs() < 1e-9,
                    "{query} {name}: {value}, trec_eval says {wanted}"
                );
            }
        }
    }

    #[test]
    fn a_complete_evaluation_counts_missing_queries_as_zero() {
        let fixture = fixture();
        let measures = ["AP".parse().unwrap()];
        let found = evaluate(&run(&fixture), &qrels(&fixture), &measures, true);
        assert_eq!(found["q0"], [0.0]);
        assert_eq!(found.len(), 30);
    }
}
