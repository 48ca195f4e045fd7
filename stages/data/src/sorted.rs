//! Rows in the order of their key, however many: what is too much for memory is sorted in pieces, which wait in files.

use std::{cmp::Reverse, collections::BinaryHeap, fs::File, mem::take};

use ablate_core::{Record, StageError};
use arrow::array::RecordBatch;
use parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder};

/// Rows of a batch that goes out, or of a piece that are in memory while pieces are merged.
const BATCH: usize = 4096;

/// Takes rows in any order.
#[derive(Debug)]
pub(crate) struct Sorter<R> {
    rows: Vec<R>,
    /// What they take, roughly.
    bytes: usize,
    /// How much they may take before they go to a file.
    most: usize,
    pieces: Vec<File>,
}

impl<R: Record + Send + 'static> Sorter<R> {
    /// Rows of so many bytes are in memory at most.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            rows: Vec::new(),
            bytes: 0,
            most,
            pieces: Vec::new(),
        }
    }

    /// Takes a row of about so many bytes.
    ///
    /// # Errors
    /// If a piece cannot be written.
    pub(crate) fn push(&mut self, row: R, bytes: usize) -> Result<(), StageError> {
        self.rows.push(row);
        self.bytes += bytes;
        if self.bytes > self.most {
            self.spill()?;
        }
        Ok(())
    }

    /// Sorts what is in memory into a file of its own.
    fn spill(&mut self) -> Result<(), StageError> {
        let mut rows = take(&mut self.rows);
        self.bytes = 0;
        rows.sort_by(R::compare);
        let mut file = tempfile::tempfile()?;
        let mut writer = ArrowWriter::try_new(&mut file, R::schema(), None)?;
        for batch in rows.chunks(BATCH) {
            writer.write(&R::encode(batch)?)?;
        }
        writer.close()?;
        self.pieces.push(file);
        Ok(())
    }

    /// All rows in order, batch by batch; those of equal keys stand beside each other.
    ///
    /// # Errors
    /// If a piece cannot be read again.
    pub(crate) fn finish(
        mut self,
    ) -> Result<impl Iterator<Item = Result<RecordBatch, StageError>> + Send, StageError> {
        self.rows.sort_by(R::compare);
        let mut pieces: Vec<Rows<R>> = vec![Box::new(self.rows.into_iter().map(Ok))];
        for file in self.pieces {
            pieces.push(rows(file)?);
        }
        Merged::new(pieces)
    }
}

/// Rows in order.
type Rows<R> = Box<dyn Iterator<Item = Result<R, StageError>> + Send>;

/// The rows of a piece.
fn rows<R: Record + Send + 'static>(file: File) -> Result<Rows<R>, StageError> {
    let batches = ParquetRecordBatchReaderBuilder::try_new(file)?
        .with_batch_size(BATCH)
        .build()?;
    let rows = batches.flat_map(|batch| {
        let rows = batch
            .map_err(StageError::from)
            .and_then(|batch| Ok(R::decode(&batch)?));
        let (rows, failed) = match rows {
            Ok(rows) => (rows, None),
            Err(error) => (vec![], Some(Err(error))),
        };
        rows.into_iter().map(Ok).chain(failed)
    });
    Ok(Box::new(rows))
}

/// The first row of a piece that has not gone out yet.
struct Head<R> {
    row: R,
    piece: usize,
}

impl<R: Record> Ord for Head<R> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.row.compare(&other.row).then(self.piece.cmp(&other.piece))
    }
}

impl<R: Record> PartialOrd for Head<R> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<R: Record> PartialEq for Head<R> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<R: Record> Eq for Head<R> {}

/// Pieces that are in order each, merged.
struct Merged<R> {
    pieces: Vec<Rows<R>>,
    heads: BinaryHeap<Reverse<Head<R>>>,
}

impl<R: Record> Merged<R> {
    fn new(pieces: Vec<Rows<R>>) -> Result<Self, StageError> {
        let mut merged = Self {
            heads: BinaryHeap::with_capacity(pieces.len()),
            pieces,
        };
        for piece in 0..merged.pieces.len() {
            merged.advance(piece)?;
        }
        Ok(merged)
    }

    fn advance(&mut self, piece: usize) -> Result<(), StageError> {
        if let Some(row) = self.pieces[piece].next() {
            self.heads.push(Reverse(Head { row: row?, piece }));
        }
        Ok(())
    }

    fn batch(&mut self) -> Result<Option<RecordBatch>, StageError> {
        let mut rows = Vec::with_capacity(BATCH);
        while rows.len() < BATCH
            && let Some(Reverse(Head { row, piece })) = self.heads.pop()
        {
            rows.push(row);
            self.advance(piece)?;
        }
        Ok((!rows.is_empty()).then(|| R::encode(&rows)).transpose()?)
    }
}

impl<R: Record> Iterator for Merged<R> {
    type Item = Result<RecordBatch, StageError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batch().transpose()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use ablate_core::{Seed, rows::Document};

    use super::*;

    fn sorted(documents: &[Document], most: usize) -> (usize, Vec<Document>) {
        let mut sorter = Sorter::new(most);
        for document in documents {
            sorter.push(document.clone(), document.text.len()).unwrap();
        }
        let pieces = sorter.pieces.len();
        let batches = sorter.finish().map_err(|error| error.to_string()).unwrap();
        let rows =
            batches.flat_map(|batch| Document::decode(&batch.map_err(|e| e.to_string()).unwrap()).unwrap());
        (pieces, rows.collect())
    }

    #[test]
    fn pieces_in_files_give_what_memory_gives() {
        let mut stream = Seed::root(1).stream();
        let document = |_| Document {
            doc_id: format!("d{}", (stream.uniform() * 1e9) as u64),
            title: (stream.uniform() < 0.5).then(|| "a title".into()),
            text: "x".repeat((stream.uniform() * 20.0) as usize),
        };
        let documents: Vec<Document> = (0..10_000).map(document).collect();
        let mut expected = documents.clone();
        expected.sort_by(Record::compare);
        for (most, files) in [(usize::MAX, 0..1), (30_000, 2..5)] {
            let (pieces, found) = sorted(&documents, most);
            assert!(files.contains(&pieces), "{pieces} pieces");
            assert_eq!(found, expected);
        }
        assert_eq!(sorted(&[], 1), (0, vec![]));
    }
}
