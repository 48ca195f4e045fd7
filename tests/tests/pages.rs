//! `report`, `plot` and `serve` on a small collection whose names and texts try to be markup. No model is needed.
#![allow(clippy::unwrap_used)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Stdio},
};

use ablate_cache::sealed_line;
use ablate_e2e::program::{ablate, answer, command};
use serde_json::Value;

const EVIL: &str = "<script>alert(1)</script>";

const EXPERIMENT: &str = "\
experiment: lexical
stages:
  data:   {use: collection, source: ./tiny}
  run:    {use: retrieve/bm25, corpus: data.corpus, queries: data.queries.test, depth: 10}
  scores: {use: evaluate, run: run, qrels: data.qrels.test, measures: [nDCG@10, RR@10]}
sweep: {axes: {k1: {'<script>alert(1)</script>': {run.k1: 0.9}, large: {run.k1: 5.0}}}}
report: {measure: nDCG@10, baseline: {k1: large}}
";

/// A folder with a run in it; answers with the run's id.
fn ran() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let tiny = folder.path().join("tiny");
    fs_err::create_dir_all(tiny.join("qrels")).unwrap();
    let document = |at: usize| {
        format!(
            "{{\"_id\":\"d{at}\",\"title\":\"\",\"text\":\"{EVIL} word{} common\"}}\n",
            at % 7
        )
    };
    fs_err::write(
        tiny.join("corpus.jsonl"),
        (0..60).map(document).collect::<String>(),
    )
    .unwrap();
    let query = |at: usize| format!("{{\"_id\":\"q{at}\",\"text\":\"word{at} common\"}}\n");
    fs_err::write(tiny.join("queries.jsonl"), (0..7).map(query).collect::<String>()).unwrap();
    let judgement = |at: usize| format!("q{at}\td{}\t1\n", at + 7);
    let judged: String = (0..7).map(judgement).collect();
    fs_err::write(
        tiny.join("qrels/test.tsv"),
        format!("query-id\tcorpus-id\tscore\n{judged}"),
    )
    .unwrap();
    fs_err::write(folder.path().join("e.yaml"), EXPERIMENT).unwrap();
    let run = answer(folder.path(), &["run", "e.yaml"]);
    let id = run["run"].as_str().unwrap().to_owned();
    (folder, id)
}

#[test]
fn a_report_is_one_file_in_which_names_are_text() {
    let (folder, id) = ran();
    let told = answer(folder.path(), &["report", "-o", "r.html"]);
    let page = fs_err::read_to_string(folder.path().join("r.html")).unwrap();
    assert_eq!(
        (told["run"].as_str(), told["bytes"].as_u64()),
        (Some(id.as_str()), Some(page.len() as u64))
    );
    for part in [
        "<h1>lexical</h1>",
        "nDCG@10",
        "retrieve/bm25",
        "&lt;script&gt;alert(1)",
        "Content-Security-Policy",
        "query by query",
    ] {
        assert!(page.to_lowercase().contains(&part.to_lowercase()), "{part}");
    }
    assert!(!page.contains(EVIL));
    for loading in ["src=", "url(", "href=\"http", "href=\"/"] {
        assert!(!page.contains(loading), "{loading}");
    }
    let missing = ablate(folder.path(), &["report", "nothing"]);
    assert_eq!(missing.status.code(), Some(2));
}

