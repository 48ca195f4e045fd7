//! One list of postings: the documents a term is in, and how often.
//!
//! ```text
//! headers   per full block of 128 postings: its last document, and where it ends (two u32, the end counted from the
//!           first block)
//! blocks    per full block: bits of a document, bits of a frequency (a byte each), the gaps between documents, then
//!           frequencies less one, both bit-packed (Lemire and Boytsov 2015)
//! rest      the postings behind the last full block: gap and frequency less one, as varints
//! ```

use bitpacking::{BitPacker, BitPacker4x};

use super::bytes::{put_varint, take_varint, u32_at};

/// Postings of a full block.
pub(crate) const BLOCK: usize = BitPacker4x::BLOCK_LEN;

/// Bytes of the header of a block.
const HEADER: usize = 8;

/// Writes one list after the other.
pub(crate) struct ListWriter {
    packer: BitPacker4x,
    /// The block that is being filled.
    documents: Vec<u32>,
    frequencies: Vec<u32>,
    headers: Vec<u8>,
    blocks: Vec<u8>,
    /// The last document of the block before.
    before: Option<u32>,
    count: u32,
}

impl ListWriter {
    pub(crate) fn new() -> Self {
        Self {
            packer: BitPacker4x::new(),
            documents: Vec::with_capacity(BLOCK),
            frequencies: Vec::with_capacity(BLOCK),
            headers: Vec::new(),
            blocks: Vec::new(),
            before: None,
            count: 0,
        }
    }

    /// Appends a posting; documents go up, frequencies are at least 1.
    pub(crate) fn push(&mut self, document: u32, frequency: u32) {
        self.documents.push(document);
        self.frequencies.push(frequency - 1);
        self.count += 1;
        if self.documents.len() == BLOCK {
            self.pack();
        }
    }

    fn pack(&mut self) {
        let document_bits = self.packer.num_bits_strictly_sorted(self.before, &self.documents);
        let frequency_bits = self.packer.num_bits(&self.frequencies);
        self.blocks.extend([document_bits, frequency_bits]);
        let mut packed = [0; 4 * BLOCK];
        let bytes =
            self.packer
                .compress_strictly_sorted(self.before, &self.documents, &mut packed, document_bits);
        self.blocks.extend(&packed[..bytes]);
        let bytes = self
            .packer
            .compress(&self.frequencies, &mut packed, frequency_bits);
        self.blocks.extend(&packed[..bytes]);
        self.before = self.documents.last().copied();
        self.headers.extend(self.before.unwrap_or_default().to_le_bytes());
        self.headers.extend((self.blocks.len() as u32).to_le_bytes());
        self.documents.clear();
        self.frequencies.clear();
    }

    /// Ends the list: its bytes are appended to `into`, the number of its postings is returned.
    pub(crate) fn finish(&mut self, into: &mut Vec<u8>) -> u32 {
        into.append(&mut self.headers);
        into.append(&mut self.blocks);
        let mut before = self.before.take().unwrap_or(0);
        for (document, frequency) in self.documents.drain(..).zip(self.frequencies.drain(..)) {
            put_varint(into, document - before);
            put_varint(into, frequency);
            before = document;
        }
        std::mem::take(&mut self.count)
    }
}

/// A list as it was written.
#[derive(Clone, Copy)]
pub(crate) struct List<'a> {
    bytes: &'a [u8],
    /// How many documents the term is in.
    pub(crate) count: u32,
    /// How many documents there are.
    documents: u32,
}

/// The postings of a block, unpacked.
pub(crate) struct Unpacked {
    pub(crate) documents: [u32; BLOCK],
    /// Less one.
    pub(crate) frequencies: [u32; BLOCK],
    pub(crate) len: usize,
}

impl Unpacked {
    pub(crate) fn new() -> Self {
        Self {
            documents: [0; BLOCK],
            frequencies: [0; BLOCK],
            len: 0,
        }
    }

    /// Its documents.
    pub(crate) fn documents(&self) -> &[u32] {
        &self.documents[..self.len]
    }
}

