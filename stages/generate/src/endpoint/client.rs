//! Requests to a server: several at once, tried again when it is busy or the line breaks.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ablate_core::{Io, Secret, StageError};
use serde_json::{Map, Value};
use ureq::{Agent, RequestBuilder};

use super::{
    Answer, Endpoint,
    refusals::{has_no_place_for, is_of_length, names},
    waiting::{self, LONGEST_PAUSE, pause},
};

/// Bytes of an answer at most.
const LONGEST_ANSWER: u64 = 16 << 20;
/// Bytes of a file of answers at most.
const LONGEST_FILE: u64 = 8 << 30;

/// Fields that no batch is sent with: OpenAI's servers, which have them, refuse them.
const OF_OTHERS: [&str; 4] = ["top_k", "min_p", "repeat_penalty", "repeat_last_n"];
/// What the most tokens are called, by older servers and by newer ones.
const MOST_TOKENS: [&str; 2] = ["max_tokens", "max_completion_tokens"];

/// The path of conversations.
pub(crate) const CHAT: &str = "chat/completions";

/// What is asked: the path below the server's address, and the body.
pub(crate) struct Question {
    /// `completions` or `chat/completions`.
    pub(crate) path: &'static str,
    /// The request as JSON.
    pub(crate) body: Map<String, Value>,
    /// Fields that a server may refuse: it is asked without them.
    pub(crate) optional: Map<String, Value>,
    /// What the row is called that asks, for errors.
    pub(crate) row: String,
}

/// Takes the answer to the question at a place.
pub(crate) type AnswerSink<'s> = &'s (dyn Fn(usize, Answer) -> Result<(), StageError> + Sync);

/// A server to ask.
pub(crate) struct Client<'a> {
    endpoint: &'a Endpoint,
    agent: Agent,
    key: Option<Secret>,
    /// When the server may be asked again, after it said that it is busy.
    free: Mutex<Instant>,
    /// Fields that it does not take.
    refused: Mutex<BTreeSet<String>>,
    io: &'a Io<'a>,
}

/// Why there was no answer.
pub(super) enum Failure {
    /// It may go better next time; the server may have said when.
    Passing(String, Option<Duration>),
    /// The server knows nothing of what it was asked for.
    Unknown(StageError),
    /// It does not take the request as it is, in these words.
    Unfit(String, StageError),
    /// It will not.
    Lasting(StageError),
}

/// What is sent.
pub(super) enum Call<'c> {
    Get,
    Post { content_type: &'c str, bytes: &'c [u8] },
}

