//! What a page shows of a small run made by hand: a generator, a filter, negatives, a trainer, one of them gone.

use ablate_cache::{OutputRecord, Store, Trace};
use ablate_core::{
    ArtifactKind, Digest, RecipeId, Record, canon, check_rows,
    rows::{Hardness, Pair, Step, Triple},
};
use ablate_run::{InputRecord, NodeRecord, RunRecord, Status};
use serde_json::json;

use super::page;

fn pair(at: u32) -> Pair {
    Pair {
        query_id: format!("d{at}#0"),
        query: format!("query {at}"),
        doc_id: format!("d{at}"),
        text: format!("document {at}"),
        mean_logprob: Some(-(at as f32) / 10.0),
        score: None,
        reasoning: None,
        prompt_tokens: 5,
        new_tokens: 3,
        finish: "stop".into(),
    }
}

fn triple(at: u32) -> Triple {
    Triple {
        query_id: format!("d{at}#0"),
        query: format!("query {at}"),
        pos_id: format!("d{at}"),
        pos_text: format!("document {at}"),
        neg_id: "other".into(),
        neg_text: "another document".into(),
        source: "bm25".into(),
    }
}

fn step(step: u32) -> Step {
    Step {
        step,
        learning_rate: 0.1,
        loss: 1.0 / f64::from(step),
        gradient_norm: 1.0,
        dev_loss: None,
    }
}

/// Commits `rows` as what `name` made.
fn node<R: Record>(
    store: &Store,
    name: &str,
    kind: &str,
    mut rows: Vec<R>,
    from: Option<(&str, &str)>,
) -> NodeRecord {
    let batch = check_rows(&mut rows).unwrap();
    let output = store
        .put_rows(R::KIND, &batch)
        .unwrap()
        .at(R::KIND.name(), R::KIND);
    let source = canon::Value::map([("digest", canon::Value::text("digest-of-model"))]);
    let preimage = canon::Value::map([
        ("kind", canon::Value::text(name)),
        ("version", canon::Value::Int(3)),
        ("inputs", canon::Value::map([("model", source)])),
    ]);
    commit(store, preimage.clone(), output);
    let input = |port: &str, node: Option<&str>, what: &str| InputRecord {
        port: port.into(),
        node: node.map(Into::into),
        what: what.into(),
    };
    let own = from.map(|(node, port)| input(port, Some(node), port));
    NodeRecord {
        name: name.into(),
        stage: name.into(),
        places: vec![],
        kind: kind.into(),
        status: Status::Ran,
        key: Some(Trace::key_of(&preimage)),
        reason: "never computed".into(),
        seconds: 1.0,
        rows_computed: 1,
        rows_reused: 0,
        recipe: RecipeId(Digest::of(name.as_bytes())),
        params: json!({"by": "mean_logprob"}),
        inputs: own.into_iter().chain([input("model", None, "smollm2")]).collect(),
    }
}

fn commit(store: &Store, preimage: canon::Value, output: OutputRecord) {
    let trace = Trace {
        key: Trace::key_of(&preimage),
        preimage,
        outputs: vec![output],
        seconds: 2.0,
        finished: 1,
        host: "workstation".into(),
        tokens: None,
        notes: vec![],
        warnings: vec![],
    };
    store.commit(&[trace]).unwrap();
}

fn run(nodes: Vec<NodeRecord>) -> RunRecord {
    RunRecord {
        id: "r".into(),
        experiment: "e".into(),
        file: "e.yaml".into(),
        started: String::new(),
        seconds: 1.0,
        version: "0".into(),
        interrupted: false,
        nodes,
        arms: vec![],
        report: json!({}),
        warnings: vec!["mind the gap".into()],
    }
}

fn open() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    (folder, store)
}

#[test]
fn a_filter_shows_what_it_kept_and_where_it_cut() {
    let (_folder, store) = open();
    let made = node(&store, "queries", "generate", (0..20).map(pair).collect(), None);
    let kept = node(
        &store,
        "kept",
        "filter",
        (0..8).map(pair).collect(),
        Some(("queries", "pairs")),
    );
    let page = page(&run(vec![made, kept]), &store).unwrap();
    let [spread] = &page.spreads[..] else {
        panic!("{:?}", page.spreads)
    };
    assert_eq!(
        (spread.node.as_str(), spread.kept.len(), spread.dropped.len()),
        ("kept", 8, 12)
    );
    let (cut, words) = spread.cut.clone().unwrap();
    assert!(
        (cut + 0.7).abs() < 1e-6 && words == "least kept −0.700",
        "{cut} {words}"
    );
}

