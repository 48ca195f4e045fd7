//! What `check` says of parameters and inputs that do not go together, before anything runs.
#![allow(clippy::unwrap_used)]

use ablate_e2e::program::{ablate, folder, told, write};

const STAGES: &str = "\
experiment: wired
stages:
  data:    {use: collection, source: demo}
  judged:  {use: pairs, queries: data.queries.test, qrels: data.qrels.test, corpus: data.corpus}
  lexical: {use: retrieve/bm25, corpus: data.corpus, queries: data.queries.test}
  index:   {use: index/bm25, corpus: data.corpus, analyser: {stemmer: porter}}
  hard:    {use: negatives, pairs: judged, corpus: data.corpus}
  own:     {use: command, run: [x], outputs: [queries], version: 1}
  vectors: {use: embed, corpus: data.corpus, model: all-minilm-l6-v2}
  tuned:   {use: train/biencoder, data: hard, base: all-minilm-l6-v2}
  x:       {use: ";

/// A stage `x`, and what is said of it.
const CASES: &[(&str, &str)] = &[
    (
        "negatives, pairs: judged, corpus: data.corpus, source: llm",
        "help: that is a kind of its own: `use: negatives/llm`",
    ),
    (
        "negatives, pairs: judged, corpus: data.corpus, source: dense",
        "`x.source`: needs a sentence encoder: set `scorer`",
    ),
    (
        "negatives, pairs: judged, corpus: data.corpus, source: cross_encoder",
        "`x.source`: needs a cross-encoder or a monoT5: set `scorer`",
    ),
    (
        "negatives, pairs: judged, corpus: data.corpus, run: lexical",
        "`x.run`: is of use to `source: cross_encoder` only",
    ),
    (
        "negatives, pairs: judged, corpus: data.corpus, source: dense, scorer: ms-marco-minilm-l12",
        "`x.scorer`: takes a model of the role encoder, and `ms-marco-minilm-l12` is of the role reranker: \
         the catalogue has all-minilm-l6-v2",
    ),
    (
        "score, pairs: judged",
        "`x.by`: needs a model: set `model`, or `by: bm25`",
    ),
    (
        "score, pairs: judged, by: cosine, model: ms-marco-minilm-l12",
        "`x.model`: takes a model of the role encoder",
    ),
    (
        "filter, pairs: judged, round_trip: 3",
        "`x.round_trip`: needs a run",
    ),
    (
        "filter, pairs: judged, run: lexical",
        "`x.run`: is of no use without `round_trip`",
    ),
    (
        "fuse, first: lexical, second: lexical, weights: [1]",
        "`x.weights`: 1 weights for 2 runs",
    ),
    (
        "negatives/mix, first: hard, second: hard, take: [1]",
        "`x.take`: 1 numbers for 2 sources",
    ),
    (
        "retrieve/bm25, index: index, queries: data.queries.test, rm3: {}",
        "`x.rm3`: reads its feedback from the documents",
    ),
    (
        "retrieve/bm25, index: index, corpus: data.corpus, queries: data.queries.test",
        "`x.corpus`: is of no use beside an index",
    ),
    (
        "retrieve/bm25, index: index, queries: data.queries.test, analyser: whitespace",
        "`x.analyser`: is not the one of the index",
    ),
    (
        "rerank, run: lexical, queries: data.queries.test, corpus: data.corpus, model: all-minilm-l6-v2",
        "`x.model`: takes a model of the role reranker",
    ),
    (
        "retrieve/dense, corpus: data.corpus, queries: data.queries.test, model: smollm2-135m-instruct",
        "`x.model`: takes a model of the role encoder",
    ),
    (
        "retrieve/dense, vectors: vectors, queries: data.queries.test, model: tuned",
        "`x.model`: is `tuned`, and `vectors` are of `all-minilm-l6-v2`",
    ),
    (
        "generate, documents: data.corpus, prompt: ablate/vanilla, model: all-minilm-l6-v2",
        "`x.model`: takes a model of the role generator",
    ),
    (
        "command, run: [python3, '{files}'], outputs: [run], version: 1",
        "`x.run`: names `{files}`, and nothing stands at `files`",
    ),
    (
        "command, run: [x], outputs: [run, run], version: 1",
        "`x.outputs`: \"run\" stands twice",
    ),
    (
        "train/biencoder, data: hard, base: all-minilm-l6-v2, patience: 2",
        "`x.patience`: waits for a smaller loss on `dev`, and nothing stands there",
    ),
    (
        "train/sft, data: judged, prompt: ablate/vanilla, base: all-minilm-l6-v2",
        "`x.base`: takes a model of the role generator",
    ),
    (
        "preferences, teacher: judged, student: judged, prompt: ablate/vanilla, model: all-minilm-l6-v2",
        "`x.model`: takes a model of the role generator",
    ),
    (
        "evaluate, run: own.run, qrels: data.qrels.test, measures: [AP]",
        "the stage `own` does not make `run`",
    ),
];

#[test]
fn what_does_not_go_together_is_told_with_its_place() {
    let folder = folder("");
    for (stage, expected) in CASES {
        write(folder.path(), &format!("{STAGES}{stage}}}\n"));
        let output = ablate(folder.path(), &["check", "e.yaml"]);
        let text = told(&output);
        assert_eq!(output.status.code(), Some(3), "{stage}: {text}");
        assert!(
            text.contains(expected) && text.contains("e.yaml:11:"),
            "{expected}: {text}"
        );
    }
}

#[test]
fn what_goes_together_is_fine() {
    let folder = folder("");
    for stage in [
        "negatives, pairs: judged, corpus: data.corpus, source: dense, scorer: all-minilm-l6-v2",
        "score, pairs: judged, by: bm25",
        "filter, pairs: judged, round_trip: 3, run: lexical",
        "fuse, first: lexical, second: lexical, weights: [1, 2]",
        "retrieve/bm25, index: index, queries: data.queries.test, analyser: {stemmer: porter}",
        "retrieve/bm25, index: index, corpus: data.corpus, queries: data.queries.test, rm3: {}",
        "retrieve/bm25, corpus: data.corpus, queries: own.queries",
    ] {
        write(folder.path(), &format!("{STAGES}{stage}}}\n"));
        let output = ablate(folder.path(), &["check", "e.yaml"]);
        assert!(output.status.success(), "{stage}: {}", told(&output));
    }
}

/// Each value is fine at the first point of the other axis.
#[test]
fn combinations_of_axes_are_looked_at() {
    let folder = folder("");
    let stage = "retrieve/bm25, index: index, queries: data.queries.test, analyser: {stemmer: porter}}\n";
    let sweep = "sweep: {axes: {a: {index.analyser: [{stemmer: porter}, whitespace]}}}\n";
    write(folder.path(), &format!("{STAGES}{stage}{sweep}"));
    let output = ablate(folder.path(), &["check", "e.yaml"]);
    let text = told(&output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(
        text.contains("`x[a=whitespace]`: `analyser` is not the one of the index"),
        "{text}"
    );
}
