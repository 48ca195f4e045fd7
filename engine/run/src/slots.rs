//! Slots of the machine, shared by all processes on it: so many nodes on its cores, one on each compute device, and
//! pieces of its main memory.
//!
//! A slot is a locked file in a folder all processes of a user know. The operating system frees the lock of a dead
//! process.

use std::{
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use ablate_core::{DeviceChoice, Slot, StageError};

use crate::Capacity;

/// How long to wait between two looks.
const PAUSE: Duration = Duration::from_millis(20);
/// A wait that is worth a word.
const LONG: Duration = Duration::from_secs(3);

/// Nodes that need less memory than this do not count: there are no more of them than cores.
const SMALL: u64 = 64 << 20;

/// The main memory nodes may take, in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryBudget {
    /// Bytes of a piece: the same for all processes of a machine.
    pub piece: u64,
    /// How many pieces nodes may hold together.
    pub pieces: usize,
}

impl MemoryBudget {
    /// A budget of `most` bytes on a machine of `total`, of which a piece is the 64th part.
    pub fn new(total: u64, most: u64) -> Self {
        let piece = (total / 64).max(1);
        Self {
            piece,
            pieces: ((most / piece) as usize).max(1),
        }
    }

    /// Pieces for so many bytes; a node that needs more than there is gets all of them: it runs alone.
    fn pieces_for(&self, bytes: u64) -> usize {
        (bytes.div_ceil(self.piece) as usize).clamp(1, self.pieces)
    }
}

/// The slots of this machine.
#[derive(Clone, Debug)]
pub struct MachineSlots {
    /// The folder of the lock files; `None` for no bound beyond this process.
    pub folder: Option<PathBuf>,
    /// How many nodes at once on the whole machine.
    pub capacity: Capacity,
    /// The device whose slots are counted apart from those of others.
    pub device: DeviceChoice,
    /// The memory of nodes on the whole machine; `None` for no bound.
    pub memory: Option<MemoryBudget>,
}

/// Held while a node runs.
#[derive(Debug)]
pub(crate) struct SlotGuard {
    _files: Vec<File>,
}

impl MachineSlots {
    /// Waits for a free slot; an error if the run is interrupted first. A long wait is told. Called by who holds the lock of an action,
    /// and nobody waits for an action with a slot in hand: so nobody waits in a circle.
    pub(crate) fn acquire(
        &self,
        slot: Slot,
        stop: &AtomicBool,
        tell: &dyn Fn(&str),
    ) -> Result<SlotGuard, StageError> {
        let what = match slot {
            Slot::Cpu => "waits for a core: other runs take them all",
            Slot::Device => "waits for the device: another run computes on it",
        };
        wait(stop, || tell(what), || self.try_acquire(slot))
    }

    /// Waits for `bytes` of memory. Called by who holds a slot, and nobody waits for a slot with memory in hand.
    pub(crate) fn acquire_memory(
        &self,
        bytes: u64,
        stop: &AtomicBool,
        tell: &dyn Fn(&str),
    ) -> Result<SlotGuard, StageError> {
        let what = "waits for memory: other runs take it";
        wait(stop, || tell(what), || self.try_acquire_memory(bytes))
    }

    pub(crate) fn try_acquire(&self, slot: Slot) -> io::Result<Option<SlotGuard>> {
        let Some(folder) = &self.folder else {
            return Ok(Some(SlotGuard { _files: vec![] }));
        };
        let (kind, count) = match (slot, self.device) {
            (Slot::Cpu, _) => ("core".to_owned(), self.capacity.cpu),
            (Slot::Device, DeviceChoice::Cpu) => ("cpu".to_owned(), self.capacity.device),
            (Slot::Device, DeviceChoice::Cuda(number)) => (format!("cuda{number}"), self.capacity.device),
            (Slot::Device, DeviceChoice::Metal) => ("metal".to_owned(), self.capacity.device),
        };
        lock_of(folder, &kind, count, 1)
    }

    /// All pieces or none, behind one lock: who takes some and waits for more would starve another that does the same.
    pub(crate) fn try_acquire_memory(&self, bytes: u64) -> io::Result<Option<SlotGuard>> {
        let (Some(folder), Some(budget), true) = (&self.folder, self.memory, bytes >= SMALL) else {
            return Ok(Some(SlotGuard { _files: vec![] }));
        };
        let Some(_gate) = lock_of(folder, "memory-gate", 1, 1)? else {
            return Ok(None);
        };
        lock_of(folder, "memory", budget.pieces, budget.pieces_for(bytes))
    }
}

