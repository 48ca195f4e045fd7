//! Generation by offline batches: what is sent, what is sent only once, and what becomes of what a batch leaves out.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    io::BufReader,
    net::TcpStream,
    path::Path,
    process::{Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ablate_e2e::{
    http::{self, Request},
    program::{ablate, command, folder, told, write},
};
use serde_json::{Value, json};

/// A server of files and batches.
#[derive(Clone, Default)]
struct Server(Arc<State>);

#[derive(Default)]
struct State {
    /// Uploads by their names.
    files: Mutex<Vec<Vec<u8>>>,
    batches: Mutex<Vec<Made>>,
    /// Whether batches stay under way.
    holds: AtomicBool,
    /// Whether the next batch is made and the connection then breaks.
    cuts: AtomicBool,
    /// Whether the next batch is refused.
    refuses: AtomicBool,
    /// Requests that fail from now on.
    failing: AtomicUsize,
}

/// A batch.
struct Made {
    lines: Vec<Value>,
    mark: String,
    refused: bool,
    /// Looks at it so far.
    looks: usize,
    /// Its answers and its errors, once they were made.
    results: Option<[String; 2]>,
}

impl Server {
    /// Starts; gives its address.
    fn start() -> (Self, String) {
        let server = Self::default();
        let own = server.clone();
        let address = http::listen(move |stream| own.serve(&stream));
        (server, address)
    }

    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some(request) = Request::read(&mut reader) {
            let path = request.path.strip_prefix("/v1/").unwrap();
            let answer = self.answer(&request.method, path, &request.body);
            if answer
                .and_then(|answer| http::answer(stream, 200, "", &answer))
                .is_none()
            {
                return;
            }
        }
    }

    /// Requests of each batch.
    fn sizes(&self) -> Vec<usize> {
        self.0
            .batches
            .lock()
            .unwrap()
            .iter()
            .map(|made| made.lines.len())
            .collect()
    }

    fn looks(&self) -> usize {
        self.0.batches.lock().unwrap().iter().map(|made| made.looks).sum()
    }

    /// `None` if the connection breaks.
    fn answer(&self, method: &str, path: &str, body: &[u8]) -> Option<String> {
        let mut batches = self.0.batches.lock().unwrap();
        let parts: Vec<&str> = path.split(['/', '?']).collect();
        let number = |name: &str| name.rsplit_once('-').unwrap().1.parse::<usize>().unwrap();
        let answer = match (method, parts.as_slice()) {
            ("POST", ["files"]) => {
                let mut files = self.0.files.lock().unwrap();
                files.push(uploaded(body));
                json!({"id": format!("file-{}", files.len() - 1)})
            }
            ("POST", ["batches"]) => {
                let made = self.made(&serde_json::from_slice(body).unwrap());
                batches.push(made);
                if self.0.cuts.swap(false, Ordering::SeqCst) {
                    return None;
                }
                told_of(batches.len() - 1, batches.last().unwrap(), "validating")
            }
            ("GET", ["batches", "limit=100"]) => {
                let all = batches.iter().enumerate();
                let all: Vec<Value> = all.map(|(at, made)| told_of(at, made, "in_progress")).collect();
                json!({"data": all})
            }
            ("GET", ["batches", id]) => self.look(number(id), &mut batches[number(id)]),
            ("GET", ["files", name, "content"]) => {
                let results = batches[number(name)].results.as_ref().unwrap();
                return Some(results[usize::from(name.starts_with("errors"))].clone());
            }
            _ => panic!("{method} {path}"),
        };
        Some(answer.to_string())
    }

    fn made(&self, asked: &Value) -> Made {
        assert_eq!(asked["endpoint"], "/v1/completions");
        let file: usize = asked["input_file_id"].as_str().unwrap()[5..].parse().unwrap();
        let text = String::from_utf8(self.0.files.lock().unwrap()[file].clone()).unwrap();
        Made {
            lines: text
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect(),
            mark: asked["metadata"]["ablate"].as_str().unwrap().to_owned(),
            refused: self.0.refuses.swap(false, Ordering::SeqCst),
            looks: 0,
            results: None,
        }
    }

    /// Under way at the first look, over at the second.
    fn look(&self, at: usize, made: &mut Made) -> Value {
        made.looks += 1;
        if made.refused {
            return told_of(at, made, "failed");
        }
        if made.looks == 1 || self.0.holds.load(Ordering::SeqCst) {
            return told_of(at, made, "in_progress");
        }
        if made.results.is_none() {
            let mut results = [String::new(), String::new()];
            for line in &made.lines {
                let fails = self.0.failing.load(Ordering::SeqCst) > 0;
                if fails {
                    self.0.failing.fetch_sub(1, Ordering::SeqCst);
                }
                results[usize::from(fails)] += &format!("{}\n", result(line, fails));
            }
            made.results = Some(results);
        }
        told_of(at, made, "completed")
    }
}

/// The file in a form.
fn uploaded(body: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(body).unwrap();
    assert!(text.contains("name=\"purpose\"\r\n\r\nbatch\r\n"), "{text}");
    let (_, file) = text
        .split_once("Content-Type: application/jsonl\r\n\r\n")
        .unwrap();
    file.rsplit_once("\r\n--").unwrap().0.as_bytes().to_vec()
}

fn told_of(at: usize, made: &Made, status: &str) -> Value {
    let mut state = json!({"id": format!("batch-{at}"), "status": status, "metadata": {"ablate": made.mark},
        "request_counts": {"total": made.lines.len(), "completed": 1, "failed": 0}});
    match status {
        "failed" => state["errors"] = json!({"data": [{"message": "no such model"}]}),
        "completed" => {
            state["output_file_id"] = json!(format!("output-{at}"));
            state["error_file_id"] = json!(format!("errors-{at}"));
        }
        _ => {}
    }
    state
}

