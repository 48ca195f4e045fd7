//! Numbers in bytes, and files as bytes.

use std::{io, path::Path};

use memmap2::Mmap;

/// Maps a file into memory, to be read only.
///
/// # Errors
/// The file cannot be opened; the message names it.
pub(crate) fn map(path: &Path) -> io::Result<Mmap> {
    let file = fs_err::File::open(path)?;
    // SAFETY: files of an index are written once, before they are mapped, and objects of a store are never changed in
    // place: they are replaced by renaming, which leaves a mapped file as it is.
    #[expect(
        unsafe_code,
        reason = "no safe interface maps a file that is not sealed by the kernel"
    )]
    unsafe {
        Mmap::map(file.file())
    }
}

/// The `at`-th of the little-endian numbers in `bytes`.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[4 * at..4 * at + 4]);
    u32::from_le_bytes(number)
}

/// The `at`-th of the little-endian numbers in `bytes`.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[8 * at..8 * at + 8]);
    u64::from_le_bytes(number)
}

/// Appends a number, seven bits a byte, the lowest first; the last byte has its high bit clear (LEB128).
pub(crate) fn put_varint(into: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// Takes a number that [`put_varint`] wrote off the front of `bytes`.
pub(crate) fn take_varint(bytes: &mut &[u8]) -> u32 {
    let (mut number, mut shift) = (0, 0);
    while let [byte, rest @ ..] = bytes {
        *bytes = rest;
        number |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
        shift += 7;
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let numbers = [0, 1, 127, 128, 16_383, 16_384, 1 << 21, 1 << 28, u32::MAX];
        let mut bytes = Vec::new();
        numbers.iter().for_each(|number| put_varint(&mut bytes, *number));
        let mut rest = bytes.as_slice();
        assert_eq!(numbers.map(|_| take_varint(&mut rest)), numbers);
        assert!(rest.is_empty());
    }
}
