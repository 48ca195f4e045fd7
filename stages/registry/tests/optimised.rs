//! The search for a prompt, a server standing in for the model: what is chosen, what is asked for, what is refused.
#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;
#[path = "../../models/tests/common/mod.rs"]
#[allow(dead_code)]
mod encoders;
#[path = "../../models/tests/common/generator.rs"]
mod generator;
#[path = "common/server.rs"]
mod server;

use std::{collections::BTreeSet, path::Path};

use ablate_core::{
    StageKind,
    rows::{Document, Hit, Pair, PromptRow, Query, Trial},
};
use ablate_registry::STAGES;
use common::MemoryHost;
use serde_json::{Value, json};
use server::{Asked, serve};

fn kind(name: &str) -> &'static dyn StageKind {
    *STAGES.iter().find(|kind| kind.name() == name).unwrap()
}

/// Two words of its own, and two that tiny models know, among nineteen.
fn document(number: usize) -> Document {
    Document {
        doc_id: format!("d{number}"),
        title: None,
        text: format!(
            "Alpha{number} stands before beta{number}, and the rest of it is what all of them say, but for w{number} w{}.",
            number * 7 % 90
        ),
    }
}

/// The number of the document that a prompt is about.
fn number(prompt: &str) -> usize {
    let (_, last) = prompt.rsplit_once("Alpha").unwrap();
    let digits = last.chars().take_while(char::is_ascii_digit);
    digits.collect::<String>().parse().unwrap()
}

/// A query that finds its document.
fn good(prompt: &str) -> String {
    format!("beta{0} or alpha{0}", number(prompt))
}

const POOR: &str = "nothing of the kind";
/// The prompt every search begins with, and its examples.
const TEMPLATE: &str = "Summarise.\n{examples}Document: {document}\nQuery:";
const LAYOUT: &str = "Document: {document}\nQuery: {query}\n\n";

fn prompt_rows(parts: &[(&str, &str)]) -> Vec<PromptRow> {
    let row = |(part, text): &(&str, &str)| PromptRow {
        part: (*part).to_owned(),
        text: (*text).to_owned(),
    };
    parts.iter().map(row).collect()
}

fn host(documents: usize, prompt: &[(&str, &str)]) -> MemoryHost {
    MemoryHost::new()
        .with("documents", (0..documents).map(document).collect())
        .with("corpus", (0..40).map(document).collect())
        .with("prompt", prompt_rows(prompt))
}

/// A search among 20 documents with the model behind this address.
fn asking(address: &str) -> MemoryHost {
    let model = json!({"endpoint": address, "name": "big", "revision": "r1"}).to_string();
    host(20, &[("template", TEMPLATE), ("layout", LAYOUT)]).with_source("model", &model, Path::new("."))
}

/// Parameters of a small search, and these.
fn fields(more: &Value) -> Value {
    let mut fields = json!({"format": "chat", "train": 6, "dev": 8, "minibatch": 4, "trials": 6});
    let more = more.as_object().unwrap().clone();
    fields.as_object_mut().unwrap().extend(more);
    fields
}

/// Runs the search; the prompt it chooses.
fn search(host: &MemoryHost, more: &Value) -> Vec<PromptRow> {
    host.run(kind("prompt/optimise"), fields(more));
    host.output("prompt")
}

fn part<'a>(prompt: &'a [PromptRow], name: &str) -> &'a str {
    &prompt.iter().find(|row| row.part == name).unwrap().text
}

/// The chosen prompt on the last rung.
fn chosen(host: &MemoryHost) -> Trial {
    let trials: Vec<Trial> = host.output("trials");
    let mut chosen = trials.into_iter().filter(|trial| trial.outcome == "chosen");
    let one = chosen.next().unwrap();
    assert!(chosen.next().is_none());
    one
}

/// The prompts a server was asked for since the last call.
fn prompts(asked: &Asked) -> Vec<String> {
    let bodies = std::mem::take(&mut *asked.lock().unwrap());
    let text = |body: &Value| body["messages"][0]["content"].as_str().unwrap().to_owned();
    bodies.iter().map(text).collect()
}

