//! The `evaluate` stage.

use ablate_core::{
    ArtifactKind, Input, Io, Memory, Output, Problems, Stage, StageError,
    rows::{Judgement, Score},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Column, Evaluation, Mean, Measure, Options, columns, evaluate_parts, summary::pattern};

/// Scores a run, query by query. A judged query the run lacks counts as 0.
pub struct Evaluate;

/// Parameters of `evaluate`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Measures by ir_measures' names (nDCG@10, R@100, RR@10, AP, P(rel=2)@5, nDCG(dcg='exp-log2')@10, IPrec@0.1, ERR@20) or by
    /// trec_eval's (map, recip_rank, ndcg_cut_10).
    #[serde(default = "measures")]
    #[schemars(
        length(min = 1),
        extend("uniqueItems" = true),
        extend("items" = {"type": "string", "pattern": pattern()}),
        extend("examples" = [["nDCG@10", "R@100", "RR@10"]])
    )]
    measures: Vec<String>,
    /// Drop the hit whose document id is the query's id before scoring (ArguAna, Quora).
    #[serde(default)]
    drop_self: bool,
    /// The least relevant grade of measures whose name does not say.
    #[serde(default = "level")]
    #[schemars(range(min = 1))]
    relevance_level: i32,
    /// How many hits of a query are looked at, after `drop_self`; all of them by default.
    #[serde(default)]
    #[schemars(range(min = 1))]
    depth: Option<u32>,
}

fn measures() -> Vec<String> {
    vec!["nDCG@10".into()]
}
fn level() -> i32 {
    1
}

impl Stage for Evaluate {
    const NAME: &'static str = "evaluate";
    const VERSION: u32 = 3;
    const ABOUT: &'static str = "per-query scores of a run, by trec_eval's rules";
    const EXAMPLE: &'static str =
        "scores: {use: evaluate, run: lexical, qrels: data.qrels.test, measures: [nDCG@10, R@100]}";
    const INPUTS: &'static [Input] = &[
        Input::of("run", ArtifactKind::Run).about("the ranking to score"),
        Input::of("qrels", ArtifactKind::Qrels).about("the judgements to score by"),
    ];
    const OUTPUTS: &'static [Output] =
        &[Output::of("scores", ArtifactKind::Scores)
            .about("the value of each measure for each judged query")];
    // The run goes by in parts; judgements stay.
    const MEMORY: Memory = Memory {
        tables: 1.0,
        models: 0.0,
        least: 256 << 20,
    };
    type Params = Params;

    fn check(params: &Params, problems: &mut Problems) {
        let mut before: Vec<Column> = Vec::new();
        for (at, name) in params.measures.iter().enumerate() {
            let path = format!("measures.[{at}]");
            match column(name) {
                Ok(column) => {
                    let same = before.iter().find(|other| other.measure.is_same(&column.measure));
                    let told = same.map(|other| format!("`{name}` is `{}` once more", other.label));
                    problems.require(told.is_none(), &path, told.unwrap_or_default());
                    before.push(column);
                }
                Err(message) => problems.require(false, &path, message),
            }
        }
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let qrels: Vec<Judgement> = io.rows("qrels")?;
        let measures = params.measures.iter().map(|name| Ok(column(name)?.measure));
        let measures: Result<Vec<Measure>, String> = measures.collect();
        let measures = measures.map_err(StageError::new)?;
        let options = Options {
            complete: true,
            level: params.relevance_level,
            depth: params.depth.map(|depth| depth as usize),
        };
        let mut scores = Vec::new();
        let keep = |query: &str, document: &str| !(params.drop_self && query == document);
        let found = evaluate_parts(io.parts("run")?, &qrels, &measures, options, keep)?;
        if let Some(warning) = doubtful(&found)? {
            io.warn(warning);
        }
        for (query_id, values) in found.scores {
            for (measure, value) in params.measures.iter().zip(values) {
                scores.push(Score {
                    query_id: query_id.clone(),
                    measure: measure.clone(),
                    value,
                });
            }
        }
        io.put("scores", scores)
    }
}

/// What a name measures: one value a query.
fn column(name: &str) -> Result<Column, String> {
    let columns = columns(name).map_err(|error| error.to_string())?;
    match &columns[..] {
        [one] if one.mean != Mean::Geometric => Ok(one.clone()),
        [one] => Err(format!(
            "`{name}` is a mean over queries, and no query has it: take `{}`",
            one.label.trim_start_matches("gm_")
        )),
        several => Err(format!(
            "`{name}` is {} measures: name those you want, as `{}`",
            several.len(),
            several[0].label
        )),
    }
}

/// What to doubt of a run that answers few of the judged queries.
///
/// # Errors
/// If it has hits, for other queries alone: its scores would all be 0.
fn doubtful(found: &Evaluation) -> Result<Option<String>, StageError> {
    let Evaluation { judged, answered, .. } = found;
    match &found.stranger {
        Some(query) if *answered == 0 => Err(StageError::with_help(
            format!("run and qrels share no query: the run answers `{query}`, which is not judged"),
            "connect the qrels of the collection and split that the run's queries are of",
        )),
        _ if answered * 2 < *judged => Ok(Some(format!(
            "the run has hits for {answered} of {judged} judged queries: the others count as 0"
        ))),
        _ => Ok(None),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use ablate_core::StageKind;

    use super::*;

    #[test]
    fn a_measure_stands_once_and_its_place_is_told() {
        let told = |names: &[&str]| -> Vec<String> {
            let fields = serde_json::json!({"measures": names});
            let problems = ablate_core::Of::<Evaluate>::NEW.bind(fields.as_object().unwrap());
            let told = problems.err().unwrap_or_default().into_iter();
            told.map(|problem| format!("{} {}", problem.path.join("."), problem.message))
                .collect()
        };
        assert_eq!(
            told(&["map", "recip_rank", "ndcg_cut_10", "ndcg_cut.5", "R@100"]),
            [""; 0]
        );
        assert_eq!(
            told(&[
                "nDCG@10",
                "NDCG@10 ",
                "RR@10",
                "MRR@10",
                "map",
                "AP",
                "P@5",
                "P(rel=2)@5"
            ]),
            [
                "measures.[1] `NDCG@10 ` is `nDCG@10` once more",
                "measures.[3] `MRR@10` is `RR@10` once more",
                "measures.[5] `AP` is `map` once more"
            ]
        );
        assert_eq!(
            told(&["AP", "ndcg@10", "gm_map", "ndcg_cut"]),
            [
                "measures.[1] `ndcg@10` is no measure: did you mean `nDCG@10`?",
                "measures.[2] `gm_map` is a mean over queries, and no query has it: take `map`",
                "measures.[3] `ndcg_cut` is 9 measures: name those you want, as `ndcg_cut_5`"
            ]
        );
    }

    #[test]
    fn a_run_of_other_queries_fails_and_one_of_few_is_told() {
        let found = |judged, answered, stranger: Option<&str>| {
            let found = Evaluation {
                judged,
                answered,
                stranger: stranger.map(str::to_owned),
                ..Evaluation::default()
            };
            doubtful(&found).map_err(|error| error.to_string())
        };
        assert_eq!(
            found(3, 0, Some("q9")).unwrap_err(),
            "run and qrels share no query: the run answers `q9`, which is not judged"
        );
        assert_eq!(
            found(3, 1, Some("q9")).unwrap().as_deref(),
            Some("the run has hits for 1 of 3 judged queries: the others count as 0")
        );
        assert!(found(3, 0, None).unwrap().is_some(), "nothing was found");
        assert_eq!(found(4, 2, None).unwrap(), None);
    }
}
