//! Texts by a model that computes here.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use ablate_core::{Digest, Io, RowFunction, Seed, StageError, canon};
use ablate_models::{Precision, decoder::Model, device, generator::Generator};
use rayon::prelude::*;

use crate::{
    cutting::Cuts,
    decode::{Continuation, Draft, Request, cut, decode},
    filling::Prompts,
    reading::Reading,
    spelling::Token,
    writer::{ADAPTER, Spent},
    writing::{Writing, Written},
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
    if generator.reader.ends.is_empty() {
        io.warn("the model names no token that ends a text: texts end at a stop text or with decoding.max_new_tokens");
    }
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
        cuts: prompts.cuts,
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
    /// What all begin with.
    head: Vec<u32>,
    /// Per prompt, what follows the head.
    rest: Vec<Vec<u32>>,
    cuts: Cuts,
}

impl Tokens {
    fn new(generator: &Generator, writing: &Writing<'_>) -> Result<Self, StageError> {
        let reading = Reading::new(&generator.reader, writing.format)?;
        let (prompts, mut cuts) = (&writing.prompts, Cuts::default());
        let all = (0..prompts.len()).into_par_iter();
        let read: Result<Vec<Read>, StageError> = all.map(|at| read(prompts, at, &reading)).collect();
        let mut rest = Vec::new();
        for (tokens, cut) in read? {
            cuts.add(cut);
            rest.push(tokens);
        }
        let head = common(&rest);
        rest.iter_mut()
            .for_each(|tokens| drop(tokens.drain(..head.len())));
        Ok(Self { head, rest, cuts })
    }

    /// Of the longest prompt.
    fn longest(&self) -> usize {
        self.head.len() + self.rest.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// Refuses prompts that leave no room for what is written.
    fn check(&self, generator: &Generator, writing: &Writing<'_>) -> Result<(), StageError> {
        let length = |at: &usize| self.rest[*at].len();
        let Some(longest) = (0..self.rest.len()).max_by_key(length) else {
            return Ok(());
        };
        let needed = self.longest() + writing.decoding.most_new_tokens() as usize;
        let (limit, name) = (context(generator), writing.prompts.name(longest));
        if needed <= limit {
            return Ok(());
        }
        Err(StageError::with_help(
            format!("the prompt for `{name}` and its answer need {needed} tokens, the model takes {limit}"),
            "lower max_document_tokens, decoding.max_new_tokens or the number of examples",
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

/// The tokens of a prompt, and what was cut in it.
type Read = (Vec<u32>, Cuts);

/// Its text goes as soon as it is read: there may be millions of prompts.
fn read(prompts: &Prompts<'_>, at: usize, reading: &Reading<'_>) -> Result<Read, StageError> {
    let filled = prompts.filled(at)?;
    Ok((reading.tokens(&filled.text)?, Cuts::of(&filled)))
}

/// What all rows begin with; each keeps a token of its own, behind which it is written on.
fn common(rows: &[Vec<u32>]) -> Vec<u32> {
    let Some((first, others)) = rows.split_first() else {
        return vec![];
    };
    let shared = |row: &Vec<u32>| first.iter().zip(row).take_while(|(a, b)| a == b).count();
    let shortest = rows.iter().map(Vec::len).min().unwrap_or(0).saturating_sub(1);
    let count = others
        .iter()
        .map(shared)
        .min()
        .unwrap_or(first.len())
        .min(shortest);
    first[..count].to_vec()
}

#[cfg(test)]
#[path = "../../models/tests/common/generator.rs"]
mod tiny;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use ablate_models::generator::Reader;

    use super::*;
    use crate::{asking::Asking, cutting::Cut, filling::Row, reading::Format, samples::pair};

    /// Of a prompt its tokens stay, of this model one a byte, and that its document was cut; not its text.
    #[test]
    fn of_a_prompt_its_tokens_stay_and_what_was_cut() {
        let folder = super::tiny::tiny_generator();
        let reader = Reader::load(folder.path()).unwrap();
        let asking = Asking::new("Of {document}:", "", vec![], None).unwrap();
        let pairs = [pair("why", "one two"), pair("how", "one two six")];
        let rows = pairs.iter().map(Row::of_pair).collect();
        let prompts = asking.prompts(rows, Cut::Words(2)).unwrap();
        let reading = Reading::new(&reader, Format::Raw).unwrap();
        for (at, documents) in [(0, 0), (1, 1)] {
            let kept: (Vec<u32>, Cuts) = read(&prompts, at, &reading).unwrap();
            assert_eq!(kept.0.len(), "Of one two:".len());
            assert_eq!((kept.1.documents, kept.1.prompts), (documents, 1));
        }
    }

    #[test]
    fn rows_share_what_all_begin_with_but_for_a_last_token() {
        let shared = |rows: &[&[u32]]| common(&rows.iter().map(|row| row.to_vec()).collect::<Vec<_>>());
        assert_eq!(shared(&[&[1, 2, 3, 4], &[1, 2, 4], &[1, 2, 3, 5]]), [1, 2]);
        assert_eq!(shared(&[&[1, 2, 3], &[1, 2]]), [1]);
        assert_eq!(shared(&[&[1, 2, 3]]), [1, 2]);
        assert_eq!(shared(&[&[1], &[2]]), [0; 0]);
        assert_eq!(shared(&[]), [0; 0]);
    }
}