#[test]
fn the_better_instruction_is_chosen() {
    let (_, address) = serve(|prompt, _| match prompt.starts_with("Name what is rare.\n\n") {
        true => good(prompt),
        false => POOR.to_owned(),
    });
    let host = asking(&address);
    let instructions = json!({"instructions": ["Say anything.", "Name what is rare.", "Ask."]});
    let prompt = search(&host, &instructions);
    assert_eq!(
        part(&prompt, "template"),
        "Name what is rare.\n\nDocument: {document}\nQuery:"
    );
    let best = chosen(&host);
    assert_eq!(
        (best.instruction.as_str(), best.documents),
        ("Name what is rare.\n\n", 8)
    );
    assert!((best.score - 1.0).abs() < 1e-12);
    let trials: Vec<Trial> = host.output("trials");
    let given: Vec<_> = trials.iter().filter(|trial| trial.trial == 0).collect();
    let seen: Vec<_> = given
        .iter()
        .map(|trial| (trial.documents, trial.outcome.as_str(), trial.score.to_string()))
        .collect();
    // It comes to every rung, so that the gain over it is known.
    assert_eq!(
        seen,
        [(4, "kept", "0".to_owned()), (8, "dropped", "0".to_owned())]
    );
}

#[test]
fn the_model_may_write_instructions_itself() {
    let (asked, address) = serve(|prompt, _| {
        let asked_for_instruction = prompt.contains("Tell a writer");
        match (
            asked_for_instruction,
            prompt.starts_with("Name what is rare.\n\n"),
        ) {
            (true, _) if number(prompt).is_multiple_of(2) => {
                "\"Name what is rare.\"\nThat is all.".to_owned()
            }
            (true, _) => "Look at {document} first.".to_owned(),
            (_, true) => good(prompt),
            _ => POOR.to_owned(),
        }
    });
    let host = asking(&address);
    search(&host, &json!({"proposals": 8}));
    let best = chosen(&host);
    assert_eq!(best.instruction, "Name what is rare.\n\n");
    assert!((best.score - 1.0).abs() < 1e-12);
    let trials: Vec<Trial> = host.output("trials");
    let tried: BTreeSet<&str> = trials.iter().map(|trial| trial.instruction.as_str()).collect();
    assert_eq!(
        tried.into_iter().collect::<Vec<_>>(),
        ["Name what is rare.\n\n", "Summarise.\n"]
    );
    // It is shown the six documents that are learnt from, and none that prompts are compared on.
    let proposals = prompts(&asked);
    let proposals: BTreeSet<&String> = proposals
        .iter()
        .filter(|prompt| prompt.contains("Tell a writer"))
        .collect();
    let learnt: Vec<Pair> = host.output("bootstrapped");
    let learnt: BTreeSet<usize> = learnt.iter().map(|pair| number(&pair.text)).collect();
    assert_eq!(
        proposals
            .iter()
            .map(|prompt| number(prompt))
            .collect::<BTreeSet<_>>(),
        learnt
    );
}

/// Good for every document where there is a demonstration of what is good, else for odd ones.
fn shown(prompt: &str, _: usize) -> String {
    match prompt.contains("Query: beta") || number(prompt) % 2 == 1 {
        true => good(prompt),
        false => POOR.to_owned(),
    }
}

#[test]
fn good_queries_of_other_documents_become_demonstrations() {
    let (_, address) = serve(shown);
    let host = asking(&address);
    let prompt = search(&host, &json!({}));
    let best = chosen(&host);
    assert!((best.score - 1.0).abs() < 1e-12, "{best:?}");
    let names: Vec<String> = serde_json::from_str(&best.demonstrations).unwrap();
    let bootstrapped: Vec<Pair> = host.output("bootstrapped");
    assert_eq!(bootstrapped.len(), 6);
    for pair in &bootstrapped {
        let worth = if number(&pair.text) % 2 == 1 { 1.0 } else { 0.0 };
        assert_eq!(pair.score, Some(worth), "{pair:?}");
    }
    let good: BTreeSet<&str> = bootstrapped
        .iter()
        .filter(|pair| pair.score == Some(1.0))
        .map(|pair| pair.query_id.as_str())
        .collect();
    assert!(
        !names.is_empty() && names.iter().all(|name| good.contains(name.as_str())),
        "{names:?}"
    );
    assert!(
        part(&prompt, "shot/00000001").contains("\"query\":\"beta"),
        "{prompt:?}"
    );
    assert_eq!(
        (part(&prompt, "template"), part(&prompt, "layout")),
        (TEMPLATE, LAYOUT)
    );
}

