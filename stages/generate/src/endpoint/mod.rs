//! Language models behind an OpenAI-compatible server: how they are named, and what they are asked.

mod answer;
mod batch;
mod client;
mod refusals;
mod waiting;

use std::{path::PathBuf, sync::LazyLock};

use ablate_core::{Digest, Places, SourceType, StageError, canon::Value as Canon, json_schema};
use ablate_models::source::MODEL_SOURCE;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use answer::Answer;
pub use batch::Batch;
pub(crate) use batch::Named;
pub(crate) use client::{CHAT, Client, Question};
use waiting::{YEAR, is_span};

/// A model behind a server. Only name and revision say what it is: the rest is how to reach it, and moves no key.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// The server's address up to and with the version, as in `http://127.0.0.1:8080/v1`.
    #[schemars(extend("pattern" = "^https?://"))]
    pub endpoint: String,
    /// What the server calls the model.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Which version of the weights it serves: another one is another model. Without it nobody can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The key as `env:NAME`, the environment variable that holds it; it is never written anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^env:[A-Za-z_][A-Za-z0-9_]*$"))]
    pub key: Option<String>,
    /// Requests under way at once.
    #[serde(default = "concurrency")]
    #[schemars(range(min = 1))]
    pub concurrency: usize,
    /// Seconds a request may take.
    #[serde(default = "timeout_seconds")]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = YEAR))]
    pub timeout_seconds: f64,
    /// How often a request is tried again that the server could not answer.
    #[serde(default = "retries")]
    pub retries: u32,
    /// Asks by offline batches (`files` and `batches` of OpenAI's API) instead of request by request: cheaper, and slower.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Batch>,
    /// What a million tokens cost, to tell what a run will cost (`plan`) and has cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
}

/// Prices of a million tokens, in whatever currency.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Of what is read.
    #[schemars(range(min = 0))]
    pub prompt: f64,
    /// Of what is written.
    #[schemars(range(min = 0))]
    pub completion: f64,
}

impl Price {
    /// What so many tokens cost.
    pub(crate) fn of(self, read: u64, written: u64) -> f64 {
        (self.prompt * read as f64 + self.completion * written as f64) / 1e6
    }
}

fn concurrency() -> usize {
    8
}
fn timeout_seconds() -> f64 {
    300.0
}
fn retries() -> u32 {
    6
}

impl Endpoint {
    /// Reads the fields of a source text; `None` if it names a model by a name.
    ///
    /// # Errors
    /// If a field is unknown, missing, or out of range.
    pub(crate) fn parse(text: &str) -> Option<Result<Self, String>> {
        text.starts_with('{').then(|| {
            let endpoint: Self = serde_json::from_str(text).map_err(|error| told(&error.to_string()))?;
            endpoint.check().map(|()| endpoint)
        })
    }

    fn check(&self) -> Result<(), String> {
        let address = self
            .endpoint
            .strip_prefix("http://")
            .or(self.endpoint.strip_prefix("https://"));
        let wrong = if address.is_none_or(str::is_empty) {
            "`endpoint` is an address, as in http://127.0.0.1:8080/v1"
        } else if self.endpoint.contains('@') {
            "no user or password in `endpoint`: it would be written to records; set `key: env:NAME`"
        } else if self.name.is_empty() {
            "`name` is what the server calls the model"
        } else if self
            .key
            .as_ref()
            .is_some_and(|key| !key.starts_with("env:") || key.len() == 4)
        {
            "`key` names an environment variable, as in env:OPENAI_API_KEY: a key itself does not belong in a file"
        } else if self.concurrency == 0 || !is_span(self.timeout_seconds) {
            "`concurrency` and `timeout_seconds` must lie above 0, and no request takes more than a year (31536000 seconds)"
        } else if self.batch.as_ref().is_some_and(|batch| !batch.is_sound()) {
            "`batch.poll_seconds` and `batch.most` must lie above 0, and nobody waits for more than a year (31536000 seconds)"
        } else {
            return Ok(());
        };
        Err(wrong.to_owned())
    }

    /// The environment variable that holds the key.
    pub(crate) fn variable(&self) -> Option<&str> {
        self.key.as_deref().and_then(|key| key.strip_prefix("env:"))
    }
}

/// Serde's message without its place in a text that nobody has written.
fn told(message: &str) -> String {
    message.split(" at line ").next().unwrap_or(message).to_owned()
}

/// The sources of a generator: models by name, and endpoints by their fields.
pub static GENERATOR_SOURCE: GeneratorSource = GeneratorSource;