#[test]
fn hardness_is_shown_by_source() {
    let (_folder, store) = open();
    let hard = |at: u32| Hardness {
        query_id: format!("q{at}"),
        pos_id: "p".into(),
        neg_id: format!("n{at}"),
        source: if at < 3 { "bm25" } else { "random" }.into(),
        bm25_rank: (at < 4).then_some(10),
        bm25_score: 1.0,
        bm25_margin: 0.5,
        dense_rank: None,
        dense_score: None,
        dense_margin: None,
        positive_similarity: Some(0.25),
    };
    let made = node(&store, "hard", "hardness", (0..5).map(hard).collect(), None);
    let page = page(&run(vec![made]), &store).unwrap();
    let shown = page
        .hardness
        .iter()
        .map(|of| (of.column.as_str(), of.sources.clone()));
    let source = |name: &str, values: &[f64]| (name.to_owned(), values.to_vec());
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [
            (
                "bm25_rank",
                vec![source("bm25", &[1.0; 3]), source("random", &[1.0])]
            ),
            (
                "positive_similarity",
                vec![source("bm25", &[0.25; 3]), source("random", &[0.25; 2])]
            ),
        ],
        "without an encoder there are no ranks by vectors"
    );
    let names = ablate_html::figures(&page).into_iter().map(|figure| figure.name);
    let names: Vec<_> = names.filter(|name| name.starts_with("hardness/")).collect();
    assert_eq!(
        names,
        ["hardness/hard/bm25_rank", "hardness/hard/positive_similarity"]
    );
}

#[test]
fn samples_stand_beside_their_documents_and_curves_are_read() {
    let (_folder, store) = open();
    let made = node(&store, "queries", "generate", (0..9).map(pair).collect(), None);
    let triples = node(
        &store,
        "triples",
        "negatives",
        (0..2).map(triple).collect(),
        Some(("queries", "pairs")),
    );
    let trained = node(
        &store,
        "model",
        "train/biencoder",
        (1..=5).map(step).collect(),
        None,
    );
    let page = page(&run(vec![made, triples, trained]), &store).unwrap();
    let shown: Vec<_> = page
        .pairs
        .iter()
        .map(|pair| (pair.query.as_str(), pair.text.as_str()))
        .collect();
    assert_eq!(
        shown,
        [
            ("query 0", "document 0"),
            ("query 3", "document 3"),
            ("query 6", "document 6")
        ]
    );
    assert_eq!(page.negatives.len(), 2);
    assert_eq!(
        (
            page.negatives[0].pos_text.as_str(),
            page.negatives[0].neg_text.as_str()
        ),
        ("document 0", "another document")
    );
    assert_eq!(
        page.curves[0].loss,
        [(1.0, 1.0), (2.0, 0.5), (3.0, 1.0 / 3.0), (4.0, 0.25), (5.0, 0.2)]
    );
    // Pairs that nothing filters are shown whole.
    assert_eq!(
        (page.spreads[0].kept.len(), page.spreads[0].cut.clone()),
        (9, None)
    );
}

#[test]
fn provenance_comes_from_traces_and_what_is_gone_is_told() {
    let (_folder, store) = open();
    let made = node(&store, "queries", "generate", (0..9).map(pair).collect(), None);
    let gone = node(&store, "gone", "generate", (5..9).map(pair).collect(), None);
    let trace = store.trace(gone.key.unwrap()).unwrap().unwrap();
    store.discard(trace.outputs[0].file).unwrap();
    let page = page(&run(vec![made, gone]), &store).unwrap();
    let first = &page.nodes[0];
    assert_eq!(
        (first.version.as_deref(), first.host.as_deref()),
        (Some("3"), Some("workstation"))
    );
    assert_eq!(first.inputs[0].digest.as_deref(), Some("digest-of-model"));
    assert_eq!(
        page.nodes
            .iter()
            .map(|node| node.outputs[0].is_here)
            .collect::<Vec<_>>(),
        [true, false]
    );
    assert!(page.pairs.iter().all(|pair| pair.node == "queries"));
    assert_eq!(page.warnings, ["mind the gap"]);
    assert_eq!(ArtifactKind::Pairs.name(), first.outputs[0].port);
}
