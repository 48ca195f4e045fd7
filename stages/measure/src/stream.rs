//! Evaluates runs that need not fit memory: query by query, as their parts go by.

use std::collections::BTreeMap;

use ablate_core::{
    Parts, Record, StageError, check_columns,
    rows::{Hit, Judgement},
};
use arrow::{
    array::{RecordBatch, StringArray, cast::AsArray},
    compute::concat_batches,
    datatypes::Float32Type,
};
use rayon::prelude::*;

use crate::{
    Measure, Options, PerQuery,
    ranking::{Scored, grouped, values},
};

/// Rows that are evaluated at a time, over all cores.
const ROWS: usize = 1 << 18;

/// A run that was evaluated part by part.
#[derive(Debug, Default)]
pub struct Evaluation {
    /// The values of each query.
    pub scores: PerQuery,
    /// How many queries are judged.
    pub judged: usize,
    /// How many of them have hits.
    pub answered: usize,
    /// A query that has hits and no judgements.
    pub stranger: Option<String>,
}

/// Evaluates a run whose parts come in the order of its queries, as [`crate::evaluate`] does; of the hits, those that
/// `keep` takes by query and document.
///
/// # Errors
/// What a part gives instead of rows, and parts of another kind.
pub fn evaluate_parts(
    mut run: Parts<'_>,
    qrels: &[Judgement],
    measures: &[Measure],
    options: Options,
    keep: impl Fn(&str, &str) -> bool + Sync,
) -> Result<Evaluation, StageError> {
    let judged = grouped(qrels, |judgement| &judgement.query_id);
    let mut found = Evaluation {
        judged: judged.len(),
        ..Evaluation::default()
    };
    if options.complete {
        let nothing = |(query, judgements): (&&str, &Vec<&[Judgement]>)| {
            (
                (*query).to_owned(),
                values(Vec::new(), judgements, measures, options),
            )
        };
        found.scores.par_extend(judged.par_iter().map(nothing));
    }
    let mut rest = None;
    while let Some(rows) = next_rows(rest.take(), &mut run)? {
        let (whole, last) = split(&rows);
        rest = last;
        let queries = queries_of(&whole);
        let is_judged = |(start, _): &&(usize, usize)| judged.contains_key(query_at(&whole, *start));
        found.answered += queries.iter().filter(is_judged).count();
        let stranger = queries.iter().find(|query| !is_judged(query));
        found.stranger = found
            .stranger
            .or_else(|| Some(query_at(&whole, stranger?.0).to_owned()));
        found
            .scores
            .par_extend(of_queries(&whole, queries, &judged, measures, options, &keep));
    }
    Ok(found)
}

/// The query of a row.
fn query_at(rows: &RecordBatch, row: usize) -> &str {
    rows.column(0).as_string::<i32>().value(row)
}

/// The first row of each query, and the one behind its last.
fn queries_of(rows: &RecordBatch) -> Vec<(usize, usize)> {
    let places: Vec<usize> = (0..rows.num_rows()).collect();
    let groups = places.chunk_by(|a, b| query_at(rows, *a) == query_at(rows, *b));
    groups
        .map(|places| (places[0], places[0] + places.len()))
        .collect()
}

/// The rows left over and as many parts as come to [`ROWS`]; `None` at the end.
fn next_rows(
    rest: Option<RecordBatch>,
    run: &mut Parts<'_>,
) -> Result<Option<(RecordBatch, bool)>, StageError> {
    let mut count = rest.as_ref().map_or(0, RecordBatch::num_rows);
    let mut parts: Vec<RecordBatch> = rest.into_iter().collect();
    let least = count + ROWS;
    let mut ended = true;
    for part in run.by_ref() {
        let part = part?;
        check_columns::<Hit>(&part)?;
        count += part.num_rows();
        parts.push(part);
        if count >= least {
            ended = false;
            break;
        }
    }
    let rows = (!parts.is_empty()).then(|| concat_batches(&Hit::schema(), &parts));
    Ok(rows.transpose()?.map(|rows| (rows, ended)))
}

/// The rows of queries that are complete, and those of the last query where more of them may come.
fn split((rows, ended): &(RecordBatch, bool)) -> (RecordBatch, Option<RecordBatch>) {
    if *ended {
        return (rows.clone(), None);
    }
    let queries = rows.column(0).as_string::<i32>();
    let last = queries.value(rows.num_rows() - 1);
    let start = (0..rows.num_rows())
        .rfind(|row| queries.value(*row) != last)
        .map_or(0, |row| row + 1);
    (
        rows.slice(0, start),
        Some(rows.slice(start, rows.num_rows() - start)),
    )
}

