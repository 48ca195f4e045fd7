//! The inverted lists of a few documents: what one thread makes before lists are merged.

use hashbrown::HashMap;

use super::bytes::{put_varint, take_varint};
use crate::analysis::Pipeline;

/// Inverts documents one by one into a run: the terms in byte order, each with its postings.
///
/// A run is a sequence of `length of the term, term, postings, bytes of them, postings`, the numbers as varints; a
/// posting is the gap to the document before (the first: to 0) and the frequency.
pub(crate) struct Shard<'a> {
    pipeline: &'a Pipeline,
    /// What was made of each word seen so far: the place of its term, or nothing.
    words: HashMap<String, Option<u32>>,
    terms: HashMap<String, u32>,
    lists: Vec<Postings>,
    /// The terms of the document at hand.
    found: Vec<u32>,
}

#[derive(Default)]
struct Postings {
    bytes: Vec<u8>,
    last: u32,
    count: u32,
}

impl<'a> Shard<'a> {
    pub(crate) fn new(pipeline: &'a Pipeline) -> Self {
        Self {
            pipeline,
            words: HashMap::new(),
            terms: HashMap::new(),
            lists: Vec::new(),
            found: Vec::new(),
        }
    }

    /// Adds a document, behind all before it; its length in terms is returned.
    pub(crate) fn add<'t>(&mut self, document: u32, texts: impl IntoIterator<Item = &'t str>) -> u32 {
        let mut found = std::mem::take(&mut self.found);
        for text in texts {
            self.pipeline
                .each_word(text, |word| found.extend(self.place(word)));
        }
        found.sort_unstable();
        for same in found.chunk_by(|a, b| a == b) {
            self.lists[same[0] as usize].push(document, same.len() as u32);
        }
        let length = found.len() as u32;
        found.clear();
        self.found = found;
        length
    }

    /// The place of the term that a word becomes.
    fn place(&mut self, word: &str) -> Option<u32> {
        if let Some(known) = self.words.get(word) {
            return *known;
        }
        let place = self.pipeline.term(word).map(|term| {
            *self.terms.entry(term).or_insert_with(|| {
                self.lists.push(Postings::default());
                self.lists.len() as u32 - 1
            })
        });
        self.words.insert(word.to_owned(), place);
        place
    }

    /// The run.
    pub(crate) fn finish(self) -> Vec<u8> {
        let mut terms: Vec<(String, u32)> = self.terms.into_iter().collect();
        terms.sort_unstable();
        let mut run = Vec::new();
        for (term, place) in terms {
            let list = &self.lists[place as usize];
            put_varint(&mut run, term.len() as u32);
            run.extend(term.as_bytes());
            put_varint(&mut run, list.count);
            put_varint(&mut run, list.bytes.len() as u32);
            run.extend(&list.bytes);
        }
        run
    }
}

impl Postings {
    fn push(&mut self, document: u32, frequency: u32) {
        put_varint(&mut self.bytes, document - self.last);
        put_varint(&mut self.bytes, frequency);
        self.last = document;
        self.count += 1;
    }
}

/// A term of a run with its postings.
pub(crate) struct Entry<'a> {
    pub(crate) term: &'a [u8],
    count: u32,
    postings: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Takes the next entry off the front of a run.
    pub(crate) fn take(run: &mut &'a [u8]) -> Option<Self> {
        if run.is_empty() {
            return None;
        }
        let length = take_varint(run) as usize;
        let term;
        (term, *run) = run.split_at(length);
        let (count, length) = (take_varint(run), take_varint(run) as usize);
        let postings;
        (postings, *run) = run.split_at(length);
        Some(Self {
            term,
            count,
            postings,
        })
    }

    /// Calls `each` with every document and its frequency.
    pub(crate) fn each(&self, mut each: impl FnMut(u32, u32)) {
        let (mut bytes, mut document) = (self.postings, 0);
        for _ in 0..self.count {
            document += take_varint(&mut bytes);
            each(document, take_varint(&mut bytes));
        }
    }
}
