//! Texts by a model that computes here.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use ablate_core::{Digest, Io, RowFunction, Seed, StageError, canon};
use ablate_models::{
    Precision,
    decoder::Model,
    device,
    generator::{Generator, tokens_behind},
};

use crate::{
    chat,
    decode::{Continuation, Draft, Request, cut, decode},
    filling::Piece,
    spelling::Token,
    writer::{ADAPTER, Spent},
    writing::{Format, Writing, Written},
};

/// A prompt and a stream to what a model writes; version 2: attention adds in another order; 3: a draw adds the masses of tokens in another one.
const WRITE: RowFunction = RowFunction {
    name: "generate",
    version: 3,
};

/// The generator at the port `model`, adapted where there is an adapter.
///
/// # Errors
/// If it cannot be loaded.
pub(crate) fn open(io: &Io<'_>, precision: Precision) -> Result<Arc<Generator>, StageError> {
    let device = device::open(io.device())?;
    let load = |folder: &Path| Generator::load(folder, &device, precision);
    let generator = match io.optional_tree(ADAPTER)? {
        None => io.model("model", precision.word(), load)?,
        Some(adapter) => {
            let base = io.tree("model")?;
            Arc::new(Generator::load_adapted(&base, &adapter, &device, precision)?)
        }
    };
    if let Model::Device(model) = &generator.model {
        io.note(format!("computed on {}", model.place()));
    }
    Ok(generator)
}

/// What the model writes for every prompt and sample, in their order.
///
/// # Errors
/// If it has no chat template where one is asked for, or a prompt is too long for it.
pub(crate) fn written(
    generator: &Generator,
    writing: &Writing<'_>,
    io: &Io<'_>,
) -> Result<(Vec<Written>, Spent), StageError> {
    let prompts = Tokens::new(generator, writing)?;
    prompts.check(generator, writing)?;
    let texts = write(generator, &prompts, writing, io)?;
    let samples = writing.samples as usize;
    let written = |(at, text): (usize, Continuation)| Written {
        tokens: spelt(&text),
        reasoning: None,
        text: text.text,
        prompt_tokens: (prompts.head.len() + prompts.rest[at / samples].len()) as u32,
        new_tokens: text.tokens.len() as u32,
        finish: text.finish.word().into(),
    };
    let spent = Spent {
        cut: prompts.cut,
        ..Spent::default()
    };
    Ok((texts.into_iter().enumerate().map(written).collect(), spent))
}

fn spelt(text: &Continuation) -> Vec<Token> {
    let numbers = text.ends.iter().zip(&text.logprobs);
    numbers
        .map(|(end, logprob)| Token {
            end: *end,
            logprob: *logprob,
        })
        .collect()
}

/// Tokens that prompt and answer may have together.
pub(crate) fn context(generator: &Generator) -> usize {
    generator.model.config().max_position_embeddings
}

/// Tokens of the longest prompt.
pub(crate) fn longest(generator: &Generator, writing: &Writing<'_>) -> Result<usize, StageError> {
    Ok(Tokens::new(generator, writing)?.longest())
}

/// The text of the first `most` tokens of a text.
pub(crate) fn beginning<'t>(
    generator: &Generator,
    text: &'t str,
    most: usize,
) -> Result<&'t str, StageError> {
    let encoded = generator.tokenizer.encode(text, false);
    let encoded = encoded.map_err(|error| StageError::new(format!("the tokenizer: {error}")))?;
    let end = match (encoded.len() > most, encoded.get_offsets().get(most - 1)) {
        (true, Some((_, end))) => *end,
        _ => text.len(),
    };
    Ok(&text[..text.floor_char_boundary(end)])
}

/// The texts of all rows: what is known from earlier runs, and the rest decoded. Stop rules and the most tokens are
/// applied afterwards, so that other ones reach known rows too.
fn write(
    generator: &Generator,
    prompts: &Tokens,
    writing: &Writing<'_>,
    io: &Io<'_>,
) -> Result<Vec<Continuation>, StageError> {
    let (keys, decoding) = (prompts.keys(writing.samples), writing.decoding.decoding());
    let memo = io.memo(WRITE, meaning(generator, writing, io)?)?;
    let ends = |draft: &Draft| matches!(cut(generator, draft, &decoding), Ok(Some(_)));
    let drafts = memo.map(&keys, ends, |missing, sink| {
        let requests = missing.iter().map(|at| prompts.request(&keys, *at, writing));
        let done = AtomicUsize::new(0);
        let tell = |done| {
            writing
                .share
                .tell(io, [done, missing.len(), keys.len()], writing.unit)
        };
        tell(0)?;
        decode(
            generator,
            &prompts.head,
            requests.collect(),
            &decoding,
            &|at, draft| {
                io.count_tokens(draft.tokens.len());
                sink(at, draft)?;
                tell(done.fetch_add(1, Ordering::Relaxed) + 1)
            },
        )
    })?;
    let text = |draft| cut(generator, draft, &decoding)?.ok_or_else(|| StageError::new("a text has no end"));
    drafts.iter().map(text).collect()
}

