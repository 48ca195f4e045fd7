//! Offline batches of OpenAI-compatible servers: a file of requests, answered within a day at a lower price.
//! <https://platform.openai.com/docs/api-reference/batch>

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use ablate_core::{Digest, RowFunction, RowValue, StageError, canon};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Answer, Client, Question,
    client::{AnswerSink, Call, Failure, unreadable, words},
    waiting::{YEAR, is_span},
};

/// A request to the batch it was sent in; version 1.
const BATCHED: RowFunction = RowFunction {
    name: "ask-in-batch",
    version: 1,
};
/// What stands between the parts of an upload: no line of JSON begins so.
const BOUNDARY: &str = "----ablate-batch";

/// How batches are sent and looked after.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Batch {
    /// Seconds between looks at a batch under way.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = YEAR))]
    pub poll_seconds: f64,
    /// Requests in one batch at most.
    #[schemars(range(min = 1))]
    pub most: usize,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            poll_seconds: 30.0,
            most: 50_000,
        }
    }
}

/// Questions, what each is called for ever, and what they have in common.
pub(crate) struct Named<'a> {
    pub(crate) questions: &'a [Question],
    pub(crate) keys: &'a [Digest],
    pub(crate) meaning: canon::Value,
}

/// What a server calls a batch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Id(String);

impl RowValue for Id {
    fn to_bytes(&self) -> Vec<u8> {
        self.0.clone().into_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        String::from_utf8(bytes.to_vec()).ok().map(Self)
    }
}

/// A batch as the server tells it.
#[derive(Clone, Debug, Default, Deserialize)]
struct State {
    id: String,
    status: String,
    #[serde(default)]
    output_file_id: Option<String>,
    #[serde(default)]
    error_file_id: Option<String>,
    #[serde(default)]
    errors: Option<Value>,
    #[serde(default)]
    metadata: Option<BTreeMap<String, String>>,
    #[serde(default)]
    request_counts: Option<Counts>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Counts {
    #[serde(default)]
    completed: usize,
}

/// A line of a file of answers.
#[derive(Deserialize)]
struct Line {
    custom_id: String,
    #[serde(default)]
    response: Option<Reply>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Reply {
    status_code: u16,
    #[serde(default)]
    body: Value,
}

impl Batch {
    /// Whether its numbers are in their ranges.
    pub(super) fn is_sound(&self) -> bool {
        is_span(self.poll_seconds) && self.most > 0
    }

    /// Has every question answered. The batch of each is remembered before it is waited for: a later run goes on with it. What a batch
    /// leaves unanswered is asked for in another one. Answers go to `each`, in no order; `tell` is told how many there are.
    ///
    /// # Errors
    /// If the server refuses a batch, or leaves a question unanswered however often it is asked.
    pub(crate) fn answer_all(
        &self,
        client: &Client<'_>,
        named: &Named<'_>,
        each: AnswerSink<'_>,
        tell: &dyn Fn(usize) -> Result<(), StageError>,
    ) -> Result<(), StageError> {
        let run = Run {
            batch: self,
            client,
            named,
            each,
            tell,
            answered: RefCell::default(),
            made: RefCell::default(),
            failure: RefCell::default(),
        };
        let meaning = canon::Value::map([
            ("endpoint", canon::Value::text(&client.endpoint().endpoint)),
            ("rows", named.meaning.clone()),
        ]);
        let memo = client.io().memo(BATCHED, meaning)?.aside();
        let mut tries = 0;
        for round in 0_u32.. {
            let open = run.open();
            if open.is_empty() {
                break;
            }
            if tries > client.endpoint().retries {
                return Err(run.unanswered(open.len(), tries));
            }
            let before = run.made.borrow().len();
            let keys: Vec<Digest> = open.iter().map(|at| in_round(&named.keys[*at], round)).collect();
            let ids = memo.map(
                &keys,
                |_: &Id| true,
                |missing, sink| {
                    for (part, places) in missing.chunks(self.most).enumerate() {
                        let rows: Vec<usize> = places.iter().map(|place| open[*place]).collect();
                        let id = run.send(&rows, round)?;
                        let first = part * self.most;
                        (first..first + places.len()).try_for_each(|at| sink(at, id.clone()))?;
                    }
                    Ok(())
                },
            )?;
            let distinct: BTreeSet<Id> = ids.into_iter().collect();
            distinct.iter().try_for_each(|id| run.collect(id))?;
            tries += u32::from(run.made.borrow().len() > before);
        }
        Ok(())
    }
}

/// What the batch of a question is remembered by: after a batch that left it unanswered comes another one.
fn in_round(key: &Digest, round: u32) -> Digest {
    canon::Value::map([
        ("question", canon::Value::text(key)),
        ("round", canon::Value::Int(round.into())),
    ])
    .digest("ablate batched question v1")
}

/// Questions on their way.
struct Run<'a> {
    batch: &'a Batch,
    client: &'a Client<'a>,
    named: &'a Named<'a>,
    each: AnswerSink<'a>,
    tell: &'a dyn Fn(usize) -> Result<(), StageError>,
    answered: RefCell<BTreeSet<usize>>,
    /// The batches this run has made.
    made: RefCell<BTreeSet<Id>>,
    /// Why the last question that failed did.
    failure: RefCell<String>,
}

impl Run<'_> {
    /// The questions without an answer.
    fn open(&self) -> Vec<usize> {
        let answered = self.answered.borrow();
        (0..self.named.questions.len())
            .filter(|at| !answered.contains(at))
            .collect()
    }