/// The values of each judged query of some rows, by their places.
fn of_queries<'a>(
    rows: &'a RecordBatch,
    queries: Vec<(usize, usize)>,
    judged: &'a BTreeMap<&str, Vec<&[Judgement]>>,
    measures: &'a [Measure],
    options: Options,
    keep: &'a (impl Fn(&str, &str) -> bool + Sync),
) -> impl ParallelIterator<Item = (String, Vec<f64>)> + 'a {
    let documents: &StringArray = rows.column(1).as_string();
    let scores = rows.column(3).as_primitive::<Float32Type>();
    queries.into_par_iter().filter_map(move |(start, end)| {
        let query = query_at(rows, start);
        let hits = (start..end).map(|row| Scored {
            query,
            document: documents.value(row),
            score: scores.value(row),
        });
        let hits: Vec<Scored<'_>> = hits.filter(|hit| keep(query, hit.document)).collect();
        let found = options.complete || !hits.is_empty();
        let judgements = judged.get(query).filter(|_| found)?;
        Some((query.to_owned(), values(hits, judgements, measures, options)))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::evaluate;

    fn run() -> Vec<Hit> {
        let hit = |(query, rank): (usize, u32)| Hit {
            query_id: format!("q{query:02}"),
            doc_id: format!("q{:02}", (query as u32 * 7 + rank) % 40),
            rank,
            score: (40 - rank) as f32,
        };
        let ranks = |query: usize| (1..=(query as u32 * 5) % 37).map(move |rank| hit((query, rank)));
        (0..30).flat_map(ranks).collect()
    }

    fn qrels() -> Vec<Judgement> {
        let judgement = |(query, document): (usize, usize)| Judgement {
            query_id: format!("q{query:02}"),
            doc_id: format!("q{document:02}"),
            grade: (query + document) as i32 % 3,
        };
        let documents = |query: usize| {
            (0..40)
                .step_by(3)
                .map(move |document| judgement((query, document)))
        };
        (2..33).flat_map(documents).collect()
    }

    /// Cuts within queries and between them, with queries nobody judged or found, and with one query over many parts.
    #[test]
    fn parts_are_evaluated_as_the_whole() {
        let (run, qrels) = (run(), qrels());
        let measures: Vec<Measure> = ["nDCG@10", "AP", "NumRet"]
            .map(|name| name.parse().unwrap())
            .into();
        for complete in [false, true] {
            let options = Options {
                complete,
                depth: Some(25),
                ..Options::default()
            };
            let others: Vec<Scored<'_>> = run
                .iter()
                .filter(|hit| hit.doc_id != hit.query_id)
                .map(Scored::from)
                .collect();
            let whole = evaluate(&others, &qrels, &measures, options);
            for size in [1, 7, 50, 1000] {
                let parts: Vec<_> = run
                    .chunks(size)
                    .map(|rows| Ok(Hit::encode(rows).unwrap()))
                    .collect();
                let parts: Parts<'_> = Box::new(parts.into_iter());
                let found = evaluate_parts(parts, &qrels, &measures, options, |query, document| {
                    query != document
                });
                assert_eq!(found.unwrap().scores, whole, "parts of {size}");
            }
            assert_eq!(whole.len(), if complete { 31 } else { 28 });
        }
    }

    /// Queries 1 to 29 have hits, 2 to 32 judgements.
    #[test]
    fn it_is_told_how_many_judged_queries_the_run_answers() {
        let (run, qrels) = (run(), qrels());
        let measures: [Measure; 1] = ["AP".parse().unwrap()];
        let parts: Parts<'_> = Box::new(run.chunks(7).map(|rows| Ok(Hit::encode(rows).unwrap())));
        let found = evaluate_parts(parts, &qrels, &measures, Options::default(), |_, _| true).unwrap();
        assert_eq!((found.judged, found.answered), (31, found.scores.len()));
        assert_eq!(found.stranger.as_deref(), Some("q01"));
    }

    #[test]
    fn the_rows_of_a_query_that_may_go_on_are_kept() {
        let rows = Hit::encode(&run()).unwrap();
        let (whole, last) = split(&(rows.clone(), false));
        let last = last.unwrap();
        assert_eq!(whole.num_rows() + last.num_rows(), rows.num_rows());
        assert!(
            Hit::decode(&last)
                .unwrap()
                .iter()
                .all(|hit| hit.query_id == "q29")
        );
        assert!(
            Hit::decode(&whole)
                .unwrap()
                .iter()
                .all(|hit| hit.query_id != "q29")
        );
        assert_eq!(split(&(rows.clone(), true)), (rows, None));
    }
}
