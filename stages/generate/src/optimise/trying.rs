//! Prompts put to the model, and what their queries are worth.

use ablate_core::{
    Io, StageError,
    rows::{Document, Pair},
};
use ablate_rank::round_trip::Judge;

use super::Params;
use crate::{
    answers::Rule,
    asking::Asking,
    copying::copied_share,
    cutting::Cut,
    query_writing::pair,
    writer::{Spent, Writer},
    writing::{DecodingParams, Share, Writing, Written},
};

/// A query for a document.
pub(super) struct Tried {
    /// What was written, with its worth as score; none, if there was no query in it.
    pub(super) pair: Option<Pair>,
    /// 0 to 1; of a text without a query, and of a copy, 0.
    pub(super) worth: f64,
}

/// The model and the metric of a search.
pub(super) struct Trying<'a> {
    params: &'a Params,
    io: &'a Io<'a>,
    writer: Writer,
    judge: Judge<'a>,
    rule: Rule,
    /// Texts that were asked for so far.
    done: usize,
    /// All that will be.
    expected: usize,
    spent: Spent,
}

impl<'a> Trying<'a> {
    /// # Errors
    /// If the model cannot be loaded, or the metric lacks something.
    pub(super) fn open(params: &'a Params, io: &'a Io<'a>) -> Result<Self, StageError> {
        Ok(Self {
            judge: Judge::open(params.metric, params.depth as usize, io)?,
            writer: Writer::open(io, params.queries.decoding.precision)?,
            rule: params.queries.rule()?,
            done: 0,
            expected: 0,
            spent: Spent::default(),
            params,
            io,
        })
    }

    /// Says how many texts the whole search asks for, for its progress.
    pub(super) fn expect(&mut self, texts: usize) {
        self.expected = texts;
    }

    /// What the model writes for each document.
    ///
    /// # Errors
    /// If the model fails, or a prompt is too long for it.
    pub(super) fn texts(
        &mut self,
        asking: &Asking,
        documents: &[Document],
        decoding: &DecodingParams,
    ) -> Result<Vec<Written>, StageError> {
        let share = Share {
            before: self.done,
            total: Some(self.expected),
        };
        let writing = Writing {
            decoding,
            share,
            ..self.writing(asking, documents)?
        };
        let (written, spent) = self.writer.write(&writing, self.io)?;
        self.done += documents.len();
        self.spent.cuts.add(spent.cuts);
        self.spent.read += spent.read;
        self.spent.wrote += spent.wrote;
        Ok(written)
    }

    /// A query for each document, and what it is worth.
    ///
    /// # Errors
    /// If the model or the metric fails.
    pub(super) fn queries(
        &mut self,
        asking: &Asking,
        documents: &[Document],
    ) -> Result<Vec<Tried>, StageError> {
        let written = self.texts(asking, documents, &self.params.queries.decoding)?;
        let texts = documents.iter().zip(written);
        let pairs: Vec<Option<Pair>> = texts
            .map(|(of, text)| pair(of, 0, text, &self.rule).ok())
            .collect();
        let asked: Vec<&Pair> = pairs.iter().flatten().collect();
        let worths = match asked.is_empty() {
            true => vec![],
            false => self.judge.worths(&asked)?,
        };
        let mut worths = worths.into_iter();
        let tried = |pair: Option<Pair>| match pair {
            Some(pair) => self.judged(pair, worths.next().unwrap_or_default()),
            None => Tried {
                pair: None,
                worth: 0.0,
            },
        };
        Ok(pairs.into_iter().map(tried).collect())
    }

    fn judged(&self, pair: Pair, worth: f64) -> Tried {
        let worth = if copied_share(&pair) > self.params.max_overlap {
            0.0
        } else {
            worth
        };
        let score = Some(worth as f32);
        Tried {
            pair: Some(Pair { score, ..pair }),
            worth,
        }
    }

    fn writing<'t>(&'t self, asking: &Asking, documents: &'t [Document]) -> Result<Writing<'t>, StageError> {
        self.params.queries.writing(asking, &self.writer, documents, 1)
    }

    /// Tokens of a prompt with the longest document there may be.
    ///
    /// # Errors
    /// If the model has no chat template where one is asked for.
    pub(super) fn tokens(&self, asking: &Asking) -> Result<usize, StageError> {
        let blank = [Document {
            doc_id: String::new(),
            title: None,
            text: String::new(),
        }];
        let around = self.writer.longest(&self.writing(asking, &blank)?)?;
        Ok(around + self.params.queries.max_document_tokens as usize)
    }

    /// Tokens that a prompt may have.
    pub(super) fn budget(&self) -> usize {
        let new = self.params.queries.decoding.most_new_tokens();
        let most = self.writer.most_tokens(new);
        most.unwrap_or(usize::MAX)
            .min(self.params.max_prompt_tokens as usize)
    }

    /// A document's text as prompts have it.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub(super) fn beginning<'t>(&self, text: &'t str) -> Result<&'t str, StageError> {
        self.cut().beginning(text)
    }

    fn cut(&self) -> Cut<'_> {
        self.writer.cut(self.params.queries.max_document_tokens)
    }

    /// What the length of prompts is counted in.
    pub(super) fn unit(&self) -> &'static str {
        self.writer.unit()
    }

    pub(super) fn io(&self) -> &Io<'a> {
        self.io
    }

    /// Tells what was cut, and what a server has read and written.
    pub(super) fn tell_spent(&self) {
        self.spent.cuts.tell(self.cut(), self.io);
        self.writer.tell(self.spent, self.io);
    }
}