    fn unanswered(&self, open: usize, tries: u32) -> StageError {
        let why = self.client.clean(&self.failure.borrow());
        let name = &self.client.endpoint().name;
        StageError::with_help(
            format!("`{name}` left {open} requests unanswered in {tries} batches: {why}"),
            "look at the server; what it has answered is kept, and the next run asks only the rest",
        )
    }

    /// Makes a batch of these questions, unless the server has one of them already: a run may have ended before it could remember it.
    fn send(&self, rows: &[usize], round: u32) -> Result<Id, StageError> {
        let mut lines = Vec::new();
        for at in rows {
            let question = &self.named.questions[*at];
            let (path, body) = (question.path, self.client.body(question));
            let custom_id = self.named.keys[*at].to_string();
            let line =
                json!({"custom_id": custom_id, "method": "POST", "url": format!("/v1/{path}"), "body": body});
            lines.extend(serde_json::to_vec(&line)?);
            lines.push(b'\n');
        }
        let mark = in_round(&Digest::of(&lines), round).to_string();
        let path = self.named.questions[rows[0]].path;
        let id = self.client.persist(0, || match self.marked(&mark)? {
            Some(id) => Ok(id),
            None => self.make(&lines, path, &mark),
        })?;
        self.made.borrow_mut().insert(id.clone());
        let (count, Id(name)) = (rows.len(), &id);
        self.client.io().note(format!(
            "the batch `{name}` of {count} requests is under way; a run that ends before it does goes on with it"
        ));
        Ok(id)
    }

    /// The batch of this mark among the last ones, if the server lists them.
    fn marked(&self, mark: &str) -> Result<Option<Id>, Failure> {
        #[derive(Deserialize)]
        struct List {
            data: Vec<State>,
        }
        let body = match self.client.exchange("batches?limit=100", Call::Get) {
            Err(Failure::Unknown(_)) => return Ok(None),
            other => other?,
        };
        let list: List = read(&body)?;
        let is_it = |state: &State| {
            let own = state.metadata.as_ref().and_then(|data| data.get("ablate"));
            own.is_some_and(|own| own == mark) && state.status != "failed"
        };
        Ok(list.data.into_iter().find(is_it).map(|state| Id(state.id)))
    }

    fn make(&self, lines: &[u8], path: &str, mark: &str) -> Result<Id, Failure> {
        #[derive(Deserialize)]
        struct File {
            id: String,
        }
        let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
        let file: File = read(&self.client.exchange(
            "files",
            Call::Post {
                content_type: &content_type,
                bytes: &upload(lines),
            },
        )?)?;
        let batch = json!({
            "input_file_id": file.id, "endpoint": format!("/v1/{path}"), "completion_window": "24h", "metadata": {"ablate": mark},
        });
        let state: State = read(&self.client.post("batches", &batch)?)?;
        Ok(Id(state.id))
    }

