//! The runs of all shards become the dictionary and the lists of a field.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    io::{self, BufWriter, Write},
    path::Path,
};

use fs_err::File;

use super::{postings::ListWriter, shard::Entry};

/// Merges runs, in the order of their documents, into the files `terms`, `lists` and `postings` of `folder`; the number
/// of terms is returned.
///
/// A record of `lists` is the end of the term's text in `terms` (u64), the start of its list in `postings` (u64), its
/// number of postings (u32) and the number of blocks before it (u32).
pub(crate) fn merge(runs: &[&[u8]], folder: &Path) -> io::Result<u64> {
    let mut out = Dictionary::create(folder)?;
    let mut runs = runs.to_vec();
    let mut heads: Vec<Option<Entry<'_>>> = runs.iter_mut().map(Entry::take).collect();
    // The least term first, of equal terms the earliest documents.
    let mut queue: BinaryHeap<Reverse<(&[u8], usize)>> = heads
        .iter()
        .enumerate()
        .filter_map(|(run, head)| Some(Reverse((head.as_ref()?.term, run))))
        .collect();
    let mut list = ListWriter::new();
    while let Some(Reverse((term, run))) = queue.pop() {
        if let Some(entry) = &heads[run] {
            entry.each(|document, frequency| list.push(document, frequency));
        }
        heads[run] = Entry::take(&mut runs[run]);
        if let Some(head) = &heads[run] {
            queue.push(Reverse((head.term, run)));
        }
        let more = queue.peek().is_some_and(|Reverse((next, _))| *next == term);
        if !more {
            out.add(term, &mut list)?;
        }
    }
    out.finish()
}

/// The files of a field that lead from terms to lists.
struct Dictionary {
    terms: BufWriter<File>,
    lists: BufWriter<File>,
    postings: BufWriter<File>,
    term_end: u64,
    start: u64,
    blocks: u32,
    count: u64,
    bytes: Vec<u8>,
}

impl Dictionary {
    fn create(folder: &Path) -> io::Result<Self> {
        let file = |name: &str| Ok::<_, io::Error>(BufWriter::new(File::create(folder.join(name))?));
        Ok(Self {
            terms: file("terms")?,
            lists: file("lists")?,
            postings: file("postings")?,
            term_end: 0,
            start: 0,
            blocks: 0,
            count: 0,
            bytes: Vec::new(),
        })
    }

    fn add(&mut self, term: &[u8], list: &mut ListWriter) -> io::Result<()> {
        self.bytes.clear();
        let count = list.finish(&mut self.bytes);
        self.terms.write_all(term)?;
        self.postings.write_all(&self.bytes)?;
        self.term_end += term.len() as u64;
        self.lists.write_all(&self.term_end.to_le_bytes())?;
        self.lists.write_all(&self.start.to_le_bytes())?;
        self.lists.write_all(&count.to_le_bytes())?;
        self.lists.write_all(&self.blocks.to_le_bytes())?;
        self.start += self.bytes.len() as u64;
        self.blocks += count.div_ceil(super::postings::BLOCK as u32);
        self.count += 1;
        Ok(())
    }

    fn finish(mut self) -> io::Result<u64> {
        self.terms.flush()?;
        self.lists.flush()?;
        self.postings.flush()?;
        Ok(self.count)
    }
}