impl<'a> List<'a> {
    /// A list of `count` postings of so many documents, whose bytes begin where `bytes` do.
    pub(crate) fn new(bytes: &'a [u8], count: u32, documents: u32) -> Self {
        Self {
            bytes,
            count,
            documents,
        }
    }

    /// The share of all documents that the term is in.
    pub(crate) fn density(&self) -> f64 {
        f64::from(self.count) / f64::from(self.documents)
    }

    fn full_blocks(&self) -> usize {
        self.count as usize / BLOCK
    }

    /// How many blocks there are, the rest counted as one.
    pub(crate) fn blocks(&self) -> usize {
        (self.count as usize).div_ceil(BLOCK)
    }

    /// No document of block `at` is behind this one.
    pub(crate) fn last(&self, at: usize) -> u32 {
        if at < self.full_blocks() {
            u32_at(self.bytes, 2 * at)
        } else {
            self.documents - 1
        }
    }

    /// No document of block `at` is before this one.
    pub(crate) fn first(&self, at: usize) -> u32 {
        match at {
            0 => 0,
            at => u32_at(self.bytes, 2 * (at - 1)) + 1,
        }
    }

    /// Unpacks block `at`.
    pub(crate) fn unpack(&self, at: usize, into: &mut Unpacked) {
        let full = self.full_blocks();
        let end = |at: usize| u32_at(self.bytes, 2 * at + 1) as usize;
        let start = if at == 0 { 0 } else { end(at - 1) };
        let bytes = &self.bytes[HEADER * full + start..];
        let before = (at > 0).then(|| self.first(at) - 1);
        if at < full {
            into.len = BLOCK;
            unpack_block(before, bytes, into);
        } else {
            into.len = self.count as usize - full * BLOCK;
            unpack_rest(before, bytes, into);
        }
    }
}

fn unpack_block(before: Option<u32>, bytes: &[u8], into: &mut Unpacked) {
    let packer = BitPacker4x::new();
    let [document_bits, frequency_bits, packed @ ..] = bytes else {
        return;
    };
    let read = packer.decompress_strictly_sorted(before, packed, &mut into.documents, *document_bits);
    packer.decompress(&packed[read..], &mut into.frequencies, *frequency_bits);
}

fn unpack_rest(before: Option<u32>, mut bytes: &[u8], into: &mut Unpacked) {
    let mut before = before.unwrap_or(0);
    for at in 0..into.len {
        before += take_varint(&mut bytes);
        into.documents[at] = before;
        into.frequencies[at] = take_varint(&mut bytes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(list: List<'_>) -> Vec<(u32, u32)> {
        let mut unpacked = Unpacked::new();
        let mut postings = Vec::new();
        for at in 0..list.blocks() {
            list.unpack(at, &mut unpacked);
            let documents = unpacked.documents();
            assert!(
                documents
                    .iter()
                    .all(|d| (list.first(at)..=list.last(at)).contains(d))
            );
            let frequencies = unpacked.frequencies.iter().map(|less| less + 1);
            postings.extend(documents.iter().copied().zip(frequencies));
        }
        postings
    }

    proptest! {
        /// Gaps and frequencies of any size, lists of none to three full blocks.
        #[test]
        fn postings_come_back(lists in prop::collection::vec(
            prop::collection::vec((1u32..40_000, 0u32..20), 0..400), 1..4,
        )) {
            let mut writer = ListWriter::new();
            for gaps in lists {
                let mut document = 0;
                let postings: Vec<(u32, u32)> = gaps.iter().map(|(gap, bits)| {
                    document += gap;
                    (document - 1, 1 << bits)
                }).collect();
                postings.iter().for_each(|(document, frequency)| writer.push(*document, *frequency));
                let mut bytes = Vec::new();
                let count = writer.finish(&mut bytes);
                prop_assert_eq!(count as usize, postings.len());
                prop_assert_eq!(read(List::new(&bytes, count, u32::MAX)), postings);
            }
        }
    }
}