#[test]
fn what_people_asked_may_be_a_demonstration_and_what_is_compared_on_may_not() {
    let (_, address) = serve(|prompt, _| match prompt.contains("Query: asked by people") {
        true => good(prompt),
        false => POOR.to_owned(),
    });
    let example = |number: usize| Pair {
        query_id: format!("q{number}#d{number}"),
        query: "asked by people".into(),
        doc_id: format!("d{number}"),
        text: document(number).text,
        mean_logprob: None,
        score: None,
        reasoning: None,
        prompt_tokens: 0,
        new_tokens: 0,
        finish: "judged".into(),
    };
    let host = asking(&address).with("examples", (0..20).map(example).collect());
    search(&host, &json!({"train": 12}));
    let best = chosen(&host);
    assert!((best.score - 1.0).abs() < 1e-12, "{best:?}");
    // 12 of 20 documents are learnt from, and the other 8 are those of the comparison.
    let learnt: Vec<Pair> = host.output("bootstrapped");
    let learnt: BTreeSet<&str> = learnt.iter().map(|pair| pair.doc_id.as_str()).collect();
    let trials: Vec<Trial> = host.output("trials");
    let named = trials
        .iter()
        .flat_map(|trial| serde_json::from_str::<Vec<String>>(&trial.demonstrations).unwrap());
    for name in named {
        assert!(learnt.contains(name.split_once('#').unwrap().1), "{name}");
    }
}

#[test]
fn copies_are_worth_nothing() {
    let (_, address) = serve(|prompt, _| format!("alpha{0} stands before beta{0}", number(prompt)));
    let worth = |max_overlap: f64| {
        let host = asking(&address);
        search(&host, &json!({"max_overlap": max_overlap}));
        chosen(&host).score.to_string()
    };
    assert_eq!((worth(0.9), worth(1.0)), ("0".to_owned(), "1".to_owned()));
}

#[test]
fn prompts_keep_to_their_budget() {
    let (asked, address) = serve(|prompt, _| good(prompt));
    // The template has 3 words, a demonstration 24, and a document 19 of the 24 it may have.
    let longest = |budget: u32| {
        let host = asking(&address);
        let budget = json!({"max_prompt_tokens": budget, "max_document_tokens": 24, "trials": 12});
        search(&host, &budget);
        let trials: Vec<Trial> = host.output("trials");
        let words = prompts(&asked);
        let words = words.iter().map(|text| text.split_whitespace().count());
        (
            trials.iter().map(|trial| trial.prompt_tokens).max().unwrap(),
            words.max().unwrap(),
        )
    };
    let ((wide, most), (narrow, least)) = (longest(200), longest(60));
    assert_eq!((wide, narrow), (3 + 3 * 24 + 24, 3 + 24 + 24));
    assert_eq!((most, least), (wide as usize - 5, narrow as usize - 5));
    let refused = asking(&address).try_run(
        kind("prompt/optimise"),
        fields(&json!({"max_prompt_tokens": 15, "max_document_tokens": 24})),
    );
    let why = refused.unwrap_err();
    assert!(
        why.contains("`Summarise.` and no demonstration the prompt takes"),
        "{why}"
    );
}

#[test]
fn a_seed_settles_everything() {
    let (_, address) = serve(shown);
    let digests = |seed: u64| {
        let fields = fields(&json!({"seed": seed, "instructions": ["Ask."]}));
        asking(&address).run(kind("prompt/optimise"), fields)
    };
    let first = digests(1);
    assert_eq!(first, digests(1));
    assert_ne!(first["trials"], digests(2)["trials"]);
}