/// Resolves the name of a generator.
pub struct GeneratorSource;

impl SourceType for GeneratorSource {
    fn name(&self) -> &'static str {
        MODEL_SOURCE.name()
    }

    fn about(&self) -> &'static str {
        static ABOUT: LazyLock<String> = LazyLock::new(|| {
            let names = MODEL_SOURCE.about();
            format!(
                "{names}; or an OpenAI-compatible server as `{{endpoint: URL, name: NAME, revision: REVISION, key: env:VARIABLE}}`"
            )
        });
        &ABOUT
    }

    fn examples(&self) -> Vec<&'static str> {
        MODEL_SOURCE.examples()
    }

    fn fields(&self) -> Option<Value> {
        Some(json_schema::<Endpoint>())
    }

    fn is_remote(&self, text: &str) -> bool {
        Endpoint::parse(text).is_some()
    }

    fn check(&self, text: &str) -> Result<(), String> {
        match Endpoint::parse(text) {
            Some(endpoint) => endpoint.map(drop),
            None => MODEL_SOURCE.check(text),
        }
    }

    fn identity(&self, text: &str, places: &Places) -> String {
        match Endpoint::parse(text) {
            Some(Ok(Endpoint { name, revision, .. })) => {
                format!("endpoint {name}@{}", revision.as_deref().unwrap_or("?"))
            }
            _ => MODEL_SOURCE.identity(text, places),
        }
    }

    fn digest(&self, text: &str, places: &Places) -> Result<Option<Digest>, StageError> {
        match Endpoint::parse(text) {
            Some(endpoint) => {
                let Endpoint { name, revision, .. } = endpoint.map_err(StageError::new)?;
                let mut named = vec![("name", Canon::text(name))];
                named.extend(revision.map(|revision| ("revision", Canon::text(revision))));
                Ok(Some(Canon::map(named).digest("ablate endpoint v1")))
            }
            None => MODEL_SOURCE.digest(text, places),
        }
    }

    /// An endpoint has no files.
    fn fetch(&self, text: &str, places: &Places, report: &dyn Fn(&str)) -> Result<PathBuf, StageError> {
        match Endpoint::parse(text) {
            Some(_) => Ok(places.base.clone()),
            None => MODEL_SOURCE.fetch(text, places, report),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Digest {
        GENERATOR_SOURCE
            .digest(text, &Places::default())
            .unwrap()
            .unwrap()
    }

    #[test]
    fn name_and_revision_are_the_model_and_the_rest_is_not() {
        let one = r#"{"endpoint": "http://a/v1", "name": "m", "revision": "r1"}"#;
        let elsewhere = r#"{"endpoint": "https://b/v1", "name": "m", "revision": "r1", "key": "env:K", "concurrency": 2}"#;
        assert_eq!(digest(one), digest(elsewhere));
        assert_ne!(digest(one), digest(&one.replace("r1", "r2")));
        assert_ne!(digest(one), digest(&one.replace("\"m\"", "\"n\"")));
        assert_eq!(
            GENERATOR_SOURCE.identity(elsewhere, &Places::default()),
            "endpoint m@r1"
        );
    }

    #[test]
    fn what_is_wrong_with_an_endpoint_is_told() {
        let wrong = |fields: &str| {
            GENERATOR_SOURCE
                .check(&format!(r#"{{"endpoint": "http://a/v1", "name": "m"{fields}}}"#))
                .unwrap_err()
        };
        assert!(wrong(r#", "key": "sk-canary""#).starts_with("`key` names an environment variable"));
        assert!(!wrong(r#", "key": "sk-canary""#).contains("canary"));
        assert!(wrong(r#", "revison": "x""#).starts_with("unknown field `revison`, expected one of"));
        assert!(wrong(r#", "concurrency": 0"#).starts_with("`concurrency`"));
        assert!(wrong(r#", "timeout_seconds": 1e300"#).contains("more than a year"));
        assert!(wrong(r#", "batch": {"poll_seconds": 1e19}"#).contains("more than a year"));
        let address =
            |address: &str| GENERATOR_SOURCE.check(&format!(r#"{{"endpoint": "{address}", "name": "m"}}"#));
        assert!(
            address("localhost:8080")
                .unwrap_err()
                .starts_with("`endpoint` is an address")
        );
        assert!(address("http://u:p@a/v1").unwrap_err().starts_with("no user"));
        assert!(address("https://a/v1").is_ok());
        assert_eq!(GENERATOR_SOURCE.check("smollm2-135m-instruct"), Ok(()));
    }
}
