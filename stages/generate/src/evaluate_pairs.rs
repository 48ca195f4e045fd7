//! The `evaluate/pairs` stage: figures of synthetic queries themselves, document by document.

use std::collections::BTreeMap;

use ablate_core::{
    ArtifactKind, Input, Io, Output, Stage, StageError,
    rows::{Document, Pair, Score},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{copying::copied_share, likeness::words};

/// Measures queries by the documents they were written for: generators are compared on the documents they share.
pub struct EvaluatePairs;

/// What is measured of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Figure {
    /// What the stage `score` gave it.
    Score,
    /// The mean log-probability of its tokens.
    MeanLogprob,
    /// The share of its runs of three words that stand in its document, 0 to 1: how much of it is copied.
    Overlap,
    /// Its words.
    Words,
}

impl Figure {
    fn name(self) -> &'static str {
        match self {
            Self::Score => "score",
            Self::MeanLogprob => "mean_logprob",
            Self::Overlap => "overlap",
            Self::Words => "words",
        }
    }

    fn of(self, pair: &Pair) -> Option<f64> {
        match self {
            Self::Score => pair.score.map(f64::from),
            Self::MeanLogprob => pair.mean_logprob.map(f64::from),
            Self::Overlap => Some(copied_share(pair)),
            Self::Words => Some(words(&pair.query).len() as f64),
        }
    }
}

/// Parameters of `evaluate/pairs`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What is measured: of a document with several queries, the mean over them.
    #[serde(default = "measures")]
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    measures: Vec<Figure>,
}

fn measures() -> Vec<Figure> {
    vec![Figure::Score, Figure::Overlap, Figure::Words]
}

impl Stage for EvaluatePairs {
    const NAME: &'static str = "evaluate/pairs";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "figures of synthetic queries document by document: their scores, how much is copied, how long they are";
    const EXAMPLE: &'static str =
        "quality: {use: evaluate/pairs, pairs: scored, documents: docs, measures: [score, overlap]}";
    const INPUTS: &'static [Input] = &[
        Input::of("pairs", ArtifactKind::Pairs).about("queries, each with the document it is about"),
        Input::of("documents", ArtifactKind::Corpus)
            .optional()
            .about("all documents that queries were to be written for: those without one count as 0"),
    ];
    const OUTPUTS: &'static [Output] =
        &[Output::of("scores", ArtifactKind::Scores).about("the value of each measure for each document")];
    type Params = Params;

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let pairs: Vec<Pair> = io.rows("pairs")?;
        let documents: Vec<Document> = io.optional_rows("documents")?.unwrap_or_default();
        let figures = params
            .measures
            .iter()
            .map(|figure| by_document(*figure, &pairs, &documents));
        io.put("scores", figures.collect::<Result<Vec<_>, _>>()?.concat())
    }
}

/// The mean of a figure over the queries of each document; 0 for one of `documents` that has none.
fn by_document(figure: Figure, pairs: &[Pair], documents: &[Document]) -> Result<Vec<Score>, StageError> {
    let none = documents
        .iter()
        .map(|document| (document.doc_id.as_str(), (0.0, 0)));
    let mut sums: BTreeMap<&str, (f64, u32)> = none.collect();
    for pair in pairs {
        let value = figure.of(pair).ok_or_else(|| missing(figure, pair))?;
        let sum = sums.entry(&pair.doc_id).or_default();
        *sum = (sum.0 + value, sum.1 + 1);
    }
    let score = |(document, (sum, count)): (&str, (f64, u32))| Score {
        query_id: document.to_owned(),
        measure: figure.name().to_owned(),
        value: sum / f64::from(count.max(1)),
    };
    match sums.iter().find(|(_, (_, count))| *count == 0) {
        // Which is the best there is.
        Some((document, _)) if figure == Figure::MeanLogprob => Err(StageError::with_help(
            format!("no query was written for the document `{document}`, and so there is no `mean_logprob`"),
            "leave it out of `measures`, or `documents` out",
        )),
        _ => Ok(sums.into_iter().map(score).collect()),
    }
}

fn missing(figure: Figure, pair: &Pair) -> StageError {
    let (name, query) = (figure.name(), &pair.query_id);
    let help = match figure {
        Figure::Score => "let a stage of the kind `score` go before this one",
        _ => "leave it out of `measures`: these queries came from a server that does not tell it",
    };
    StageError::with_help(format!("the pair `{query}` has no `{name}`"), help)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::samples::pair;

    fn kettle(doc_id: &str, query: &str, score: Option<f32>) -> Pair {
        Pair {
            query_id: format!("{doc_id}/{query}"),
            doc_id: doc_id.into(),
            score,
            ..pair(query, "A kettle boils water in three minutes.")
        }
    }

    fn values(figure: Figure, pairs: &[Pair]) -> Vec<(String, f64)> {
        let scores = by_document(figure, pairs, &[]).unwrap();
        scores
            .into_iter()
            .map(|score| (score.query_id, score.value))
            .collect()
    }

    /// By hand: document `a` has two queries, one of two runs of which one is copied, one of none.
    #[test]
    fn figures_are_means_over_the_queries_of_a_document() {
        let pairs = [
            kettle("a", "kettle boils water fast", Some(0.25)),
            kettle("b", "three minutes", Some(1.0)),
            kettle("a", "how hot", Some(0.75)),
        ];
        let both = |a: f64, b: f64| vec![("a".to_owned(), a), ("b".to_owned(), b)];
        assert_eq!(values(Figure::Score, &pairs), both(0.5, 1.0));
        assert_eq!(values(Figure::Overlap, &pairs), both(0.25, 1.0));
        assert_eq!(values(Figure::Words, &pairs), both(3.0, 2.0));
    }

    #[test]
    fn a_figure_that_no_stage_gave_is_an_error_with_its_pair() {
        let pairs = [kettle("a", "how hot", None)];
        let error = by_document(Figure::Score, &pairs, &[]).unwrap_err();
        assert_eq!(error.to_string(), "the pair `a/how hot` has no `score`");
        assert!(by_document(Figure::MeanLogprob, &pairs, &[]).is_err());
    }

    #[test]
    fn a_document_without_a_query_counts_as_0() {
        let documents = ["a", "b"].map(|id| Document {
            doc_id: id.into(),
            title: None,
            text: String::new(),
        });
        let mut pairs = [kettle("b", "three minutes", Some(0.5))];
        let scores = by_document(Figure::Score, &pairs, &documents).unwrap();
        let values: Vec<_> = scores.iter().map(|score| score.value).collect();
        assert_eq!(values, [0.0, 0.5]);
        pairs[0].mean_logprob = Some(-1.0);
        assert!(by_document(Figure::MeanLogprob, &pairs, &documents).is_err());
    }
}
