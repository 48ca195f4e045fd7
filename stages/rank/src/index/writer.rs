//! Builds an index in a folder from the parts of a corpus, in bounded memory: groups of documents are inverted on all
//! cores into sorted runs, runs go to a scratch file, and one merge makes the lists of them (single-pass in-memory
//! indexing, Heinz and Zobel 2003).

use std::{
    io::{self, BufWriter, Write},
    ops::Range,
    path::{Path, PathBuf},
};

use ablate_core::{Parts, StageError, check_columns, rows::Document};
use arrow::array::{Array, RecordBatch, StringArray, cast::AsArray};
use fs_err::File;
use rayon::prelude::*;

use super::{FORMAT, FieldCounts, Fields, Manifest, Scheme, bytes::map, merge::merge, shard::Shard};
use crate::analysis::Pipeline;

/// Bytes of the texts that one thread inverts at a time.
const SHARD: usize = 32 << 20;
/// Bytes of the texts that all threads invert at a time, at most.
const GROUP: usize = 256 << 20;

/// Writes the index of a corpus, in the order of its rows, into an empty folder. `watch` is told how many documents are
/// done, and may stop it. The files do not depend on the number of threads or on how the corpus is cut into parts.
///
/// # Errors
/// What a part or `watch` gives, a table of another kind, and what the operating system refuses.
pub fn write(
    folder: &Path,
    mut parts: Parts<'_>,
    scheme: &Scheme,
    watch: impl Fn(usize) -> Result<(), StageError>,
) -> Result<(), StageError> {
    let pipeline = scheme.analyser.pipeline();
    let mut writer = Writer::create(folder, scheme.fields)?;
    let mut group = next_group(&mut parts)?;
    while !group.is_empty() {
        let first = writer.documents;
        // The next group is read while this one is inverted.
        let (inverted, next) = rayon::join(
            || invert(&group, first, scheme.fields, &pipeline),
            || next_group(&mut parts),
        );
        writer.add(&group, inverted)?;
        watch(writer.documents as usize)?;
        group = next?;
    }
    writer.finish(scheme)
}

/// Parts whose texts come to about as much as all threads invert at a time; none at the end.
fn next_group(parts: &mut Parts<'_>) -> Result<Vec<RecordBatch>, StageError> {
    let most = (SHARD * rayon::current_num_threads()).min(GROUP);
    let (mut group, mut bytes) = (Vec::new(), 0);
    while bytes < most {
        let Some(part) = parts.next() else { break };
        let part = part?;
        check_columns::<Document>(&part)?;
        bytes += part.get_array_memory_size();
        group.push(part);
    }
    Ok(group)
}

/// A document as its columns have it.
struct Row<'a> {
    title: &'a str,
    text: &'a str,
}

impl<'a> Row<'a> {
    /// The texts of each field; title and text together are analysed one after the other, as if a space were between.
    fn fields(&self, fields: Fields) -> Vec<Vec<&'a str>> {
        match fields {
            Fields::Together => vec![vec![self.title, self.text]],
            Fields::Apart => vec![vec![self.title], vec![self.text]],
        }
    }
}

fn column(part: &RecordBatch, at: usize) -> &StringArray {
    part.column(at).as_string::<i32>()
}

fn rows(part: &RecordBatch) -> impl Iterator<Item = Row<'_>> {
    let (titles, texts) = (column(part, 1), column(part, 2));
    (0..part.num_rows()).map(|at| Row {
        title: if titles.is_valid(at) { titles.value(at) } else { "" },
        text: texts.value(at),
    })
}

/// The runs and the lengths of the documents of one shard, by field.
struct Inverted {
    runs: Vec<Vec<u8>>,
    lengths: Vec<Vec<u32>>,
}

