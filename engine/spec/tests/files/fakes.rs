//! A few stage kinds, as their authors would write them, that never run.

use std::path::PathBuf;

use ablate_core::{
    ArtifactKind as Kind, Digest, Input, Io, Of, Output, Places, Problems, SourceType, Stage, StageError,
    StageKind,
};
use ablate_spec::{Experiment, Problem, Source, load, render};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A source that takes the names it is given, and paths.
struct Names(&'static str, &'static [&'static str]);

impl SourceType for Names {
    fn name(&self) -> &'static str {
        self.0
    }
    fn check(&self, text: &str) -> Result<(), String> {
        if self.1.contains(&text) || text.starts_with("./") {
            return Ok(());
        }
        Err(format!("one of {}, or a path", self.1.join(", ")))
    }
    fn identity(&self, text: &str, _: &Places) -> String {
        text.to_owned()
    }
    fn digest(&self, _: &str, _: &Places) -> Result<Option<Digest>, StageError> {
        Ok(None)
    }
    fn fetch(&self, text: &str, _: &Places, _: &dyn Fn(&str)) -> Result<PathBuf, StageError> {
        Ok(PathBuf::from(text))
    }
}

static MODELS: Names = Names("model", &["small", "large"]);
static COLLECTIONS: Names = Names("collection", &["beir/scifact"]);

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SampleParams {
    count: u32,
    #[serde(default)]
    seed: u64,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Decoding {
    temperature: f64,
    max_new_tokens: u32,
}

impl Default for Decoding {
    fn default() -> Self {
        Self {
            temperature: 0.0,
            max_new_tokens: 64,
        }
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GenerateParams {
    #[serde(default)]
    prompt: String,
    #[serde(default)]
    decoding: Decoding,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Miner {
    Bm25,
    CrossEncoder,
    Llm,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NegativesParams {
    source: Miner,
    scorer: Option<String>,
    #[serde(default)]
    seed: u64,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TrainParams {
    #[serde(default)]
    lr: f64,
    #[serde(default)]
    dropout: bool,
    #[serde(default)]
    seed: u64,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EvaluateParams {
    measures: Vec<String>,
}

macro_rules! fakes {
    ($($name:ident = $kind:literal ($params:ty) [$($input:expr),*] -> [$($output:expr),*] $check:expr;)*) => {
        $(
            struct $name;
            impl Stage for $name {
                const NAME: &'static str = $kind;
                const VERSION: u32 = 1;
                const ABOUT: &'static str = "a fake";
                const INPUTS: &'static [Input] = &[$($input),*];
                const OUTPUTS: &'static [Output] = &[$($output),*];
                type Params = $params;
                fn check(params: &Self::Params, problems: &mut Problems) {
                    let check: fn(&Self::Params, &mut Problems) = $check;
                    check(params, problems);
                }
                fn run(_: &Self::Params, _: &Io<'_>) -> Result<(), StageError> {
                    Ok(())
                }
            }
        )*
        /// All of them.
        pub(crate) static KINDS: &[&'static dyn StageKind] = &[$(&Of::<$name>::NEW),*];
    };
}

fakes! {
    Collection = "collection" (Nothing)
        [Input::of("source", Kind::Corpus).or_source(&COLLECTIONS)]
        -> [Output::of("corpus", Kind::Corpus), Output::of("queries.test", Kind::Queries), Output::of("qrels.test", Kind::Qrels)]
        |_, _| {};
    Sample = "sample" (SampleParams)
        [Input::of("documents", Kind::Corpus)] -> [Output::of("corpus", Kind::Corpus)]
        |params, problems| problems.require(params.count > 0, "count", "`count` must be at least 1");
    Generate = "generate" (GenerateParams)
        [Input::of("documents", Kind::Corpus), Input::of("model", Kind::Model).or_source(&MODELS)]
        -> [Output::of("pairs", Kind::Pairs)]
        |params, problems| {
            let t = params.decoding.temperature;
            problems.require(t >= 0.0, "decoding.temperature", format!("{t} is below 0"));
        };
    Negatives = "negatives" (NegativesParams)
        [Input::of("pairs", Kind::Pairs), Input::of("corpus", Kind::Corpus), Input::of("model", Kind::Model).or_source(&MODELS).optional()]
        -> [Output::of("triples", Kind::Triples)]
        |params, problems| problems.require(
            !matches!(params.source, Miner::CrossEncoder) || params.scorer.is_some(),
            "scorer", "`source: cross_encoder` needs a `scorer`",
        );
    Train = "train/biencoder" (TrainParams)
        [Input::of("data", Kind::Triples), Input::of("base", Kind::Model).or_source(&MODELS)]
        -> [Output::of("model", Kind::Model), Output::of("curve", Kind::Curve)]
        |_, _| {};
    Retrieve = "retrieve/dense" (Nothing)
        [Input::of("corpus", Kind::Corpus), Input::of("queries", Kind::Queries), Input::of("model", Kind::Model).or_source(&MODELS)]
        -> [Output::of("run", Kind::Run)]
        |_, _| {};
    Evaluate = "evaluate" (EvaluateParams)
        [Input::of("run", Kind::Run), Input::of("qrels", Kind::Qrels)] -> [Output::of("scores", Kind::Scores)]
        |_, _| {};
}

/// An experiment with nothing wrong.
pub(crate) const STUDY: &str = "\
experiment: study
stages:
  scifact: {use: collection, source: beir/scifact}
  docs: {use: sample, documents: scifact.corpus, count: 100, seed: 1}
  queries:
    use: generate
    documents: docs
    model: small
    decoding: {temperature: 0.7}
  triples: {use: negatives, pairs: queries, corpus: scifact, source: bm25}
  retriever: {use: train/biencoder, data: triples, base: small, lr: 2e-5, seed: 7}
  run: {use: retrieve/dense, corpus: scifact.corpus, queries: scifact.queries.test, model: retriever}
  scores: {use: evaluate, run: run, qrels: scifact.qrels.test, measures: [nDCG@10]}
";

/// Reads `text` as `study.yaml`.
pub(crate) fn read(text: &str) -> (Option<Experiment>, Vec<Problem>) {
    read_with(text, &[])
}

/// The same, with `--set` options.
pub(crate) fn read_with(text: &str, sets: &[(&str, &str)]) -> (Option<Experiment>, Vec<Problem>) {
    let source = Source {
        name: "study.yaml".into(),
        text: text.into(),
    };
    let sets: Vec<_> = sets
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    load(&source, KINDS, &sets, &["small", "large"])
}

/// What the user sees.
pub(crate) fn told(text: &str) -> String {
    told_with(text, &[])
}

/// The same, with `--set` options.
pub(crate) fn told_with(text: &str, sets: &[(&str, &str)]) -> String {
    let (_, problems) = read_with(text, sets);
    let source = Source {
        name: "study.yaml".into(),
        text: text.into(),
    };
    render(&problems, &source, false)
}

/// The study with one piece of its text replaced.
pub(crate) fn with(old: &str, new: &str) -> String {
    assert!(STUDY.contains(old), "the study holds {old}");
    STUDY.replacen(old, new, 1)
}

/// The study with more text below.
pub(crate) fn and(more: &str) -> String {
    format!("{STUDY}{more}")
}
