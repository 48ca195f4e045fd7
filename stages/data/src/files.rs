//! Files of a collection, plain, gzipped or zstd-compressed.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

/// The endings a file may have beside its own.
const ENDINGS: [&str; 3] = ["", ".gz", ".zst"];

/// The file `name` in `folder`, whatever its compression.
pub(crate) fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    ENDINGS
        .iter()
        .map(|ending| folder.join(format!("{name}{ending}")))
        .find(|path| path.is_file())
}

/// The bytes of a file, decompressed by its ending.
pub(crate) fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let named =
        |error: std::io::Error| std::io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("gz") => {
            flate2::read::MultiGzDecoder::new(fs_err::File::open(path)?)
                .read_to_end(&mut bytes)
                .map_err(named)?;
        }
        Some("zst") => {
            zstd::Decoder::new(fs_err::File::open(path)?)?
                .read_to_end(&mut bytes)
                .map_err(named)?;
        }
        _ => bytes = fs_err::read(path)?,
    }
    Ok(bytes)
}