/// Inverts a group whose first document has the number `first`, a shard a thread.
fn invert(group: &[RecordBatch], first: u32, fields: Fields, pipeline: &Pipeline) -> Vec<Inverted> {
    let rows: Vec<Row<'_>> = group.iter().flat_map(rows).collect();
    let size = rows.len().div_ceil(rayon::current_num_threads()).max(1);
    let shard = |(at, rows): (usize, &[Row<'_>])| {
        let names = fields.names();
        let mut shards: Vec<Shard<'_>> = names.iter().map(|_| Shard::new(pipeline)).collect();
        let mut lengths = vec![Vec::with_capacity(rows.len()); names.len()];
        for (document, row) in (first + (at * size) as u32..).zip(rows) {
            for (field, texts) in row.fields(fields).into_iter().enumerate() {
                lengths[field].push(shards[field].add(document, texts));
            }
        }
        let runs = shards.into_iter().map(Shard::finish).collect();
        Inverted { runs, lengths }
    };
    rows.par_chunks(size).enumerate().map(shard).collect()
}

/// The files of an index under way.
struct Writer {
    folder: PathBuf,
    documents: u32,
    ids: BufWriter<File>,
    id_ends: BufWriter<File>,
    id_end: u64,
    fields: Vec<FieldWriter>,
}

impl Writer {
    fn create(folder: &Path, fields: Fields) -> io::Result<Self> {
        let field = |name: &&str| FieldWriter::create(&folder.join(name));
        Ok(Self {
            folder: folder.to_owned(),
            documents: 0,
            ids: BufWriter::new(File::create(folder.join("ids"))?),
            id_ends: BufWriter::new(File::create(folder.join("id_ends"))?),
            id_end: 0,
            fields: fields.names().iter().map(field).collect::<Result<_, _>>()?,
        })
    }

    fn add(&mut self, group: &[RecordBatch], inverted: Vec<Inverted>) -> Result<(), StageError> {
        for id in group.iter().flat_map(|part| column(part, 0).iter().flatten()) {
            self.ids.write_all(id.as_bytes())?;
            self.id_end += id.len() as u64;
            self.id_ends.write_all(&self.id_end.to_le_bytes())?;
        }
        let count: usize = group.iter().map(RecordBatch::num_rows).sum();
        let documents = u32::try_from(self.documents as usize + count).ok();
        let too_many =
            || StageError::new("an index has room for 4,294,967,295 documents, and these are more");
        self.documents = documents.ok_or_else(too_many)?;
        for shard in inverted {
            for ((field, run), lengths) in self.fields.iter_mut().zip(shard.runs).zip(shard.lengths) {
                field.add(&run, &lengths)?;
            }
        }
        Ok(())
    }

    fn finish(mut self, scheme: &Scheme) -> Result<(), StageError> {
        self.ids.flush()?;
        self.id_ends.flush()?;
        let fields = self.fields.into_iter().map(FieldWriter::finish);
        let manifest = Manifest {
            format: FORMAT,
            scheme: scheme.clone(),
            documents: self.documents,
            fields: fields.collect::<Result<_, _>>()?,
        };
        fs_err::write(
            self.folder.join("index.json"),
            serde_json::to_vec_pretty(&manifest)?,
        )?;
        Ok(())
    }
}

/// The files of one field under way.
struct FieldWriter {
    folder: PathBuf,
    lengths: BufWriter<File>,
    scratch: BufWriter<File>,
    /// Where each run stands in the scratch file.
    runs: Vec<Range<usize>>,
    counts: FieldCounts,
}

impl FieldWriter {
    fn create(folder: &Path) -> io::Result<Self> {
        fs_err::create_dir_all(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            lengths: BufWriter::new(File::create(folder.join("lengths"))?),
            scratch: BufWriter::new(File::create(folder.join("scratch"))?),
            runs: Vec::new(),
            counts: FieldCounts::default(),
        })
    }

    fn add(&mut self, run: &[u8], lengths: &[u32]) -> io::Result<()> {
        let start = self.runs.last().map_or(0, |run| run.end);
        self.runs.push(start..start + run.len());
        self.scratch.write_all(run)?;
        for length in lengths {
            self.lengths.write_all(&length.to_le_bytes())?;
            self.counts.tokens += u64::from(*length);
            self.counts.filled += u32::from(*length > 0);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<FieldCounts, StageError> {
        self.lengths.flush()?;
        self.scratch.flush()?;
        let path = self.folder.join("scratch");
        let scratch = map(&path)?;
        let runs: Vec<&[u8]> = self.runs.into_iter().map(|run| &scratch[run]).collect();
        self.counts.terms = merge(&runs, &self.folder)?;
        drop(scratch);
        fs_err::remove_file(path)?;
        Ok(self.counts)
    }
}