#[test]
fn a_larger_search_and_a_later_generate_ask_for_what_is_new() {
    let (asked, address) = serve(shown);
    let host = asking(&address);
    search(&host, &json!({"trials": 4}));
    let few = prompts(&asked);
    let names = |host: &MemoryHost| -> BTreeSet<String> {
        let trials: Vec<Trial> = host.output("trials");
        trials.into_iter().map(|trial| trial.demonstrations).collect()
    };
    let before = names(&host);
    let prompt = search(&host, &json!({"trials": 12}));
    let more = prompts(&asked);
    assert!(!more.is_empty() && before.is_subset(&names(&host)));
    let all: BTreeSet<&String> = few.iter().chain(&more).collect();
    assert_eq!(all.len(), few.len() + more.len(), "nothing is asked twice");
    search(&host, &json!({"trials": 12}));
    assert!(prompts(&asked).is_empty());

    // Of 20 documents, the chosen prompt was tried on all of the 8 compared on.
    let host = host.with("prompt", prompt);
    host.run(kind("generate"), json!({"format": "chat"}));
    assert_eq!(prompts(&asked).len(), 12);
    assert_eq!(host.output::<Pair>("pairs").len(), 20);
}

/// The queries that a search wrote for the documents it learns from, with what they are worth.
fn bootstrapped(host: &MemoryHost, more: &Value) -> Vec<Pair> {
    search(host, more);
    host.output("bootstrapped")
}

/// The reciprocal ranks of the documents of pairs in a run of their queries.
fn reciprocal_ranks(pairs: &[Pair], retriever: &str, model: Option<&Path>, depth: u32) -> Vec<Option<f32>> {
    let query = |pair: &Pair| Query {
        query_id: pair.query_id.clone(),
        text: pair.query.clone(),
    };
    let mut host = MemoryHost::new()
        .with("corpus", (0..40).map(document).collect())
        .with("queries", pairs.iter().map(query).collect());
    if let Some(path) = model {
        host = host.with_source("model", "tiny", path);
    }
    host.run(kind(retriever), json!({"depth": depth}));
    let run: Vec<Hit> = host.output("run");
    let rank = |pair: &Pair| {
        let hit = run
            .iter()
            .find(|hit| (&hit.query_id, &hit.doc_id) == (&pair.query_id, &pair.doc_id));
        Some(hit.map_or(0.0, |hit| (1.0 / f64::from(hit.rank)) as f32))
    };
    pairs.iter().map(rank).collect()
}

fn worths(pairs: &[Pair]) -> Vec<Option<f32>> {
    pairs.iter().map(|pair| pair.score).collect()
}

#[test]
fn worths_are_those_of_the_stages_that_rank_and_score() {
    // Words of other documents, so that ranks differ.
    let (_, address) = serve(|prompt, _| {
        let number = number(prompt);
        format!(
            "stands beta{} alpha{} w{} w{}",
            number / 2,
            number % 7,
            number * 3 % 90,
            number * 5 % 90
        )
    });
    let lexical = bootstrapped(&asking(&address), &json!({"depth": 12}));
    let ranks = reciprocal_ranks(&lexical, "retrieve/bm25", None, 12);
    assert_eq!(worths(&lexical), ranks);
    let between = |worth: &Option<f32>| worth.unwrap() > 0.0 && worth.unwrap() < 1.0;
    assert!(ranks.iter().any(between), "{ranks:?}");

    let encoder = encoders::tiny_encoder();
    let by_vectors = asking(&address).with_source("scorer", "tiny", encoder.path());
    let dense = bootstrapped(&by_vectors, &json!({"metric": "dense", "depth": 20}));
    let ranks = reciprocal_ranks(&dense, "retrieve/dense", Some(encoder.path()), 20);
    assert_eq!(worths(&dense), ranks);
    assert!(ranks.iter().any(between), "{ranks:?}");

    let reranker = encoders::tiny_cross_encoder();
    let by_reranker = asking(&address).with_source("scorer", "tiny", reranker.path());
    let likely = bootstrapped(&by_reranker, &json!({"metric": "reranker", "threshold": 0.0}));
    let score = MemoryHost::new()
        .with("pairs", likely.clone())
        .with_source("model", "tiny", reranker.path());
    score.run(kind("score"), json!({"activation": "sigmoid"}));
    let expected = worths(&score.output("pairs"));
    assert_eq!(worths(&likely), expected);
    assert!(expected.windows(2).any(|pair| pair[0] != pair[1]), "{expected:?}");
}

