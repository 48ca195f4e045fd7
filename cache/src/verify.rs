//! Checks everything a store holds: bytes, checksums, pre-images against keys, traces against objects.

use std::path::{Path, PathBuf};

use ablate_core::{ActionKey, Digest};

use crate::{Store, StoreError, Trace, files, memo::segments, object::tree_digest, segment};

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
    /// Traces whose result was removed, by `gc` or by hand: no damage, it is computed again when it is needed.
    pub removed: usize,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

impl Store {
    /// Reads every byte. Leftovers of a kill (in `partial/`, objects no trace names) are not damage.
    pub fn verify(&self) -> Result<Verification, StoreError> {
        let mut seen = Verification::default();
        for path in sharded(&self.root().join("traces"))? {
            seen.traces += 1;
            match self.check_trace(&path) {
                Ok(whole) => seen.removed += usize::from(!whole),
                Err(what) => seen.findings.push(Finding { path, what }),
            }
        }
        for path in sharded(&self.root().join("objects"))? {
            seen.objects += 1;
            let what = check_object(&path)?;
            seen.findings.extend(what.map(|what| Finding { path, what }));
        }
        self.verify_memo(&mut seen)?;
        self.verify_logs(&mut seen)?;
        Ok(seen)
    }

    /// Manifests and logs of runs, and the log of recipes. A last line that a kill cut short is no damage.
    fn verify_logs(&self, seen: &mut Verification) -> Result<(), StoreError> {
        // A recipe's line that is shorter than two digests was cut by a kill while others wrote on.
        let mut logs = vec![(self.root().join("recipes.log"), RECIPE_LINE)];
        for run in entries(&self.root().join("runs"))? {
            let manifest = run.join("run.json");
            if manifest.exists() && files::unsealed(&fs_err::read(&manifest)?).is_none() {
                let what = "its checksum does not match".into();
                seen.findings.push(Finding { path: manifest, what });
            }
            logs.push((run.join("events.jsonl"), 0));
        }
        for (path, shortest) in logs.into_iter().filter(|(path, _)| path.exists()) {
            let bytes = fs_err::read(&path)?;
            let damaged = damaged_lines(&String::from_utf8_lossy(&bytes), shortest);
            let what = damaged
                .first()
                .map(|line| format!("the checksum of line {line} does not match"));
            seen.findings.extend(what.map(|what| Finding { path, what }));
        }
        Ok(())
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

    /// Whether a sound trace's objects all stand; or what is wrong with it.
    fn check_trace(&self, path: &Path) -> Result<bool, String> {
        let name = path.file_stem().map(|name| name.to_string_lossy());
        let key = name
            .and_then(|name| name.parse().ok())
            .ok_or("not named by a key")?;
        let Some(trace) = self.trace(ActionKey(key)).map_err(|error| error.to_string())? else {
            return Ok(true);
        };
        if Trace::key_of(&trace.preimage) != trace.key {
            return Err("its pre-image does not give its key".into());
        }
        Ok(trace.outputs.iter().all(|output| self.has_object(output.file)))
    }
}

/// Characters of a line of `recipes.log`: two digests and a checksum, with what stands between.
const RECIPE_LINE: usize = 64 + 1 + 64 + 1 + 8;

/// Numbers of the whole lines of at least `shortest` characters whose checksum does not match, from 1.
fn damaged_lines(text: &str, shortest: usize) -> Vec<usize> {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let lines = whole.lines().enumerate();
    let damaged = lines.filter(|(_, line)| {
        !line.is_empty() && line.len() >= shortest && files::unsealed_line(line).is_none()
    });
    damaged.map(|(at, _)| at + 1).collect()
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

/// The entries of a folder sharded by two letters, sorted; what somebody else has put beside the shards is among them.
pub(crate) fn sharded(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut paths = Vec::new();
    for shard in entries(folder)? {
        match shard.is_dir() {
            true => paths.extend(entries(&shard)?),
            false => paths.push(shard),
        }
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