#[test]
fn plots_are_listed_and_written() {
    let (folder, _) = ran();
    let names = answer(folder.path(), &["plot", "latest"]);
    let names: Vec<_> = names
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    assert!(
        names.contains(&"graph") && names.contains(&"scores/RR@10"),
        "{names:?}"
    );
    assert!(
        names.iter().any(|name| name.starts_with("differences/")),
        "{names:?}"
    );
    assert!(
        ablate(folder.path(), &["plot", "latest", "scores", "-o", "x.svg"])
            .status
            .success()
    );
    let svg = fs_err::read_to_string(folder.path().join("x.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("nDCG@10") && !svg.contains(EVIL));
    assert!(
        ablate(folder.path(), &["plot", "latest", "graph", "-o", "x.png"])
            .status
            .success()
    );
    assert!(
        fs_err::read(folder.path().join("x.png"))
            .unwrap()
            .starts_with(b"\x89PNG")
    );
    assert!(
        ablate(folder.path(), &["plot", "latest", "graph", "-o", "g.svg"])
            .status
            .success()
    );
    let graph = fs_err::read_to_string(folder.path().join("g.svg")).unwrap();
    // The collection to two rankings, each ranking to its scores, and the judgements to both by one lane.
    assert_eq!(graph.matches("class=\"edge\"").count(), 8, "{graph}");
}

#[test]
fn a_plot_that_is_not_there_or_has_no_format_is_told() {
    let (folder, _) = ran();
    let told = |arguments: &[&str]| {
        let output = ablate(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(told(&["plot", "latest", "grahp", "-o", "x.svg"]).contains("did you mean `graph`?"));
    assert!(told(&["plot", "latest", "graph", "-o", "x.jpg"]).contains("end it in .svg or .png"));
    assert!(
        told(&["plot", "latest", "graph", "-o", "x.png", "--scale", "0"]).contains("choose a smaller scale")
    );
}

/// A server that ends with the test.
struct Server(Child, String);

impl Server {
    fn start(folder: &Path) -> Self {
        let mut child = command(folder, &["serve", "--port", "0", "--json"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        let address = told["address"]
            .as_str()
            .unwrap()
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned();
        Self(child, address)
    }

    /// Status and body.
    fn ask(&self, target: &str, host: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.1).unwrap();
        stream
            .write_all(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes())
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().to_owned(), body.to_owned())
    }

    fn page(&self, target: &str) -> String {
        let (status, body) = self.ask(target, "localhost");
        assert_eq!(status, "200", "{target}: {body}");
        assert!(!body.contains(EVIL), "{target}");
        body
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn runs_nodes_rows_and_comparisons_are_served() {
    let (folder, first) = ran();
    fs_err::write(
        folder.path().join("e.yaml"),
        EXPERIMENT.replace("depth: 10", "depth: 3"),
    )
    .unwrap();
    let second = answer(folder.path(), &["run", "e.yaml"])["run"]
        .as_str()
        .unwrap()
        .to_owned();
    let server = Server::start(folder.path());
    let index = server.page("/");
    assert!(index.contains(&first) && index.contains(&second));
    assert!(server.page(&format!("/run/{first}")).contains("&lt;script&gt;"));
    assert!(
        server
            .page(&format!("/run/{first}/report.html"))
            .contains("connect-src 'none'")
    );
    assert!(
        server
            .page(&format!("/run/{first}/node?name=run%5Bk1%3Dlarge%5D"))
            .contains("retrieve/bm25")
    );
    assert!(
        server
            .page(&format!("/diff?before={first}&after={second}"))
            .contains("params.depth")
    );
}

#[test]
fn rows_come_in_pages_and_can_be_searched() {
    let (folder, run) = ran();
    let server = Server::start(folder.path());
    let rows = |query: &str| server.page(&format!("/run/{run}/rows?node=data&port=corpus{query}"));
    let first = rows("");
    assert_eq!(first.matches("<tr>").count(), 51, "a heading and fifty rows");
    assert!(first.contains("&lt;script&gt;alert(1)&lt;/script&gt; word0") && first.contains("from=50"));
    assert_eq!(rows("&from=50").matches("<tr>").count(), 11);
    assert_eq!(
        rows("&q=WORD3").matches("<tr>").count(),
        1 + (0..60).filter(|at| at % 7 == 3).count()
    );
    assert!(rows("&q=nowhere").contains("No row."));
    assert!(
        rows("&from=99999999999999999999").contains("<table"),
        "a number that is none begins at the first row"
    );
}

#[test]
fn what_is_not_there_or_not_meant_is_refused() {
    let (folder, run) = ran();
    let server = Server::start(folder.path());
    let status = |target: &str, host: &str| server.ask(target, host).0;
    assert_eq!(status("/", "evil.example"), "421");
    for target in [
        "/run/nothing",
        "/run/latest",
        "/nowhere",
        &format!("/run/{run}/node?name=x"),
        &format!("/run/{run}/rows?node=data&port=../x"),
        "/diff?before=x",
    ] {
        assert_eq!(status(target, "localhost"), "404", "{target}");
    }
    for target in [
        "/run/../../etc/passwd",
        "/run/%2e%2e/live",
        "/run/..%2f..%2fx/live",
    ] {
        assert_eq!(status(target, "localhost"), "400", "{target}");
    }
    let (_, body) = server.ask("/run/%3Cscript%3Ealert(1)%3C%2fscript%3E", "localhost");
    assert!(!body.contains(EVIL));
    let (_, body) = server.ask(
        &format!("/run/{run}/node?name=%3Cscript%3Ealert(1)%3C%2Fscript%3E"),
        "localhost",
    );
    assert!(body.contains("&lt;script&gt;") && !body.contains(EVIL));
}

#[test]
fn a_run_under_way_is_shown_from_its_log() {
    let (folder, _) = ran();
    let live = folder.path().join("store/runs/20990101-000000-0000");
    fs_err::create_dir_all(&live).unwrap();
    let events = [
        r#"{"event":"run_started","run":"20990101-000000-0000","nodes":9,"reused":2}"#.to_owned(),
        format!(r#"{{"event":"node_started","node":"slow[{EVIL}]","kind":"train/biencoder"}}"#),
    ];
    fs_err::write(
        live.join("events.jsonl"),
        events.map(|event| sealed_line(&event)).concat(),
    )
    .unwrap();
    let server = Server::start(folder.path());
    assert!(server.page("/").contains("/run/20990101-000000-0000/live"));
    let page = server.page("/run/20990101-000000-0000/live");
    assert!(
        page.contains("2 of 9 nodes done")
            && page.contains("running")
            && page.contains("http-equiv=\"refresh\"")
    );
    // The stream tells what the log says, then, once the record is there, that the run is over.
    fs_err::write(live.join("run.json"), "").unwrap();
    let (status, events) = server.ask("/run/20990101-000000-0000/events", "localhost");
    assert_eq!(status, "200");
    assert!(
        events.contains("event: part\ndata: ") && events.ends_with("event: over\ndata: over\n\n"),
        "{events}"
    );
    assert!(!events.contains(EVIL));
}