#[test]
fn a_model_here_keeps_to_its_budget_of_tokens() {
    let model = generator::tiny_generator();
    let host =
        host(20, &[("template", TEMPLATE), ("layout", LAYOUT)]).with_source("model", "tiny", model.path());
    let writing = json!({"decoding": {"max_new_tokens": 8}, "max_document_tokens": 40});
    let mut search = writing.clone();
    let own = json!({"threshold": 0.0, "train": 4, "dev": 4, "minibatch": 2, "trials": 6, "max_prompt_tokens": 200});
    search
        .as_object_mut()
        .unwrap()
        .extend(own.as_object().unwrap().clone());
    host.run(kind("prompt/optimise"), search.clone());
    let trials: Vec<Trial> = host.output("trials");
    assert!(
        trials.iter().all(|trial| trial.prompt_tokens <= 200),
        "{trials:?}"
    );
    assert!(
        trials.iter().any(|trial| trial.demonstrations != "[]"),
        "{trials:?}"
    );
    let most = chosen(&host).prompt_tokens;
    let prompt: Vec<PromptRow> = host.output("prompt");
    let host = host.with("prompt", prompt);
    host.run(kind("generate"), writing);
    let pairs: Vec<Pair> = host.output("pairs");
    assert!(
        !pairs.is_empty() && pairs.iter().all(|pair| pair.prompt_tokens <= most),
        "{most}"
    );

    // What the model takes is kept to, whatever is allowed: 512 tokens with the answer.
    search["max_prompt_tokens"] = json!(100_000);
    search["max_document_tokens"] = json!(300);
    let host = host.with(
        "prompt",
        prompt_rows(&[("template", TEMPLATE), ("layout", LAYOUT)]),
    );
    host.run(kind("prompt/optimise"), search);
    let trials: Vec<Trial> = host.output("trials");
    let most = trials.iter().map(|trial| trial.prompt_tokens).max().unwrap();
    assert!((400..=504).contains(&most), "{most}");
}

#[test]
fn what_cannot_be_searched_is_told() {
    let (_, address) = serve(|prompt, _| good(prompt));
    let told = |host: &MemoryHost, more: Value, what: &str| {
        let why = host.try_run(kind("prompt/optimise"), fields(&more)).unwrap_err();
        assert!(why.contains(what), "{why}");
    };
    let one = asking(&address);
    told(
        &one,
        json!({"train": 30}),
        "there are 20 documents, and `train` and `dev` ask for 38",
    );
    told(&one, json!({"instructions": ["Ask {document}"]}), "is plain text");
    told(&one, json!({"minibatch": 9}), "is larger than dev");
    told(&one, json!({"metric": "dense"}), "this metric needs a model");
    told(&one, json!({"until": "["}), "no regular expression");
    let none = asking(&address).with("documents", Vec::<Document>::new());
    told(&none, json!({}), "there are 0 documents");
    let elsewhere = asking(&address).with("corpus", (20..40).map(document).collect());
    told(&elsewhere, json!({}), "is not in the corpus that is searched");
    let given = |parts: &[(&str, &str)]| asking(&address).with("prompt", prompt_rows(parts));
    let bare = given(&[("template", "{document}")]);
    told(&bare, json!({}), "the prompt has no place for examples");
    let shot = ("shot/00000001", r#"{"document": "a", "query": "b"}"#);
    let draw = ("draw", r#"{"count": 1, "seed": 1}"#);
    let drawing = given(&[("template", TEMPLATE), ("layout", LAYOUT), shot, draw]);
    told(&drawing, json!({}), "draws its examples anew");
    let poor = given(&[("template", TEMPLATE), ("layout", "{query} {poor}")]);
    told(&poor, json!({}), "a poorer query");
    let mute = given(&[("template", TEMPLATE)]);
    told(&mute, json!({}), "without {document} or {query}");
}