    /// Waits for a batch and takes its answers. One that an earlier run has made may have failed, or be forgotten: then there are none.
    fn collect(&self, id: &Id) -> Result<(), StageError> {
        let Some(state) = self.ended(id)? else {
            self.failure
                .replace(format!("the server knows no batch `{}`", id.0));
            return Ok(());
        };
        if state.status == "failed" {
            let why = state
                .errors
                .as_ref()
                .map(|errors| errors["data"][0]["message"].clone());
            let why = why
                .as_ref()
                .and_then(Value::as_str)
                .unwrap_or("it does not say why");
            let (name, why) = (&self.client.endpoint().name, self.client.clean(why));
            self.failure.replace(why.clone());
            return match self.made.borrow().contains(id) {
                true => Err(StageError::with_help(
                    format!("the server of `{name}` refuses a batch: {why}"),
                    "correct what it complains of, or leave out `batch` and ask request by request",
                )),
                false => Ok(()),
            };
        }
        if state.output_file_id.is_none() && state.error_file_id.is_none() {
            self.failure
                .replace(format!("the batch `{}` is {}", id.0, state.status));
        }
        let files = [&state.output_file_id, &state.error_file_id];
        files.into_iter().flatten().try_for_each(|file| self.take(file))
    }

    /// The batch when it has ended; `None` if the server does not know it.
    fn ended(&self, Id(id): &Id) -> Result<Option<State>, StageError> {
        let before = self.answered.borrow().len();
        loop {
            let state = self.client.persist(0, || {
                match self.client.exchange(&format!("batches/{id}"), Call::Get) {
                    Err(Failure::Unknown(_)) => Ok(None),
                    other => read::<State>(&other?).map(Some),
                }
            })?;
            match &state {
                Some(state) if !is_over(&state.status) => {
                    let counts = state.request_counts.unwrap_or_default();
                    (self.tell)((before + counts.completed).min(self.named.questions.len()))?;
                }
                _ => return Ok(state),
            }
            let pause = Duration::from_secs_f64(self.batch.poll_seconds);
            self.client.sleep_until(Instant::now() + pause)?;
        }
    }

    /// Takes the answers in a file.
    fn take(&self, file: &str) -> Result<(), StageError> {
        let path = format!("files/{file}/content");
        let bytes = self
            .client
            .persist(0, || self.client.exchange(&path, Call::Get))?;
        let places: BTreeMap<String, usize> =
            self.named.keys.iter().map(Digest::to_string).zip(0..).collect();
        for line in bytes.split(|byte| *byte == b'\n') {
            let Ok(line) = serde_json::from_slice::<Line>(line) else {
                continue;
            };
            // Requests of other runs may be in the batch.
            let Some(at) = places.get(&line.custom_id) else {
                continue;
            };
            match answer(&line) {
                Ok(answer) if self.answered.borrow_mut().insert(*at) => (self.each)(*at, answer)?,
                Ok(_) => {}
                Err(why) => {
                    self.client.learn(&self.named.questions[*at], &why);
                    self.failure.replace(why);
                }
            }
        }
        Ok(())
    }
}

/// The answer in a line; else why there is none.
fn answer(line: &Line) -> Result<Answer, String> {
    let Some(reply) = &line.response else {
        let error = line.error.as_ref().map(Value::to_string);
        return Err(words(error.unwrap_or_default().as_bytes()));
    };
    let body = reply.body.to_string();
    match reply.status_code {
        200..300 => Answer::read(body.as_bytes()),
        status => Err(format!("status {status}: {}", words(body.as_bytes()))),
    }
}

fn is_over(status: &str) -> bool {
    matches!(status, "completed" | "failed" | "expired" | "cancelled")
}

/// A form with the purpose and the file.
fn upload(lines: &[u8]) -> Vec<u8> {
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--{BOUNDARY}\r\nContent-Disposition: \
         form-data; name=\"file\"; filename=\"ablate.jsonl\"\r\nContent-Type: application/jsonl\r\n\r\n"
    );
    [
        head.as_bytes(),
        lines,
        format!("\r\n--{BOUNDARY}--\r\n").as_bytes(),
    ]
    .concat()
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| unreadable(&error.to_string()))
}
