//! Inverted indexes on disk, as an artifact: which documents a term is in, how often, and how long they are. What is
//! made of that, BM25 of any variant and constants, is decided when it is searched.
//!
//! ```text
//! index.json       format, analyser, counts
//! ids, id_ends     the ids of the documents one after the other, and where each ends (u64)
//! FIELD/terms      the terms in byte order, one after the other
//! FIELD/lists      a record a term: see `merge`
//! FIELD/postings   the lists: see `postings`
//! FIELD/lengths    the terms of each document (u32)
//! ```

mod bytes;
mod merge;
mod postings;
mod shard;
mod writer;

use std::path::Path;

use ablate_core::{Io, Parts, StageError};
use memmap2::Mmap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::analysis::Analyser;
use bytes::{map, u32_at, u64_at};
pub(crate) use postings::{BLOCK, List, Unpacked};
pub use writer::write;

/// The version of the layout.
const FORMAT: u32 = 1;

/// Bytes of a record in `lists`.
const RECORD: usize = 24;

/// Which texts of a document are searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fields {
    /// Title and text as one.
    #[default]
    Together,
    /// Title and text as fields of their own, with their own statistics.
    Apart,
}

impl Fields {
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Together => &["contents"],
            Self::Apart => &["title", "text"],
        }
    }
}

/// How texts become an index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheme {
    /// How text becomes terms.
    pub analyser: Analyser,
    /// Which texts.
    pub fields: Fields,
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    format: u32,
    scheme: Scheme,
    documents: u32,
    fields: Vec<FieldCounts>,
}

/// What is counted in a field.
#[derive(Default, Serialize, Deserialize)]
struct FieldCounts {
    /// Distinct terms.
    terms: u64,
    /// Terms of all documents.
    tokens: u64,
    /// Documents with a term.
    filled: u32,
}

/// An index, mapped into memory.
pub struct Index {
    manifest: Manifest,
    ids: Mmap,
    id_ends: Mmap,
    fields: Vec<Field>,
    /// The folder of an index that is nobody's artifact, and goes with it.
    _folder: Option<TempDir>,
}

impl Index {
    /// The index of a corpus for one stage alone: it goes with this value.
    ///
    /// # Errors
    /// As [`write`] and [`Index::open`]; also when the run is interrupted.
    pub fn of_stage(io: &Io<'_>, corpus: Parts<'_>, scheme: &Scheme) -> Result<Self, StageError> {
        let watch = |done| io.advance(done, "documents");
        Self::temporary(&io.checkpoints()?, corpus, scheme, watch)
    }

    /// Makes an index that lives as long as this value, in a folder of its own within `scratch`; `watch` as in [`write`].
    ///
    /// # Errors
    /// As [`write`] and [`Index::open`].
    pub fn temporary(
        scratch: &Path,
        parts: Parts<'_>,
        scheme: &Scheme,
        watch: impl Fn(usize) -> Result<(), StageError>,
    ) -> Result<Self, StageError> {
        let folder = tempfile::tempdir_in(scratch)?;
        write(folder.path(), parts, scheme, watch)?;
        let index = Self::open(folder.path())?;
        Ok(Self {
            _folder: Some(folder),
            ..index
        })
    }

    /// Opens the index in `folder`.
    ///
    /// # Errors
    /// A file is missing, or the index was written in another format.
    pub fn open(folder: &Path) -> Result<Self, StageError> {
        let path = folder.join("index.json");
        let manifest: Manifest = serde_json::from_slice(&fs_err::read(&path)?)
            .map_err(|error| StageError::new(format!("{} is no index of ours: {error}", path.display())))?;
        if manifest.format != FORMAT {
            return Err(StageError::with_help(
                format!(
                    "the index has format {}, this ablate reads {FORMAT}",
                    manifest.format
                ),
                "make it again with `index/bm25`",
            ));
        }
        let names = manifest.scheme.fields.names().iter();
        let fields = names.map(|name| Field::open(&folder.join(name)));
        Ok(Self {
            ids: map(&folder.join("ids"))?,
            id_ends: map(&folder.join("id_ends"))?,
            fields: fields.collect::<Result<_, _>>()?,
            manifest,
            _folder: None,
        })
    }

    /// How it was made.
    pub fn scheme(&self) -> &Scheme {
        &self.manifest.scheme
    }

    /// How many documents it holds.
    pub fn documents(&self) -> u32 {
        self.manifest.documents
    }

    /// The id of the document of this number. Numbers go in the order of ids.
    pub fn id(&self, document: u32) -> &str {
        let at = document as usize;
        let end = |at: usize| u64_at(&self.id_ends, at) as usize;
        let start = if at == 0 { 0 } else { end(at - 1) };
        std::str::from_utf8(&self.ids[start..end(at)]).unwrap_or_default()
    }

