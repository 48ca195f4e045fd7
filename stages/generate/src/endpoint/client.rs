//! Requests to a server: several at once, tried again when it is busy or the line breaks.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ablate_core::{Io, Secret, Seed, StageError};
use serde_json::Value;
use ureq::{Agent, RequestBuilder, http::Response};

use super::{Answer, Endpoint};

/// The longest pause before another try.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// Bytes of an answer at most.
const LONGEST_ANSWER: u64 = 16 << 20;
/// Bytes of a file of answers at most.
const LONGEST_FILE: u64 = 8 << 30;

/// What is asked: the path below the server's address, and the body.
pub(crate) struct Question {
    /// `completions` or `chat/completions`.
    pub(crate) path: &'static str,
    /// The request as JSON.
    pub(crate) body: Value,
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
    io: &'a Io<'a>,
}

/// Why there was no answer.
pub(super) enum Failure {
    /// It may go better next time; the server may have said when.
    Passing(String, Option<Duration>),
    /// The server knows nothing of what it was asked for.
    Unknown(StageError),
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
                Err(Failure::Lasting(error) | Failure::Unknown(error)) => return Err(error),
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

    fn try_once(&self, question: &Question) -> Result<Answer, Failure> {
        let body = self.post(question.path, &question.body)?;
        Answer::read(&body).map_err(|what| unreadable(&what))
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
        let after = retry_after(&response);
        let body = response.body_mut().with_config().limit(most).read_to_vec();
        let body = body.map_err(|error| passing(&error))?;
        match response.status().as_u16() {
            200..300 => Ok(body),
            status @ (408 | 409 | 425 | 429 | 500..600) => {
                let why = format!("status {status}: {}", self.clean(&words(&body)));
                Err(Failure::Passing(why, after))
            }
            404 => Err(Failure::Unknown(self.refused(404, &body))),
            status => Err(Failure::Lasting(self.refused(status, &body))),
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

    fn refused(&self, status: u16, body: &[u8]) -> StageError {
        let message = format!(
            "the server of `{}` refuses with status {status}: {}",
            self.endpoint.name,
            self.clean(&words(body))
        );
        let help = match (status, self.endpoint.variable()) {
            (401 | 403, Some(variable)) => format!("look at what {variable} holds"),
            (401 | 403, None) => "give the endpoint `key: env:NAME`".to_owned(),
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

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// That an answer is not what it should be.
pub(super) fn unreadable(what: &str) -> Failure {
    Failure::Passing(format!("what it answered cannot be read: {what}"), None)
}

/// The pause before try `tries + 1`: half a second, doubled each time, of which chance takes up to half.
fn pause(at: usize, tries: u32) -> Duration {
    let whole = 0.5 * f64::from(1_u32 << tries.min(16));
    let chance = Seed::root(0)
        .child("pause")
        .child(&format!("{at} {tries}"))
        .stream()
        .uniform();
    Duration::from_secs_f64(whole * (1.0 - chance / 2.0)).min(LONGEST_PAUSE)
}

/// When the server wants to be asked again, in seconds.
fn retry_after<T>(response: &Response<T>) -> Option<Duration> {
    let header = |name: &str| {
        response
            .headers()
            .get(name)?
            .to_str()
            .ok()?
            .trim()
            .parse::<f64>()
            .ok()
    };
    let seconds = header("retry-after-ms")
        .map(|ms| ms / 1000.0)
        .or_else(|| header("retry-after"))?;
    (seconds.is_finite() && seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(3600.0)))
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