fn result(line: &Value, fails: bool) -> Value {
    assert_eq!(
        (&line["method"], &line["url"]),
        (&json!("POST"), &json!("/v1/completions"))
    );
    let (status, body) = if fails {
        (500, json!({"error": {"message": "out of memory"}}))
    } else {
        let text = format!(" what is {}", line["body"]["prompt"].as_str().unwrap().len());
        let usage = json!({"prompt_tokens": 30, "completion_tokens": 4});
        (
            200,
            json!({"choices": [{"text": text, "finish_reason": "stop"}], "usage": usage}),
        )
    };
    json!({"custom_id": line["custom_id"], "response": {"status_code": status, "body": body}, "error": null})
}

/// Queries by the model behind `address`, asked for in batches.
fn experiment(address: &str, count: usize) -> String {
    format!(
        "\
experiment: batches
stages:
  data: {{use: collection, source: demo}}
  docs: {{use: sample, documents: data.corpus, count: {count}, seed: 1}}
  queries:
    use: generate
    documents: docs
    prompt: ablate/vanilla
    model: {{endpoint: \"{address}\", name: big, revision: r1, retries: 1, batch: {{poll_seconds: 0.02}}}}
  kept: {{use: filter, pairs: queries, min_chars: 1}}
"
    )
}

fn run(folder: &Path, text: &str) -> Output {
    write(folder, text);
    ablate(folder, &["run", "e.yaml", "--json"])
}

/// Rows of the queries that the run has computed and reused.
fn rows(output: &Output) -> (u64, u64) {
    assert!(output.status.success(), "{}", told(output));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let nodes = answer["nodes"].as_array().unwrap();
    let queries = nodes.iter().find(|node| node["name"] == "queries").unwrap();
    let count = |name: &str| queries[name].as_u64().unwrap();
    (count("rows_computed"), count("rows_reused"))
}

#[test]
fn what_is_new_is_sent_in_one_batch() {
    let (server, address) = Server::start();
    let folder = folder("");
    let first = run(folder.path(), &experiment(&address, 12));
    assert_eq!(rows(&first), (12, 0));
    assert!(
        told(&first).contains("the batch `batch-0` of 12 requests is under way"),
        "{}",
        told(&first)
    );
    assert!(
        told(&first).contains("360 tokens were read and 48 written by `big`"),
        "{}",
        told(&first)
    );
    assert_eq!(rows(&run(folder.path(), &experiment(&address, 15))), (3, 12));
    assert_eq!(server.sizes(), [12, 3]);
    let sent: BTreeMap<String, usize> = server
        .0
        .batches
        .lock()
        .unwrap()
        .iter()
        .flat_map(|made| &made.lines)
        .fold(BTreeMap::new(), |mut sent, line| {
            *sent
                .entry(line["custom_id"].as_str().unwrap().to_owned())
                .or_default() += 1;
            sent
        });
    assert_eq!(sent.len(), 15, "each request once");
}

#[test]
fn a_killed_run_leaves_a_batch_that_the_next_one_takes() {
    let (server, address) = Server::start();
    server.0.holds.store(true, Ordering::SeqCst);
    let folder = folder(&experiment(&address, 12));
    let mut child = command(folder.path(), &["run", "e.yaml"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_mins(1);
    while server.looks() == 0 {
        assert!(Instant::now() < until, "no batch is looked at");
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    server.0.holds.store(false, Ordering::SeqCst);
    // Another computation with rows of the first: those are under way already.
    assert_eq!(rows(&run(folder.path(), &experiment(&address, 14))), (14, 0));
    assert_eq!(server.sizes(), [12, 2]);
}

#[test]
fn a_batch_that_was_made_before_the_line_broke_is_not_made_again() {
    let (server, address) = Server::start();
    server.0.cuts.store(true, Ordering::SeqCst);
    let folder = folder("");
    assert_eq!(rows(&run(folder.path(), &experiment(&address, 6))), (6, 0));
    assert_eq!(server.sizes(), [6]);
}

#[test]
fn what_a_batch_leaves_out_is_sent_again_for_a_while() {
    let (server, address) = Server::start();
    server.0.failing.store(2, Ordering::SeqCst);
    let folder = folder("");
    assert_eq!(rows(&run(folder.path(), &experiment(&address, 12))), (12, 0));
    assert_eq!(server.sizes(), [12, 2]);

    server.0.failing.store(usize::MAX, Ordering::SeqCst);
    let failed = run(folder.path(), &experiment(&address, 15));
    assert_eq!(failed.status.code(), Some(1));
    let why = told(&failed);
    assert!(
        why.contains("`big` left 3 requests unanswered in 2 batches: status 500: out of memory"),
        "{why}"
    );
    server.0.failing.store(0, Ordering::SeqCst);
    assert_eq!(rows(&run(folder.path(), &experiment(&address, 15))), (3, 12));
    assert_eq!(server.sizes(), [12, 2, 3, 3, 3]);
}

#[test]
fn a_refused_batch_is_told_and_the_next_run_makes_another() {
    let (server, address) = Server::start();
    server.0.refuses.store(true, Ordering::SeqCst);
    let folder = folder("");
    let failed = run(folder.path(), &experiment(&address, 6));
    assert_eq!(failed.status.code(), Some(1));
    let why = told(&failed);
    assert!(
        why.contains("the server of `big` refuses a batch: no such model"),
        "{why}"
    );
    assert_eq!(rows(&run(folder.path(), &experiment(&address, 6))), (6, 0));
    assert_eq!(server.sizes(), [6, 6]);
}
