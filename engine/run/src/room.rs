//! Room for a node on this machine: a slot, memory, and no model in the way.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use ablate_core::{ArtifactKind, Digest, Slot, StageError};
use ablate_plan::{Connection, Node, Origin};
use fs_err::DirEntry;
use petgraph::graph::NodeIndex;

use crate::{Event, runner::Runner, slots::SlotGuard};

/// How long others may look for room.
const MOMENT: Duration = Duration::from_secs(1);

impl Runner<'_> {
    /// Waits for a slot and for memory, and drops the models the node does not use.
    pub(crate) fn room(&self, index: NodeIndex) -> Result<[SlotGuard; 2], StageError> {
        let (needs, stop) = (self.plan.node(index).needs(), self.options.stop);
        let slots = &self.options.slots;
        let tell = |note: &str| {
            let (node, note) = (self.plan.node(index).name.clone(), note.to_owned());
            (self.events)(Event::NodeNote { node, note });
        };
        let slot = slots.acquire(needs.slot, stop, &tell)?;
        let (tables, models) = self.bytes_read(index)?;
        let memory = slots.acquire_memory(needs.memory.bytes(tables, models), stop, &tell)?;
        self.clear(index)?;
        Ok([slot, memory])
    }

    /// The same without waiting for nodes of others: `None` if there is none now. Who helps must not wait for somebody who waits
    /// for help; for those who look for room at the same moment it may.
    pub(crate) fn room_at_once(&self, index: NodeIndex) -> Result<Option<[SlotGuard; 2]>, StageError> {
        let (needs, slots) = (self.plan.node(index).needs(), &self.options.slots);
        let (tables, models) = self.bytes_read(index)?;
        let bytes = needs.memory.bytes(tables, models);
        let until = Instant::now() + MOMENT;
        loop {
            if let Some(slot) = slots.try_acquire(needs.slot)?
                && let Some(memory) = slots.try_acquire_memory(bytes)?
            {
                self.clear(index)?;
                return Ok(Some([slot, memory]));
            }
            if Instant::now() > until {
                return Ok(None);
            }
            std::thread::sleep(MOMENT / 50);
        }
    }

    /// Drops the models that are in the way of a node on the device.
    fn clear(&self, index: NodeIndex) -> Result<(), StageError> {
        if self.plan.node(index).needs().slot == Slot::Device {
            self.models.keep(&self.model_digests(index)?);
        }
        Ok(())
    }

    /// Bytes of the tables and of the models a node reads. Its models are fetched for that, if they are not here.
    fn bytes_read(&self, index: NodeIndex) -> Result<(u64, u64), StageError> {
        let node = self.plan.node(index);
        let records = self.input_records(index);
        let (trees, tables): (Vec<_>, Vec<_>) = records.values().partition(|record| record.kind.is_tree());
        let bytes = |records: Vec<&ablate_cache::OutputRecord>| records.iter().map(|r| r.bytes).sum::<u64>();
        let mut models = bytes(trees);
        for input in model_inputs(node) {
            if let Origin::Source { source, text } = &input.origin {
                let tell = |line: &str| {
                    let (node, note) = (node.name.clone(), line.to_owned());
                    (self.events)(Event::NodeNote { node, note });
                };
                models += folder_bytes(&source.fetch(text, self.options.places, &tell)?)?;
            }
        }
        Ok((bytes(tables), models))
    }

    fn model_digests(&self, index: NodeIndex) -> Result<BTreeSet<Digest>, StageError> {
        let records = self.input_records(index);
        let digest = |input: &Connection| match &input.origin {
            Origin::Node { .. } => Ok(records.get(input.port).map(|record| record.content.0)),
            Origin::Source { source, text } => source.digest(text, self.options.places),
        };
        let digests = model_inputs(self.plan.node(index)).map(digest);
        digests.filter_map(Result::transpose).collect()
    }
}

/// What stands at the ports of a node that take models, as far as it computes here.
pub(crate) fn model_inputs(node: &Node) -> impl Iterator<Item = &Connection> {
    let takes_model = |port: &str| {
        let mut inputs = node.kind.inputs().iter();
        inputs.any(|input| input.name == port && input.kind == ArtifactKind::Model)
    };
    let local = node.inputs.iter().filter(|input| !input.is_remote());
    local.filter(move |input| takes_model(input.port))
}

/// Bytes of the files of a folder, or of a file.
fn folder_bytes(path: &std::path::Path) -> Result<u64, StageError> {
    let about = fs_err::metadata(path)?;
    if about.is_file() {
        return Ok(about.len());
    }
    let bytes = |entry: std::io::Result<DirEntry>| folder_bytes(&entry?.path());
    fs_err::read_dir(path)?.map(bytes).sum()
}