/// What the rows of one memo have in common.
fn meaning(generator: &Generator, writing: &Writing<'_>, io: &Io<'_>) -> Result<canon::Value, StageError> {
    let mut meaning = vec![
        ("model", io.digest("model")?),
        ("numeric", canon::Value::text(generator.model.precision().word())),
    ];
    if io.optional_tree(ADAPTER)?.is_some() {
        meaning.push((ADAPTER, io.digest(ADAPTER)?));
    }
    meaning.extend(writing.sampling()?);
    Ok(canon::Value::map(meaning))
}

/// The prompts as tokens.
struct Tokens {
    head: Vec<u32>,
    /// Per prompt, what follows the head.
    rest: Vec<Vec<u32>>,
    /// How many documents were cut.
    cut: usize,
}

impl Tokens {
    fn new(generator: &Generator, writing: &Writing<'_>) -> Result<Self, StageError> {
        let encode = |text: &str| -> Result<Vec<u32>, StageError> {
            let encoded = generator.tokenizer.encode(text, false);
            Ok(encoded
                .map_err(|error| StageError::new(format!("the tokenizer: {error}")))?
                .get_ids()
                .to_vec())
        };
        let prompts = &writing.prompts;
        let ([head, tail], begin) = match writing.format {
            Format::Raw => ([prompts.head.clone(), prompts.tail.clone()], generator.begin),
            // The chat template writes what begins a text itself.
            Format::Chat => (chat::conversation(generator, &prompts.head, &prompts.tail)?, None),
        };
        let mut tokens = Self {
            head: begin.into_iter().collect(),
            rest: vec![],
            cut: 0,
        };
        tokens
            .head
            .extend(encode(head.strip_suffix(' ').unwrap_or(&head))?);
        for at in 0..prompts.len() {
            let pieces = with_tail(prompts.pieces(at)?, &tail);
            tokens.push(generator, pieces, head.ends_with(' '), writing)?;
        }
        Ok(tokens)
    }

    /// Appends a prompt. A space before a piece belongs to its first token, so it moves there from the text before,
    /// `spaced` for the head; none moves out of a document.
    fn push(
        &mut self,
        generator: &Generator,
        pieces: Vec<Piece>,
        mut spaced: bool,
        writing: &Writing<'_>,
    ) -> Result<(), StageError> {
        let (most, last) = (writing.max_document_tokens as usize, pieces.len() - 1);
        let mut rest = Vec::new();
        for (at, Piece { text, is_document }) in pieces.into_iter().enumerate() {
            let text = if spaced { format!(" {text}") } else { text };
            spaced = !is_document && at < last && text.ends_with(' ');
            let text = text.strip_suffix(' ').filter(|_| spaced).unwrap_or(&text);
            let mut tokens = tokens_behind(&generator.tokenizer, text)?;
            if is_document {
                self.cut += usize::from(tokens.len() > most);
                tokens.truncate(most);
            }
            rest.extend(tokens);
        }
        self.rest.push(rest);
        Ok(())
    }

    /// Of the longest prompt.
    fn longest(&self) -> usize {
        self.head.len() + self.rest.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// Refuses prompts that leave no room for what is written.
    fn check(&self, generator: &Generator, writing: &Writing<'_>) -> Result<(), StageError> {
        let longest = self.longest() + writing.decoding.max_new_tokens as usize;
        let limit = context(generator);
        if longest <= limit {
            return Ok(());
        }
        let what = format!("prompt and answer need {longest} tokens, the model takes {limit}");
        Err(StageError::with_help(
            what,
            "lower max_document_tokens or decoding.max_new_tokens",
        ))
    }

    /// The key of each prompt and sample: a digest of all the model reads, and the sample. Never of an id or a
    /// position.
    fn keys(&self, samples: u32) -> Vec<Digest> {
        let bytes =
            |tokens: &[u32]| -> Vec<u8> { tokens.iter().flat_map(|token| token.to_le_bytes()).collect() };
        let mut head = blake3::Hasher::new_derive_key("ablate prompt v1");
        head.update(&bytes(&self.head));
        let mut keys = Vec::new();
        for tokens in &self.rest {
            for sample in 0..samples {
                let mut row = head.clone();
                row.update(&bytes(tokens)).update(&sample.to_le_bytes());
                keys.push(row.finalize().into());
            }
        }
        keys
    }

    /// The request of the row at an index, its random stream made of the same bytes as its key.
    fn request(&self, keys: &[Digest], at: usize, writing: &Writing<'_>) -> Request {
        let seed = Seed::root(writing.seed).child("generate");
        Request {
            tokens: self.rest[at / writing.samples as usize].clone(),
            stream: seed.child(&keys[at].to_string()).stream(),
        }
    }
}

/// A prompt with its end, which belongs to a text before it.
fn with_tail(mut pieces: Vec<Piece>, tail: &str) -> Vec<Piece> {
    match pieces.last_mut() {
        Some(last) if !last.is_document => last.text.push_str(tail),
        _ => pieces.push(Piece {
            text: tail.to_owned(),
            is_document: false,
        }),
    }
    pieces
}
