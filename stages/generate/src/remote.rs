//! Texts by a model behind a server.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use ablate_core::{Digest, Io, RowFunction, Seed, StageError, canon};
use serde_json::{Map, Value, json};

use crate::{
    cutting::Cuts,
    decode::{Finish, Sampling, stopped},
    endpoint::{Answer, CHAT, Client, Endpoint, Named, Question},
    reading::Format,
    spelling::within,
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
            let question = |at: &usize| {
                let (prompt, _) = rows[*at];
                let row = writing.prompts.name(prompt);
                question(writing, endpoint, (row, &prompts[prompt]), &keys[*at])
            };
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
    let stop = writing.decoding.decoding().stop;
    let written = answers.into_iter().map(|answer| answered(answer, &stop));
    Ok((written.collect(), spent))
}

/// Words of the longest prompt.
pub(crate) fn longest(writing: &Writing<'_>) -> Result<usize, StageError> {
    let words = |prompt: &String| prompt.split_whitespace().count();
    Ok(prompts(writing)?.0.iter().map(words).max().unwrap_or(0))
}

/// What was written. Not every server ends a text where it is told to.
fn answered(answer: Answer, stop: &[String]) -> Written {
    let mut written = Written {
        text: answer.text,
        reasoning: answer.reasoning,
        tokens: answer.tokens,
        prompt_tokens: answer.prompt_tokens,
        new_tokens: answer.new_tokens,
        finish: answer.finish,
    };
    if let Some(cut) = stopped(&written.text, stop) {
        written.tokens = within(written.text.as_bytes(), &written.tokens, &(0..cut));
        written.text.truncate(cut);
        written.finish = Finish::Stop.word().into();
    }
    written
}

/// The prompts, and how many had something cut.
fn prompts(writing: &Writing<'_>) -> Result<(Vec<String>, Cuts), StageError> {
    let (mut texts, mut cuts) = (Vec::new(), Cuts::default());
    for at in 0..writing.prompts.len() {
        let filled = writing.prompts.filled(at)?;
        cuts.add(Cuts::of(&filled));
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

/// A request. Servers differ in what they know and in what they take where nothing is said: that is sent so that they may refuse it.
fn question(
    writing: &Writing<'_>,
    endpoint: &Endpoint,
    (row, prompt): (&str, &str),
    key: &Digest,
) -> Question {
    let decoding = writing.decoding.decoding();
    let [mut body, mut optional] = sampling(&decoding.sampling);
    body.insert("model".into(), json!(endpoint.name));
    body.insert("max_tokens".into(), json!(decoding.max_new_tokens));
    if !decoding.stop.is_empty() {
        optional.insert("stop".into(), json!(decoding.stop));
    }
    if decoding.sampling.temperature > 0.0 {
        let seed = Seed::root(writing.seed)
            .child("ask")
            .child(&key.to_string())
            .number();
        optional.insert("seed".into(), json!(seed & 0x7fff_ffff));
    }
    let (path, field, asked, logprobs) = match writing.format {
        Format::Raw => ("completions", "prompt", json!(prompt), json!(1)),
        Format::Chat => {
            let said = json!([{"role": "user", "content": prompt}]);
            (CHAT, "messages", said, json!(true))
        }
    };
    body.insert(field.into(), asked);
    optional.insert("logprobs".into(), logprobs);
    Question {
        path,
        body,
        optional,
        row: row.to_owned(),
    }
}

/// How tokens are chosen: what is set must be taken. What is not set is sent as what leaves all tokens in the draw, since llama.cpp's
/// server, for one, takes 40 tokens and 95 % of the mass where nothing is said.
fn sampling(sampling: &Sampling) -> [Map<String, Value>; 2] {
    let (mut set, mut unset) = (Map::new(), Map::new());
    set.insert("temperature".into(), json!(sampling.temperature));
    let filters = [
        ("top_k", sampling.top_k.map(|k| json!(k)), json!(-1)),
        ("top_p", sampling.top_p.map(|p| json!(p)), json!(1)),
        ("min_p", sampling.min_p.map(|p| json!(p)), json!(0)),
    ];
    for (name, value, all) in filters {
        match value {
            Some(value) => drop(set.insert(name.into(), value)),
            None if sampling.temperature > 0.0 => drop(unset.insert(name.into(), all)),
            None => {}
        }
    }
    if let Some(penalty) = sampling.repetition_penalty {
        set.insert("repetition_penalty".into(), json!(penalty));
        // The same in the words of llama.cpp, whose penalty is for the last 64 tokens if it is not for all.
        unset.insert("repeat_penalty".into(), json!(penalty));
        unset.insert("repeat_last_n".into(), json!(-1));
    }
    [set, unset]
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
            format!(", {:.4} at the prices given", price.of(read, wrote))
        });
        io.note(format!(
            "{read} tokens were read and {wrote} written by `{}`{cost}",
            endpoint.name
        ));
    }
}
