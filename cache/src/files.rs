//! Small files written whole: temporary name, then rename, with a checksum as the first line.

use std::{io::Write, path::Path};

use ablate_core::Digest;

use crate::StoreError;

/// Makes temporary files and folders that whoever the umask lets may read, once they have their name: other users of a
/// shared store reuse what is in it.
pub(crate) fn temporary(mode: u32) -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    builder
}

/// Writes `bytes` under `path` so that readers see all of it or nothing. Not synced: callers sync in groups.
pub(crate) fn write_atomic(folder: &Path, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut file = temporary(0o666)
        .tempfile_in(folder)
        .map_err(|e| StoreError::io(folder, e))?;
    file.write_all(bytes).map_err(|e| StoreError::io(path, e))?;
    if let Some(parent) = path.parent() {
        fs_err::create_dir_all(parent)?;
    }
    file.persist(path).map_err(|e| StoreError::io(path, e.error))?;
    Ok(())
}

/// The text with its checksum line before it.
pub fn sealed(text: &str) -> String {
    format!("{}\n{text}", Digest::of(text.as_bytes()))
}

/// The text behind the checksum line, if it matches.
pub fn unsealed(file: &[u8]) -> Option<&str> {
    let (digest, text) = str::from_utf8(file).ok()?.split_once('\n')?;
    (digest == Digest::of(text.as_bytes()).to_string()).then_some(text)
}

/// A log line with a short checksum at its end.
pub fn sealed_line(line: &str) -> String {
    format!("{line}\t{}\n", &Digest::of(line.as_bytes()).to_string()[..8])
}

/// The line in front of the checksum, if it matches: what a kill cut in half does not.
pub fn unsealed_line(line: &str) -> Option<&str> {
    let (text, check) = line.rsplit_once('\t')?;
    (check == &Digest::of(text.as_bytes()).to_string()[..8]).then_some(text)
}
