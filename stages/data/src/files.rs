//! Files of a collection, plain, gzipped or zstd-compressed.

use std::{
    io::{self, BufRead, BufReader, Read},
    mem::take,
    path::{Path, PathBuf},
};

use ablate_core::Digest;

/// The paths of the files below `folder`, with `/`, two folders deep: collections are not deeper.
pub(crate) fn list(folder: &Path) -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_file() {
            files.push(name);
        } else if path.is_dir() {
            for entry in fs_err::read_dir(&path)? {
                let below = entry?.path();
                let file = below.file_name().unwrap_or_default().to_string_lossy();
                files.extend(below.is_file().then(|| format!("{name}/{file}")));
            }
        }
    }
    files.sort();
    Ok(files)
}

/// What a file of a collection holds.
pub(crate) enum Content {
    /// These bytes.
    Embedded(&'static [u8]),
    /// A file, decompressed by its ending.
    At(PathBuf),
}

impl Content {
    /// All of it.
    pub(crate) fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.each_block(usize::MAX, |block| {
            bytes = take(block);
            Ok::<(), io::Error>(())
        })?;
        Ok(bytes)
    }

    /// The digest of it.
    pub(crate) fn digest(&self) -> io::Result<Digest> {
        let mut hasher = blake3::Hasher::new();
        self.each_block(1 << 20, |block| {
            hasher.update(block);
            Ok::<(), io::Error>(())
        })?;
        Ok(hasher.finalize().into())
    }

    /// All of it in blocks of whole lines, `size` bytes each and the rest of the last line.
    pub(crate) fn each_block<E: From<io::Error>>(
        &self,
        size: usize,
        mut each: impl FnMut(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (name, content): (&Path, Box<dyn Read>) = match self {
            Self::Embedded(bytes) => (Path::new("the demo"), Box::new(*bytes)),
            Self::At(path) => (path, open(path)?),
        };
        let (mut reader, mut block) = (BufReader::new(content), Vec::new());
        loop {
            block.clear();
            let mut read = |block: &mut Vec<u8>| {
                (&mut reader).take(size as u64).read_to_end(block)?;
                reader.read_until(b'\n', block)
            };
            read(&mut block).map_err(|error| named(name, &error))?;
            if block.is_empty() {
                return Ok(());
            }
            each(&mut block)?;
        }
    }
}

fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    let file = fs_err::File::open(path)?;
    Ok(match path.extension().and_then(|ending| ending.to_str()) {
        Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(io::BufReader::new(file))),
        Some("zst") => Box::new(zstd::Decoder::new(file)?),
        _ => Box::new(file),
    })
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_whole_lines_and_all_of_the_file() {
        let text = b"one\ntwo and three\n\nfour";
        for (size, count) in [(1, 3), (5, 2), (usize::MAX, 1)] {
            let (mut whole, mut blocks) = (Vec::new(), 0);
            let read = Content::Embedded(text).each_block(size, |block| {
                let is_last = whole.len() + block.len() == text.len();
                assert!(is_last || block.ends_with(b"\n"));
                whole.extend_from_slice(block);
                blocks += 1;
                Ok::<(), io::Error>(())
            });
            read.unwrap();
            assert_eq!((whole.as_slice(), blocks), (&text[..], count));
        }
    }
}