fn wait(
    stop: &AtomicBool,
    tell: impl Fn(),
    mut take: impl FnMut() -> io::Result<Option<SlotGuard>>,
) -> Result<SlotGuard, StageError> {
    let mut told_at = Some(Instant::now() + LONG);
    loop {
        if let Some(guard) = take()? {
            return Ok(guard);
        }
        if stop.load(Ordering::Relaxed) {
            return Err(StageError::Cancelled);
        }
        if told_at.take_if(|at| Instant::now() >= *at).is_some() {
            tell();
        }
        std::thread::sleep(PAUSE);
    }
}

/// `wanted` of the `count` lock files of a kind, or none.
fn lock_of(folder: &Path, kind: &str, count: usize, wanted: usize) -> io::Result<Option<SlotGuard>> {
    let mut files = Vec::new();
    for number in 0..count {
        let path = folder.join(format!("{kind}-{number}"));
        let file = fs_err::OpenOptions::new().create(true).append(true).open(path)?;
        let file = file.into_parts().0;
        match file.try_lock() {
            Ok(()) => files.push(file),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if files.len() == wanted {
            return Ok(Some(SlotGuard { _files: files }));
        }
    }
    Ok(None)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn slots(folder: &std::path::Path, device: DeviceChoice) -> MachineSlots {
        MachineSlots {
            folder: Some(folder.to_owned()),
            capacity: Capacity { cpu: 2, device: 1 },
            device,
            memory: Some(MemoryBudget::new(64 << 30, 8 << 30)),
        }
    }

    #[test]
    fn slots_are_bounded_over_all_that_share_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (
            slots(folder.path(), DeviceChoice::Cpu),
            slots(folder.path(), DeviceChoice::Cpu),
        );
        let held = one.try_acquire(Slot::Device).unwrap().unwrap();
        assert!(other.try_acquire(Slot::Device).unwrap().is_none());
        let cores: Vec<_> = [&one, &other]
            .map(|slots| slots.try_acquire(Slot::Cpu).unwrap().unwrap())
            .into();
        assert!(one.try_acquire(Slot::Cpu).unwrap().is_none());
        let gpu = slots(folder.path(), DeviceChoice::Cuda(0));
        assert!(gpu.try_acquire(Slot::Device).unwrap().is_some(), "another device");
        drop((held, cores));
        assert!(other.try_acquire(Slot::Device).unwrap().is_some());
    }

    #[test]
    fn an_interrupted_run_stops_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let slots = slots(folder.path(), DeviceChoice::Cpu);
        let _held = slots.try_acquire(Slot::Device).unwrap().unwrap();
        let stopped = slots.acquire(Slot::Device, &AtomicBool::new(true), &|_| {});
        assert!(matches!(stopped, Err(StageError::Cancelled)));
    }

    #[test]
    fn a_long_wait_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let slots = slots(folder.path(), DeviceChoice::Cpu);
        let _held = slots.try_acquire(Slot::Device).unwrap().unwrap();
        let stop = AtomicBool::new(false);
        let tell = |note: &str| {
            assert_eq!(note, "waits for the device: another run computes on it");
            stop.store(true, Ordering::Relaxed);
        };
        let told = slots.acquire(Slot::Device, &stop, &tell);
        assert!(matches!(told, Err(StageError::Cancelled)));
    }

    #[test]
    fn memory_is_shared_and_freed() {
        const GB: u64 = 1 << 30;
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (
            slots(folder.path(), DeviceChoice::Cpu),
            slots(folder.path(), DeviceChoice::Cuda(0)),
        );
        let six = one.try_acquire_memory(6 * GB).unwrap().unwrap();
        assert!(other.try_acquire_memory(3 * GB).unwrap().is_none());
        let two = other.try_acquire_memory(2 * GB).unwrap().unwrap();
        assert!(one.try_acquire_memory(GB).unwrap().is_none());
        assert!(
            one.try_acquire_memory(SMALL - 1).unwrap().is_some(),
            "small nodes do not count"
        );
        drop((six, two));
        let all = one.try_acquire_memory(100 * GB).unwrap();
        assert!(all.is_some(), "more than there is: alone");
        assert!(other.try_acquire_memory(GB).unwrap().is_none());
    }
}
