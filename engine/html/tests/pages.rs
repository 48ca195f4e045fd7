//! Pages of a run in which every text tries to be markup.
#![allow(clippy::unwrap_used)]

use ablate_html::{
    Curve, Hardness, InputView, LiveNode, LivePage, NegativeSample, NodePage, NodeView, OutputView,
    PairSample, Place, RowsPage, RunEntry, RunPage, Spread, figures,
};
use ablate_plot::State;
use ablate_report::{Arm, Options, QueryScore, by_query, legend, table};

const EVIL: &str = "\"><script>alert(1)</script><img src=x onerror='alert(2)'>&amp;";

fn evil() -> String {
    EVIL.to_owned()
}

fn arms() -> Vec<Arm> {
    let score = |(at, value): (usize, &f64)| QueryScore {
        query_id: format!("{EVIL}{at}"),
        measure: "nDCG@10".into(),
        value: *value,
    };
    let arm = |system: &str, values: &[f64]| Arm {
        system: system.into(),
        collection: evil(),
        point: [(evil(), evil())].into(),
        replicate: None,
        key: system.into(),
        scores: values.iter().enumerate().map(score).collect(),
        counts: [].into(),
        qrels: "q".into(),
        models: [].into(),
        negatives: None,
    };
    vec![arm("base", &[0.1, 0.5, 0.3]), arm(EVIL, &[0.4, 0.6, 0.2])]
}

fn node(name: &str, from: Option<&str>, state: State) -> NodeView {
    let input = |node: &str| InputView {
        port: evil(),
        node: Some(node.into()),
        what: evil(),
        digest: Some(evil()),
    };
    NodeView {
        name: name.into(),
        kind: evil(),
        state,
        reason: evil(),
        key: Some(evil()),
        seconds: 3.0,
        rows_computed: 5,
        rows_reused: 0,
        params: serde_json::json!({EVIL: EVIL}),
        inputs: from.map(input).into_iter().collect(),
        outputs: vec![OutputView {
            port: evil(),
            kind: evil(),
            rows: Some(5),
            bytes: 10,
            content: evil(),
            is_here: true,
        }],
        version: Some(evil()),
        numeric: Some(evil()),
        host: Some(evil()),
        finished: Some(evil()),
        computed_in: Some(1.0),
        tokens: Some(7),
        notes: vec![evil()],
    }
}

fn page() -> RunPage {
    let options = Options {
        baseline: [("system".to_owned(), "base".to_owned())].into(),
        ..Options::default()
    };
    let made = table(&arms(), &options).unwrap();
    RunPage {
        id: evil(),
        experiment: evil(),
        file: evil(),
        started: evil(),
        seconds: 1.0,
        version: evil(),
        interrupted: true,
        nodes: vec![
            node("data", None, State::Reused),
            node(EVIL, Some("data"), State::Failed),
        ],
        legend: legend(&made, &options),
        by_query: by_query(&arms(), &options, "nDCG@10").unwrap(),
        table: Ok(made),
        spreads: vec![Spread {
            node: evil(),
            by: evil(),
            kept: vec![1.0, 2.0],
            dropped: vec![0.5],
            cut: Some((1.0, evil())),
        }],
        hardness: vec![Hardness {
            node: evil(),
            column: evil(),
            axis: evil(),
            sources: vec![(evil(), vec![1.0, 2.0])],
        }],
        curves: vec![Curve {
            node: evil(),
            loss: vec![(1.0, 2.0), (2.0, 1.0)],
        }],
        pairs: vec![PairSample {
            node: evil(),
            doc_id: evil(),
            text: evil(),
            query: evil(),
            mean_logprob: Some(-0.5),
            score: None,
            finish: evil(),
        }],
        negatives: vec![NegativeSample {
            node: evil(),
            query: evil(),
            pos_id: evil(),
            pos_text: evil(),
            neg_id: evil(),
            neg_text: evil(),
            source: evil(),
        }],
        warnings: vec![evil()],
    }
}

/// That every quote and bracket of the text is escaped, so that it opens neither a tag nor leaves an attribute.
fn harmless(page: &str) {
    for part in ["<script>alert", "<img", "\"><script", "\"&gt;&lt;script"] {
        let at = page.find(part);
        assert!(
            at.is_none(),
            "{part} stands in the page, behind {:?}",
            at.map(|at| &page[at.saturating_sub(60)..at])
        );
    }
    assert!(page.contains("&quot;&gt;&lt;script&gt;alert(1)"));
}

#[test]
fn the_page_of_a_run_takes_no_text_for_markup() {
    for place in [Place::File, Place::Server] {
        harmless(&ablate_html::run(&page(), place));
    }
    assert_eq!(figures(&page()).len(), 6);
    for figure in figures(&page())
        .iter()
        .filter(|figure| figure.name != "scores/nDCG@10")
    {
        harmless(&figure.plot.svg());
    }
}

#[test]
fn pages_of_a_server_take_no_text_for_markup() {
    harmless(&ablate_html::node(&NodePage {
        run: evil(),
        node: node(EVIL, Some(EVIL), State::Ran),
    }));
    let entry = RunEntry {
        id: evil(),
        experiment: evil(),
        started: evil(),
        seconds: 1.0,
        nodes: evil(),
        is_open: false,
    };
    harmless(&ablate_html::runs(&[entry.clone(), entry], EVIL));
    harmless(&ablate_html::rows(&RowsPage {
        run: evil(),
        node: evil(),
        port: evil(),
        search: evil(),
        total: 1,
        columns: vec![evil()],
        rows: vec![(0, vec![evil()])],
        next: Some(1),
    }));
    let seen = LiveNode {
        name: evil(),
        kind: evil(),
        state: State::Running,
        reason: evil(),
        seconds: None,
        note: evil(),
    };
    harmless(&ablate_html::live(&LivePage {
        run: evil(),
        nodes: 3,
        seen: vec![seen],
        ..LivePage::default()
    }));
    harmless(&ablate_html::message(EVIL, EVIL));
}

#[test]
fn what_a_run_does_not_have_takes_no_room() {
    let bare = RunPage {
        table: Err("the scores are gone".into()),
        spreads: vec![],
        hardness: vec![],
        curves: vec![],
        pairs: vec![],
        negatives: vec![],
        by_query: vec![],
        warnings: vec![],
        ..page()
    };
    let text = ablate_html::run(&bare, Place::File);
    assert!(text.contains("the scores are gone"));
    for heading in [
        "Warnings",
        "Training loss",
        "Generated queries",
        "Negatives",
        "Query by query",
    ] {
        assert!(!text.contains(&format!(">{heading}</h2>")), "{heading}");
    }
    assert!(text.contains(">Graph</h2>") && text.contains(">Provenance</h2>"));
}

#[test]
fn a_file_has_no_links_and_a_server_links_nodes() {
    let links = |place| ablate_html::run(&page(), place).matches("/node?name=").count();
    assert_eq!((links(Place::File), links(Place::Server)), (0, 2));
}