impl<'a> Client<'a> {
    /// For an endpoint, with its key from the environment.
    ///
    /// # Errors
    /// If the network may not be used, or the variable of the key is not set.
    pub(crate) fn new(endpoint: &'a Endpoint, io: &'a Io<'a>) -> Result<Self, StageError> {
        if io.places().offline {
            let message = format!(
                "`{}` is behind a server, and the network may not be used (ABLATE_OFFLINE)",
                endpoint.name
            );
            return Err(StageError::new(message));
        }
        let unset = |variable: &str| {
            let message = format!(
                "the key of `{}` is in the environment variable {variable}, which is not set",
                endpoint.name
            );
            StageError::with_help(message, format!("set {variable}, or leave out `key`"))
        };
        let key = endpoint.variable().map(|variable| {
            io.places()
                .environment
                .get(variable)
                .ok_or_else(|| unset(variable))
        });
        let config = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs_f64(endpoint.timeout_seconds)))
            .http_status_as_error(false)
            .build();
        Ok(Self {
            endpoint,
            agent: config.into(),
            key: key.transpose()?,
            free: Mutex::new(Instant::now()),
            refused: Mutex::new(match endpoint.batch {
                Some(_) => OF_OTHERS.map(str::to_owned).into(),
                None => BTreeSet::new(),
            }),
            io,
        })
    }

    /// Asks everything, [`Endpoint::concurrency`] questions at once; answers go to `each` as they come, in no order.
    ///
    /// # Errors
    /// The first one that trying again does not mend; what was answered before has reached `each`.
    pub(crate) fn ask_all(&self, questions: &[Question], each: AnswerSink<'_>) -> Result<(), StageError> {
        let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
        let work = || {
            while lock(&failed).is_none() {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(question) = questions.get(at) else { return };
                let answered = self.persist(at, || self.try_once(question));
                let answered = answered.and_then(|answer| each(at, answer));
                if let Err(error) = answered {
                    lock(&failed).get_or_insert(error);
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.endpoint.concurrency.min(questions.len()) {
                scope.spawn(work);
            }
        });
        lock(&failed).take().map_or(Ok(()), Err)
    }

    /// What an attempt gives, however often it takes; `at` sets the pauses of one apart from those of others.
    ///
    /// # Errors
    /// What trying again does not mend.
    pub(super) fn persist<T>(
        &self,
        at: usize,
        attempt: impl Fn() -> Result<T, Failure>,
    ) -> Result<T, StageError> {
        let mut tries = 0;
        loop {
            self.wait()?;
            let (why, asked) = match attempt() {
                Ok(answer) => return Ok(answer),
                Err(Failure::Lasting(error) | Failure::Unknown(error) | Failure::Unfit(_, error)) => {
                    return Err(error);
                }
                Err(Failure::Passing(why, asked)) => (why, asked),
            };
            if tries == self.endpoint.retries {
                let message = format!(
                    "`{}` gave no answer in {} tries: {why}",
                    self.endpoint.name,
                    tries + 1
                );
                return Err(StageError::with_help(
                    message,
                    "look at the server; what it has answered is kept, and the next run asks only the rest",
                ));
            }
            let pause = asked.unwrap_or_else(|| pause(at, tries)).min(LONGEST_PAUSE);
            let until = Instant::now() + pause;
            match asked {
                // A server that says it is busy is left alone by all.
                Some(_) => {
                    let mut free = lock(&self.free);
                    *free = (*free).max(until);
                }
                None => self.sleep_until(until)?,
            }
            tries += 1;
        }
    }

    fn wait(&self) -> Result<(), StageError> {
        let free = *lock(&self.free);
        self.sleep_until(free)
    }

    /// Sleeps, unless the run is interrupted.
    pub(super) fn sleep_until(&self, until: Instant) -> Result<(), StageError> {
        loop {
            if self.io.cancelled() {
                return Err(StageError::Cancelled);
            }
            match until.checked_duration_since(Instant::now()) {
                Some(left) if !left.is_zero() => thread::sleep(left.min(Duration::from_millis(50))),
                _ => return Ok(()),
            }
        }
    }

    /// Asks, again without what the server says it does not take.
    fn try_once(&self, question: &Question) -> Result<Answer, Failure> {
        loop {
            let sent = self.body(question);
            match self.post(question.path, &sent) {
                Err(Failure::Unfit(why, _)) if self.can_leave_out(question, &sent, &why) => {}
                Err(Failure::Unfit(_, error)) => return Err(Failure::Lasting(of_row(&question.row, error))),
                body => return Answer::read(&body?).map_err(|what| unreadable(&what)),
            }
        }
    }

    /// A question without the fields that the server does not take.
    pub(super) fn body(&self, question: &Question) -> Value {
        let (mut body, refused) = (question.body.clone(), lock(&self.refused));
        let [old, new] = MOST_TOKENS;
        if refused.contains(old)
            && let Some(most) = body.remove(old)
        {
            body.insert(new.into(), most);
        }
        let optional = question
            .optional
            .iter()
            .filter(|(name, _)| !refused.contains(*name));
        body.extend(optional.map(|(name, value)| (name.clone(), value.clone())));
        Value::Object(body)
    }

    /// Learns from a refusal of what would be sent now.
    pub(super) fn learn(&self, question: &Question, why: &str) {
        self.can_leave_out(question, &self.body(question), why);
    }

    /// Whether a refusal is of a field that was sent and that can be left out; from now on it is. What is optional does as well
    /// without, whatever is wrong with it; the most tokens only have another name, in chats.
    fn can_leave_out(&self, question: &Question, sent: &Value, why: &str) -> bool {
        if is_of_length(why) {
            return false;
        }
        let was_sent = |name: &str| sent.get(name).is_some();
        let mut optional = question.optional.keys().map(String::as_str);
        let [most, _] = MOST_TOKENS;
        let renamed = question.path == CHAT && was_sent(most) && has_no_place_for(why, most);
        let found = optional.find(|name| was_sent(name) && names(why, name));
        let Some(name) = found.or(renamed.then_some(most)) else {
            return false;
        };
        if lock(&self.refused).insert(name.to_owned()) {
            let server = &self.endpoint.name;
            self.io.warn(match name {
                "logprobs" => format!(
                    "the server of `{server}` tells no log-probabilities: queries have no `mean_logprob`"
                ),
                _ if renamed && name == most => {
                    format!("the server of `{server}` calls `{name}` `{}`", MOST_TOKENS[1])
                }
                _ => format!("the server of `{server}` does not take `{name}` and is asked without"),
            });
        }
        true
    }

    /// Posts JSON to a path below the server's address.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Vec<u8>, Failure> {
        let bytes = serde_json::to_vec(body).map_err(|error| Failure::Lasting(error.into()))?;
        let content_type = "application/json";
        let call = Call::Post {
            content_type,
            bytes: &bytes,
        };
        self.exchange(path, call)
    }

    /// The body of the answer to one request.
    pub(super) fn exchange(&self, path: &str, call: Call<'_>) -> Result<Vec<u8>, Failure> {
        let address = format!("{}/{path}", self.endpoint.endpoint.trim_end_matches('/'));
        let most = match call {
            Call::Get => LONGEST_FILE,
            Call::Post { .. } => LONGEST_ANSWER,
        };
        let sent = match call {
            Call::Get => self.keyed(self.agent.get(address)).call(),
            Call::Post { content_type, bytes } => {
                let request = self.keyed(self.agent.post(address));
                request.content_type(content_type).send(bytes)
            }
        };
        let passing = |error: &dyn std::fmt::Display| Failure::Passing(self.clean(&error.to_string()), None);
        let mut response = sent.map_err(|error| passing(&error))?;
        let after = waiting::asked(&response);
        let body = response.body_mut().with_config().limit(most).read_to_vec();
        let body = body.map_err(|error| passing(&error))?;
        match response.status().as_u16() {
            200..300 => Ok(body),
            status @ (408 | 409 | 425 | 429 | 500..600) => {
                let why = format!("status {status}: {}", self.clean(&words(&body)));
                Err(Failure::Passing(why, after))
            }
            404 => Err(Failure::Unknown(self.refusal(404, &body))),
            status @ (400 | 422) => Err(Failure::Unfit(words(&body), self.refusal(status, &body))),
            status => Err(Failure::Lasting(self.refusal(status, &body))),
        }
    }

    fn keyed<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        match &self.key {
            Some(key) => request.header("Authorization", format!("Bearer {}", key.reveal())),
            None => request,
        }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        self.endpoint
    }

    pub(super) fn io(&self) -> &Io<'a> {
        self.io
    }

    fn refusal(&self, status: u16, body: &[u8]) -> StageError {
        let message = format!(
            "the server of `{}` refuses with status {status}: {}",
            self.endpoint.name,
            self.clean(&words(body))
        );
        let help = match (status, self.endpoint.variable()) {
            (401 | 403, Some(variable)) => format!("look at what {variable} holds"),
            (401 | 403, None) => "give the endpoint `key: env:NAME`".to_owned(),
            (400 | 422, _) if is_of_length(&words(body)) => {
                "lower `max_document_tokens` or `max_new_tokens`, or let the server take longer texts"
                    .to_owned()
            }
            (404, _) => "look at `endpoint` (it ends with /v1 for most servers) and `name`".to_owned(),
            _ => "leave out the parameters that the server does not know".to_owned(),
        };
        StageError::with_help(message, help)
    }

    /// A text without the key, should a server repeat it.
    pub(super) fn clean(&self, text: &str) -> String {
        match &self.key {
            Some(key) if !key.reveal().is_empty() => text.replace(key.reveal(), "***"),
            _ => text.to_owned(),
        }
    }
}

/// A refusal with the name of the row that was refused.
fn of_row(row: &str, error: StageError) -> StageError {
    match error {
        StageError::Cancelled => StageError::Cancelled,
        StageError::Failed { message, help } => StageError::Failed {
            message: format!("`{row}`: {message}"),
            help,
        },
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// That an answer is not what it should be.
pub(super) fn unreadable(what: &str) -> Failure {
    Failure::Passing(format!("what it answered cannot be read: {what}"), None)
}

/// The server's message, or the beginning of whatever it sent.
pub(super) fn words(body: &[u8]) -> String {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let message = json.as_ref().and_then(|json| {
        let error = &json["error"];
        error["message"]
            .as_str()
            .or(error.as_str())
            .or(json["message"].as_str())
    });
    let text = message.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
    text.trim().chars().take(300).collect()
}
