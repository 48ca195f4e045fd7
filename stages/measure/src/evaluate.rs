//! The `evaluate` stage.

use ablate_core::{
    ArtifactKind, Input, Io, Memory, Output, Problems, Stage, StageError,
    rows::{Judgement, Score},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Measure, Options, evaluate_parts};

/// Scores a run, query by query. A judged query the run lacks counts as 0.
pub struct Evaluate;

/// Parameters of `evaluate`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Measures by ir_measures' names: nDCG@10, R@100, RR@10, AP, P(rel=2)@5, nDCG(dcg='exp-log2')@10, IPrec@0.1, ERR@20.
    #[serde(default = "measures")]
    #[schemars(
        length(min = 1),
        extend("uniqueItems" = true),
        extend("items" = {"type": "string", "pattern": Measure::pattern()}),
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
    const VERSION: u32 = 2;
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
        for name in &params.measures {
            if let Err(error) = name.parse::<Measure>() {
                problems.require(false, "measures", error.to_string());
            }
        }
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let qrels: Vec<Judgement> = io.rows("qrels")?;
        let measures = params
            .measures
            .iter()
            .map(|name| name.parse())
            .collect::<Result<Vec<Measure>, _>>()?;
        let options = Options {
            complete: true,
            level: params.relevance_level,
            depth: params.depth.map(|depth| depth as usize),
        };
        let mut scores = Vec::new();
        let keep = |query: &str, document: &str| !(params.drop_self && query == document);
        for (query_id, values) in evaluate_parts(io.parts("run")?, &qrels, &measures, options, keep)? {
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
