//! Texts by a model behind a server.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use ablate_core::{Digest, Io, RowFunction, Seed, StageError, canon};
use serde_json::{Map, Value, json};

use crate::{
    cutting::Cuts,
    endpoint::{Answer, Client, Endpoint, Named, Question},
    reading::Format,
    writer::Spent,
    writing::{Writing, Written},
};

/// A prompt and a sample to what a server answers; version 2: with its tokens.
const ASK: RowFunction = RowFunction {
    name: "ask",
    version: 2,
};

/// What the server answers for every prompt and sample, in their order. No row is asked for twice.
///
/// # Errors
/// If the server cannot be reached, refuses, or gives no answer however often it is asked.
pub(crate) fn written(
    endpoint: &Endpoint,
    writing: &Writing<'_>,
    io: &Io<'_>,
) -> Result<(Vec<Written>, Spent), StageError> {
    let (prompts, cuts) = prompts(writing)?;
    let rows: Vec<(usize, u32)> = writing.rows().collect();
    let keys: Vec<Digest> = rows
        .iter()
        .map(|(prompt, sample)| key(&prompts[*prompt], *sample))
        .collect();
    let memo = io.memo(ASK, meaning(writing, io)?)?;
    let spent = Mutex::new(Spent {
        cuts,
        ..Spent::default()
    });
    let answers = memo.map(
        &keys,
        |_: &Answer| true,
        |missing, sink| {
            let question = |at: &usize| question(writing, endpoint, &prompts[rows[*at].0], &keys[*at]);
            let questions: Vec<Question> = missing.iter().map(question).collect();
            let done = AtomicUsize::new(0);
            let tell = |done| {
                writing
                    .share
                    .tell(io, [done, missing.len(), keys.len()], writing.unit)
            };
            tell(0)?;
            let take = |at: usize, answer: Answer| {
                io.count_tokens(answer.new_tokens as usize);
                let mut spent = spent.lock().unwrap_or_else(PoisonError::into_inner);
                spent.read += u64::from(answer.prompt_tokens);
                spent.wrote += u64::from(answer.new_tokens);
                drop(spent);
                sink(at, answer)?;
                tell(done.fetch_add(1, Ordering::Relaxed) + 1)
            };
            let client = Client::new(endpoint, io)?;
            match &endpoint.batch {
                None => client.ask_all(&questions, &take),
                Some(batch) => {
                    let keys: Vec<Digest> = missing.iter().map(|at| keys[*at]).collect();
                    let named = Named {
                        questions: &questions,
                        keys: &keys,
                        meaning: meaning(writing, io)?,
                    };
                    batch.answer_all(&client, &named, &take, &tell)
                }
            }
        },
    )?;
    let spent = spent.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((answers.into_iter().map(Written::from).collect(), spent))
}

/// Words of the longest prompt.
pub(crate) fn longest(writing: &Writing<'_>) -> Result<usize, StageError> {
    let words = |prompt: &String| prompt.split_whitespace().count();
    Ok(prompts(writing)?.0.iter().map(words).max().unwrap_or(0))
}

impl From<Answer> for Written {
    fn from(answer: Answer) -> Self {
        Self {
            text: answer.text,
            reasoning: answer.reasoning,
            tokens: answer.tokens,
            prompt_tokens: answer.prompt_tokens,
            new_tokens: answer.new_tokens,
            finish: answer.finish,
        }
    }
}

/// The prompts, and how many had something cut.
fn prompts(writing: &Writing<'_>) -> Result<(Vec<String>, Cuts), StageError> {
    let (mut texts, mut cuts) = (Vec::new(), Cuts::default());
    for at in 0..writing.prompts.len() {
        let filled = writing.prompts.filled(at)?;
        cuts.count(&filled);
        texts.push(filled.text);
    }
    Ok((texts, cuts))
}

/// What the rows of one memo have in common: the server applies stop texts itself, so they are part of it.
fn meaning(writing: &Writing<'_>, io: &Io<'_>) -> Result<canon::Value, StageError> {
    let decoding = writing.decoding.decoding();
    let rules = (
        decoding.max_new_tokens as u64,
        &decoding.stop,
        writing.format == Format::Chat,
    );
    let rules = canon::Value::of(&rules).map_err(|error| StageError::new(error.to_string()))?;
    let mut meaning = vec![("model", io.digest("model")?), ("rules", rules)];
    meaning.extend(writing.sampling()?);
    Ok(canon::Value::map(meaning))
}

fn key(prompt: &str, sample: u32) -> Digest {
    canon::Value::map([
        ("prompt", canon::Value::text(prompt)),
        ("sample", canon::Value::Int(sample.into())),
    ])
    .digest("ablate question v1")
}

/// A request; parameters that are not set are not sent, since servers refuse what they do not know.
fn question(writing: &Writing<'_>, endpoint: &Endpoint, prompt: &str, key: &Digest) -> Question {
    let decoding = writing.decoding.decoding();
    let sampling = &decoding.sampling;
    let mut body = Map::new();
    body.insert("model".into(), json!(endpoint.name));
    body.insert("max_tokens".into(), json!(decoding.max_new_tokens));
    body.insert("temperature".into(), json!(sampling.temperature));
    let set: [(&str, Option<Value>); 5] = [
        ("top_k", sampling.top_k.map(|k| json!(k))),
        ("top_p", sampling.top_p.map(|p| json!(p))),
        ("min_p", sampling.min_p.map(|p| json!(p))),
        (
            "repetition_penalty",
            sampling.repetition_penalty.map(|penalty| json!(penalty)),
        ),
        ("stop", (!decoding.stop.is_empty()).then(|| json!(decoding.stop))),
    ];
    body.extend(
        set.into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?))),
    );
    if sampling.temperature > 0.0 {
        let seed = Seed::root(writing.seed)
            .child("ask")
            .child(&key.to_string())
            .number();
        body.insert("seed".into(), json!(seed & 0x7fff_ffff));
    }
    let path = match writing.format {
        Format::Raw => {
            body.insert("prompt".into(), json!(prompt));
            body.insert("logprobs".into(), json!(1));
            "completions"
        }
        Format::Chat => {
            body.insert("messages".into(), json!([{"role": "user", "content": prompt}]));
            body.insert("logprobs".into(), json!(true));
            "chat/completions"
        }
    };
    Question {
        path,
        body: Value::Object(body),
    }
}

/// Says what was asked for anew, and what it cost.
pub(crate) fn tell_cost(endpoint: &Endpoint, Spent { read, wrote, .. }: Spent, io: &Io<'_>) {
    if endpoint.revision.is_none() {
        let name = &endpoint.name;
        io.warn(format!(
            "the endpoint `{name}` has no `revision`: if it serves other weights one day, nobody will know"
        ));
    }
    if read + wrote > 0 {
        let cost = endpoint.price.map_or(String::new(), |price| {
            let cost = (price.prompt * read as f64 + price.completion * wrote as f64) / 1e6;
            format!(", {cost:.4} at the prices given")
        });
        io.note(format!(
            "{read} tokens were read and {wrote} written by `{}`{cost}",
            endpoint.name
        ));
    }
}
