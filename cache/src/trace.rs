//! Traces: what an action produced, with the pre-image of its key. Writing one is the commit of a node.

use std::{collections::BTreeSet, path::Path};

use ablate_core::{ActionKey, ArtifactKind, ContentDigest, Digest, FileDigest, canon};
use serde::{Deserialize, Serialize};

use crate::{Store, StoreError, files};

/// One output of an action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputRecord {
    /// The output port.
    pub port: String,
    /// The kind of artifact.
    pub kind: ArtifactKind,
    /// Digest over its rows: what keys downstream are made of.
    pub content: ContentDigest,
    /// Digest of its bytes: where the object lies.
    pub file: FileDigest,
    /// Size of the object.
    pub bytes: u64,
    /// Rows, for tables.
    pub rows: Option<u64>,
}

/// What an action produced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// The key.
    pub key: ActionKey,
    /// Exactly the value whose digest is the key.
    pub preimage: canon::Value,
    /// The outputs, by port.
    pub outputs: Vec<OutputRecord>,
    /// Wall time of the computation, seconds.
    pub seconds: f64,
    /// Seconds since 1970 when it ended.
    pub finished: u64,
    /// Where it ran: host and device. Provenance, never in a key.
    pub host: String,
    /// Tokens the computation generated, for stages that generate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// What the stage had to say about its result.
    pub notes: Vec<String>,
    /// What whoever uses its result must know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// What became of a commit.
#[derive(Clone, Debug, PartialEq)]
pub enum Committed {
    /// The trace was written.
    New,
    /// Another process was first with the same content.
    Kept,
    /// Another process was first with other content: the stage is not deterministic. The first is kept.
    Differs(Box<Trace>),
}

/// Files that are synced one by one: a sync of everything waits for what other processes have written, too.
const FEW: usize = 8;

/// The domain of action keys.
const DOMAIN: &str = "ablate action v1";

impl Trace {
    /// The key that belongs to a pre-image.
    pub fn key_of(preimage: &canon::Value) -> ActionKey {
        ActionKey(preimage.digest(DOMAIN))
    }

    /// The output at `port`.
    pub fn output(&self, port: &str) -> Option<&OutputRecord> {
        self.outputs.iter().find(|output| output.port == port)
    }

    fn contents(&self) -> Vec<(&str, ContentDigest)> {
        self.outputs
            .iter()
            .map(|o| (o.port.as_str(), o.content))
            .collect()
    }
}

impl Store {
    /// The trace of `key`. A damaged one is an error that names the file.
    pub fn trace(&self, key: ActionKey) -> Result<Option<Trace>, StoreError> {
        let path = self.trace_path(key);
        let bytes = match fs_err::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let trace: Option<Trace> = files::unsealed(&bytes).and_then(|text| serde_json::from_str(text).ok());
        match trace {
            Some(trace) if trace.key == key => Ok(Some(trace)),
            _ => Err(StoreError::Damaged {
                path,
                what: "its checksum does not match".into(),
            }),
        }
    }

    /// Writes traces whose objects stand already: syncs the objects, then writes the traces.
    pub fn commit(&self, traces: &[Trace]) -> Result<Vec<Committed>, StoreError> {
        self.sync_outputs(traces)?;
        traces.iter().map(|trace| self.commit_one(trace)).collect()
    }

    /// Makes the objects of `traces` durable: a few files one by one, more of them with everything else at once.
    fn sync_outputs(&self, traces: &[Trace]) -> Result<(), StoreError> {
        let outputs: Vec<_> = traces.iter().flat_map(|trace| &trace.outputs).collect();
        if outputs.len() > FEW || outputs.iter().any(|output| output.kind.is_tree()) {
            return self.sync();
        }
        let mut paths = BTreeSet::new();
        for output in outputs {
            let path = self.object_path(output.file);
            paths.extend(path.parent().map(Path::to_owned));
            paths.insert(path);
        }
        for path in paths {
            self.gate.pass(&path)?;
            match fs_err::File::open(&path) {
                Ok(file) => file.sync_all()?,
                // A reader found it damaged and took it out: its trace will say that it was removed.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn commit_one(&self, trace: &Trace) -> Result<Committed, StoreError> {
        let whole = |first: &Trace| first.outputs.iter().all(|output| self.has_object(output.file));
        if let Some(first) = self.trace(trace.key).ok().flatten().filter(whole) {
            let same = first.contents() == trace.contents();
            return Ok(if same {
                Committed::Kept
            } else {
                Committed::Differs(Box::new(first))
            });
        }
        let text = serde_json::to_string(trace).map_err(|e| StoreError::io(self.root(), e.into()))?;
        self.gate.pass(&self.trace_path(trace.key))?;
        files::write_atomic(
            &self.root().join("partial"),
            &self.trace_path(trace.key),
            files::sealed(&text).as_bytes(),
        )?;
        Ok(Committed::New)
    }

    /// Takes a trace out, so that its action runs again.
    pub fn forget(&self, key: ActionKey) -> Result<(), StoreError> {
        match fs_err::remove_file(self.trace_path(key)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    pub(crate) fn trace_path(&self, key: ActionKey) -> std::path::PathBuf {
        let name = key.to_string();
        self.root()
            .join("traces")
            .join(&name[..2])
            .join(format!("{name}.json"))
    }

    /// Where the file of a table or the folder of a tree is. Its bytes are not looked at.
    pub fn object_path(&self, file: FileDigest) -> std::path::PathBuf {
        let name = Digest::to_string(&file.0);
        self.root().join("objects").join(&name[..2]).join(name)
    }
}
