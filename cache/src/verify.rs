//! Checks everything a store holds: bytes, checksums, pre-images against keys, traces against objects.

use std::path::{Path, PathBuf};

use ablate_core::{ActionKey, Digest};

use crate::{Store, StoreError, Trace, memo::segments, object::tree_digest, segment};

/// Something wrong in the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Where.
    pub path: PathBuf,
    /// What, as a lower-case fragment.
    pub what: String,
}

/// What a verification saw.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verification {
    /// Traces checked.
    pub traces: usize,
    /// Objects checked.
    pub objects: usize,
    /// Segments of the row memo checked.
    pub segments: usize,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

impl Store {
    /// Reads every byte. Leftovers of a kill (in `partial/`, objects no trace names) are not damage.
    pub fn verify(&self) -> Result<Verification, StoreError> {
        let mut seen = Verification::default();
        for path in sharded(&self.root().join("traces"))? {
            seen.traces += 1;
            let found = self.check_trace(&path);
            seen.findings.extend(found.into_iter().map(|what| Finding {
                path: path.clone(),
                what,
            }));
        }
        for path in sharded(&self.root().join("objects"))? {
            seen.objects += 1;
            let what = check_object(&path)?;
            seen.findings.extend(what.map(|what| Finding { path, what }));
        }
        self.verify_memo(&mut seen)?;
        Ok(seen)
    }

    fn verify_memo(&self, seen: &mut Verification) -> Result<(), StoreError> {
        for namespace in entries(&self.root().join("memo"))? {
            for path in segments(&namespace)? {
                seen.segments += 1;
                let what =
                    segment::damage(&path)?.map(|digest| format!("its bytes have the digest {digest}"));
                seen.findings.extend(what.map(|what| Finding { path, what }));
            }
        }
        Ok(())
    }

    fn check_trace(&self, path: &Path) -> Vec<String> {
        let Some(key) = path
            .file_stem()
            .and_then(|name| name.to_string_lossy().parse().ok())
        else {
            return vec!["not named by a key".into()];
        };
        let trace = match self.trace(ActionKey(key)) {
            Ok(Some(trace)) => trace,
            Ok(None) => return vec![],
            Err(error) => return vec![error.to_string()],
        };
        let moved = (Trace::key_of(&trace.preimage) != trace.key)
            .then(|| "its pre-image does not give its key".into());
        let missing = trace
            .outputs
            .iter()
            .filter(|output| !self.has_object(output.file));
        moved
            .into_iter()
            .chain(
                missing.map(|output| format!("the object {} of `{}` is not there", output.file, output.port)),
            )
            .collect()
    }
}

fn check_object(path: &Path) -> Result<Option<String>, StoreError> {
    let digest = if path.is_dir() {
        tree_digest(path)?.0
    } else {
        Digest::of(&fs_err::read(path)?)
    };
    let named = path
        .file_name()
        .is_some_and(|name| name.to_string_lossy() == digest.to_string());
    Ok((!named).then(|| format!("its bytes have the digest {digest}")))
}

/// The entries of a folder sharded by two letters, sorted.
fn sharded(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut paths = Vec::new();
    for shard in entries(folder)? {
        paths.extend(entries(&shard)?);
    }
    Ok(paths)
}

/// The entries of a folder, sorted; none if it is not there.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = match fs_err::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(error.into()),
    };
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}
