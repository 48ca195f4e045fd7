//! Generation by a model behind a server: one that misbehaves in every way there is, and the rows that are paid for.
#![allow(clippy::unwrap_used)]

use std::{
    io::{BufReader, Write},
    net::TcpStream,
    path::Path,
    process::{Command, Output},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use ablate_e2e::{
    http::{self, Request},
    program::{binary, told},
};
use serde_json::{Value, json};

/// What the server does with a request.
#[derive(Clone, Copy)]
enum Act {
    /// Answers.
    Answer,
    /// Answers with this status; a busy server also says when to come back.
    Refuse(u16),
    /// Closes the connection in the middle of an answer.
    Cut,
    /// Answers something else.
    Nonsense,
    /// Answers after the client has given up.
    Sleep,
}

/// A server of completions that counts what it is asked.
#[derive(Clone, Default)]
struct Server(Arc<State>);

#[derive(Default)]
struct State {
    /// What it does with the first requests; it answers later ones.
    script: Mutex<Vec<Act>>,
    /// Bodies of the requests it answered.
    answered: Mutex<Vec<Value>>,
    /// Values of the header `Authorization`.
    keys: Mutex<Vec<String>>,
    open: AtomicUsize,
    most_open: AtomicUsize,
}

impl Server {
    /// Starts; gives its address.
    fn start(script: &[Act]) -> (Self, String) {
        let server = Self::default();
        server.0.script.lock().unwrap().extend(script.iter().rev());
        let own = server.clone();
        let address = http::listen(move |stream| own.serve(stream));
        (server, address)
    }

    /// The requests answered since the last call.
    fn answered(&self) -> Vec<Value> {
        std::mem::take(&mut self.0.answered.lock().unwrap())
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some(request) = Request::read(&mut reader) {
            if let Some(key) = request.headers.get("authorization") {
                self.0.keys.lock().unwrap().push(key.clone());
            }
            let body = serde_json::from_slice(&request.body).unwrap();
            let open = self.0.open.fetch_add(1, Ordering::SeqCst) + 1;
            self.0.most_open.fetch_max(open, Ordering::SeqCst);
            let act = self.0.script.lock().unwrap().pop().unwrap_or(Act::Answer);
            let goes_on = self.act(act, &request.path, &body, reader.get_mut());
            self.0.open.fetch_sub(1, Ordering::SeqCst);
            if !goes_on {
                return;
            }
        }
    }

    /// Whether the connection goes on.
    fn act(&self, act: Act, path: &str, body: &Value, stream: &mut TcpStream) -> bool {
        thread::sleep(Duration::from_millis(5));
        let answer = answer(path, body).to_string();
        let mut send = |status, more, text: &str| http::answer(&mut *stream, status, more, text).is_some();
        match act {
            Act::Answer => {
                self.0.answered.lock().unwrap().push(body.clone());
                send(200, "", &answer)
            }
            Act::Refuse(status) => {
                let key = self.0.keys.lock().unwrap().last().cloned().unwrap_or_default();
                let text = json!({"error": {"message": format!("no, {key}")}}).to_string();
                send(status, "retry-after: 0\r\n", &text)
            }
            Act::Cut => {
                let cut = http::head(200, "", answer.len()) + &answer[..20];
                stream.write_all(cut.as_bytes()).unwrap_or_default();
                false
            }
            Act::Nonsense => send(200, "", "<html></>"),
            Act::Sleep => {
                thread::sleep(Duration::from_secs(3));
                send(200, "", &answer);
                false
            }
        }
    }
}

/// A text that tells which prompt it is for.
fn answer(path: &str, body: &Value) -> Value {
    let usage = json!({"prompt_tokens": 30, "completion_tokens": 4});
    if path.ends_with("/chat/completions") {
        let prompt = body["messages"][0]["content"].as_str().unwrap();
        let text = format!(
            "<think>hm</think>It is short. Query: what is {}? Yes.",
            prompt.len()
        );
        let (before, query) = text.split_once(": ").unwrap();
        let token = |text: String, logprob: f64| json!({"token": text, "logprob": logprob});
        let (query, yes) = query.split_once('?').unwrap();
        let tokens = [
            token(format!("{before}:"), -9.0),
            token(format!(" {query}?"), -0.5),
            token(yes.to_owned(), -9.0),
        ];
        let logprobs = json!({"content": tokens});
        let message = json!({"role": "assistant", "content": text});
        return json!({"choices": [{"message": message, "finish_reason": "stop", "logprobs": logprobs}], "usage": usage});
    }
    assert!(path.ends_with("/v1/completions"), "{path}");
    let text = format!(" what is {}", body["prompt"].as_str().unwrap().len());
    let logprobs = json!({"tokens": [" what", &text[5..], "\n"], "token_logprobs": [-1.0, -2.0, -9.0]});
    json!({"choices": [{"text": text, "finish_reason": "stop", "logprobs": logprobs}], "usage": usage})
}

const KEY: &str = "canary-7f3a91";

/// Queries by the model behind `address`.
fn experiment(address: &str, count: usize, more: &str) -> String {
    format!(
        "\
experiment: endpoint
stages:
  data: {{use: collection, source: demo}}
  docs: {{use: sample, documents: data.corpus, count: {count}, seed: 1}}
  queries:
    use: generate
    documents: docs
    prompt: ablate/vanilla
    model: {{endpoint: \"{address}\", name: big, revision: r1, key: env:ABLATE_TEST_KEY, concurrency: 3, timeout_seconds: 1, retries: 9, price: {{prompt: 1, completion: 2}}}}
    {more}
  asked: {{use: queries, pairs: queries}}
  run:   {{use: retrieve/bm25, corpus: data.corpus, queries: asked.queries, depth: 10}}
  found: {{use: evaluate, run: run, qrels: asked.qrels, measures: [RR@10]}}
"
    )
}

fn ablate(folder: &Path, arguments: &[&str], key: Option<&str>) -> Output {
    let mut command = Command::new(binary());
    command
        .args(arguments)
        .args(["--store", "store"])
        .current_dir(folder);
    command.env_remove("ABLATE_TEST_KEY");
    command.envs(key.map(|key| ("ABLATE_TEST_KEY", key)));
    command.output().unwrap()
}

fn run(folder: &Path, text: &str) -> Output {
    fs_err::write(folder.join("e.yaml"), text).unwrap();
    ablate(folder, &["run", "e.yaml", "--json"], Some(KEY))
}

/// The queries of the last run.
fn queries(folder: &Path) -> Vec<Value> {
    let shown = ablate(
        folder,
        &["show", "latest", "queries", "--rows", "100", "--json"],
        None,
    );
    let shown: Value =
        serde_json::from_slice(&shown.stdout).unwrap_or_else(|error| panic!("{error}: {}", told(&shown)));
    shown["rows"]
        .as_array()
        .unwrap_or_else(|| panic!("{shown}"))
        .clone()
}

/// Every file below a folder that holds the key.
fn leaks(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(leaks(&path));
        } else if fs_err::read(&path)
            .unwrap()
            .windows(KEY.len())
            .any(|part| part == KEY.as_bytes())
        {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn every_row_is_answered_once_however_the_server_misbehaves() {
    let script = [
        Act::Refuse(429),
        Act::Refuse(500),
        Act::Cut,
        Act::Nonsense,
        Act::Sleep,
        Act::Answer,
        Act::Refuse(503),
        Act::Cut,
    ];
    let (server, address) = Server::start(&script);
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &experiment(&address, 12, ""));
    assert!(output.status.success(), "{}", told(&output));
    let asked = server.answered();
    assert_eq!(asked.len(), 12);
    assert!(
        asked.iter().all(|body| body["model"] == "big"
            && body["stop"] == json!(["\n"])
            && body.get("top_k").is_none())
    );
    assert!(
        server.0.most_open.load(Ordering::SeqCst) <= 4,
        "three at once, and one that slept"
    );
    assert!(
        server
            .0
            .keys
            .lock()
            .unwrap()
            .iter()
            .all(|key| key == &format!("Bearer {KEY}"))
    );
    let rows = queries(folder.path());
    assert_eq!(rows.len(), 12);
    assert!(
        rows.iter()
            .all(|row| row["mean_logprob"] == -1.5 && row["prompt_tokens"] == 30),
        "{rows:?}"
    );
    assert!(
        told(&output).contains("360 tokens were read and 48 written by `big`, 0.0005 at the prices given"),
        "{}",
        told(&output)
    );

    // Another address, the same model: nothing is asked.
    let (other, elsewhere) = Server::start(&[]);
    let output = run(folder.path(), &experiment(&elsewhere, 12, ""));
    assert!(output.status.success(), "{}", told(&output));
    assert!(other.answered().is_empty());
    // More documents: only they are asked for.
    let output = run(folder.path(), &experiment(&elsewhere, 15, ""));
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(other.answered().len(), 3);
    assert_eq!(leaks(folder.path()), [""; 0]);
    told_without_the_key(folder.path());
}

/// Asks for explanations and a report: neither tells the key.
fn told_without_the_key(folder: &Path) {
    for arguments in [["why", "latest", "queries"], ["report", "latest", "-o"]] {
        let arguments = if arguments[0] == "report" {
            [&arguments[..], &["r.html"]].concat()
        } else {
            arguments.to_vec()
        };
        let output = ablate(folder, &arguments, Some(KEY));
        assert!(!told(&output).contains(KEY) && !String::from_utf8_lossy(&output.stdout).contains(KEY));
    }
    assert_eq!(leaks(folder), [""; 0]);
}

#[test]
fn a_refusal_ends_the_run_and_what_was_answered_is_kept() {
    let mut script = vec![Act::Answer; 5];
    script.extend([Act::Refuse(401); 3]);
    let (server, address) = Server::start(&script);
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &experiment(&address, 12, ""));
    assert_eq!(output.status.code(), Some(1));
    let said = told(&output);
    assert!(
        said.contains("the server of `big` refuses with status 401: no, Bearer ***"),
        "{said}"
    );
    assert!(
        said.contains("look at what ABLATE_TEST_KEY holds") && !said.contains(KEY),
        "{said}"
    );
    let before = server.answered().len();
    assert!((5..=8).contains(&before), "{before}");
    server.0.script.lock().unwrap().clear();
    assert!(run(folder.path(), &experiment(&address, 12, "")).status.success());
    assert_eq!(before + server.answered().len(), 12);
    assert_eq!(leaks(folder.path()), [""; 0]);
}

#[test]
fn a_chat_keeps_its_reasoning_apart() {
    let (server, address) = Server::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let more = "format: chat\n    answer_after: \"Query:\"\n    until: \"[?]\"\n    per_document: 2\n    decoding: {temperature: 0.6, top_p: 0.95, top_k: 20, stop: [], max_new_tokens: 1024}";
    let output = run(folder.path(), &experiment(&address, 3, more));
    assert!(output.status.success(), "{}", told(&output));
    let asked = server.answered();
    assert_eq!(asked.len(), 6);
    assert!(
        asked
            .iter()
            .all(|body| body["top_k"] == 20 && body["temperature"] == 0.6 && body.get("stop").is_none())
    );
    let seeds: std::collections::BTreeSet<u64> =
        asked.iter().map(|body| body["seed"].as_u64().unwrap()).collect();
    assert_eq!(seeds.len(), 6, "each sample has a seed of its own");
    for row in queries(folder.path()) {
        let query = row["query"].as_str().unwrap();
        assert!(query.starts_with("what is ") && query.ends_with('?'), "{query}");
        assert_eq!(row["reasoning"], "hm\nIt is short.");
        assert_eq!(row["mean_logprob"], -0.5);
    }
}

#[test]
fn what_is_wrong_with_an_endpoint_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let text = experiment("http://127.0.0.1:9/v1", 2, "").replace("env:ABLATE_TEST_KEY", KEY);
    fs_err::write(folder.path().join("e.yaml"), text).unwrap();
    let output = ablate(folder.path(), &["check", "e.yaml"], None);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        told(&output).contains("`key` names an environment variable"),
        "{}",
        told(&output)
    );
    fs_err::write(
        folder.path().join("e.yaml"),
        experiment("http://127.0.0.1:9/v1", 2, ""),
    )
    .unwrap();
    let output = ablate(folder.path(), &["run", "e.yaml"], None);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        told(&output).contains("in the environment variable ABLATE_TEST_KEY, which is not set"),
        "{}",
        told(&output)
    );
}