    /// The number of the document of this id.
    pub fn find(&self, id: &str) -> Option<u32> {
        let place = partition_point(self.documents() as usize, |at| self.id(at as u32) < id) as u32;
        (place < self.documents() && self.id(place) == id).then_some(place)
    }

    /// In how many documents a term is, in the field that has it most.
    pub(crate) fn frequency(&self, term: &str) -> u32 {
        let count = |field: &Field| field.find(term).map_or(0, |place| field.list(place).count);
        self.fields.iter().map(count).max().unwrap_or(0)
    }

    /// The fields with their statistics, in the order of their names in [`Fields`].
    pub(crate) fn fields(&self) -> impl ExactSizeIterator<Item = (&Field, Statistics)> {
        let statistics = |counts: &FieldCounts| Statistics {
            documents: counts.filled as usize,
            // Lucene's avgdl: over the documents that have the field at all.
            average_length: (counts.tokens as f64 / f64::from(counts.filled.max(1))) as f32,
        };
        self.fields
            .iter()
            .zip(self.manifest.fields.iter().map(statistics))
    }
}

/// What BM25 has to know of a field as a whole. As in Lucene, documents without a term are not counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Statistics {
    /// Documents that have a term in it.
    pub(crate) documents: usize,
    /// Their mean number of terms.
    pub(crate) average_length: f32,
}

/// One field of an index.
pub(crate) struct Field {
    terms: Mmap,
    lists: Mmap,
    postings: Mmap,
    lengths: Mmap,
    /// Where the terms with each beginning start: most of a search for a term.
    beginnings: Vec<u32>,
}

impl Field {
    fn open(folder: &Path) -> Result<Self, StageError> {
        let mut field = Self {
            terms: map(&folder.join("terms"))?,
            lists: map(&folder.join("lists"))?,
            postings: map(&folder.join("postings"))?,
            lengths: map(&folder.join("lengths"))?,
            beginnings: Vec::new(),
        };
        field.count_beginnings();
        Ok(field)
    }

    /// How many terms there are.
    pub(crate) fn terms(&self) -> usize {
        self.lists.len() / RECORD
    }

    fn term_end(&self, at: usize) -> usize {
        u64_at(&self.lists, 3 * at) as usize
    }

    fn term(&self, at: usize) -> &[u8] {
        let start = if at == 0 { 0 } else { self.term_end(at - 1) };
        &self.terms[start..self.term_end(at)]
    }

    /// The place of a term.
    pub(crate) fn find(&self, term: &str) -> Option<usize> {
        let start = beginning(term.as_bytes());
        let (low, high) = (
            self.beginnings[start] as usize,
            self.beginnings[start + 1] as usize,
        );
        let place = low + partition_point(high - low, |at| self.term(low + at) < term.as_bytes());
        (place < high && self.term(place) == term.as_bytes()).then_some(place)
    }

    /// How many terms begin with lower bytes, for every beginning of two bytes.
    fn count_beginnings(&mut self) {
        let mut counts = vec![0; (1 << 16) + 1];
        for place in 0..self.terms() {
            counts[beginning(self.term(place)) + 1] += 1;
        }
        let mut sum = 0;
        for count in &mut counts {
            sum += *count;
            *count = sum;
        }
        self.beginnings = counts;
    }

    /// The list of the term at a place.
    pub(crate) fn list(&self, at: usize) -> List<'_> {
        let start = u64_at(&self.lists, 3 * at + 1) as usize;
        let documents = (self.lengths.len() / 4) as u32;
        List::new(
            &self.postings[start..],
            u32_at(&self.lists, 6 * at + 4),
            documents,
        )
    }

    /// How many blocks the lists before that of the term at a place have.
    pub(crate) fn first_block(&self, at: usize) -> usize {
        u32_at(&self.lists, 6 * at + 5) as usize
    }

    /// The length of each document in terms.
    pub(crate) fn lengths(&self) -> impl Iterator<Item = u32> {
        (0..self.lengths.len() / 4).map(|at| u32_at(&self.lengths, at))
    }
}

/// The first two bytes of a term as a number; numbers go as terms do.
fn beginning(term: &[u8]) -> usize {
    let byte = |at| usize::from(term.get(at).copied().unwrap_or(0));
    byte(0) << 8 | byte(1)
}

/// The first of `0..count` for which `before` does not hold, which holds for none behind it.
fn partition_point(count: usize, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = usize::midpoint(low, high);
        if before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}
