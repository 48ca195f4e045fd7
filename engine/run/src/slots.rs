//! Slots of the machine, shared by all processes on it: so many nodes on its cores, one on each compute device.
//!
//! A slot is a locked file in a folder all processes of a user know. The operating system frees the lock of a dead
//! process.

use std::{
    fs::{File, TryLockError},
    io,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use ablate_core::{DeviceChoice, Slot, StageError};

use crate::Capacity;

/// How long to wait between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// The slots of this machine.
#[derive(Clone, Debug)]
pub struct MachineSlots {
    /// The folder of the lock files; `None` for no bound beyond this process.
    pub folder: Option<PathBuf>,
    /// How many nodes at once on the whole machine.
    pub capacity: Capacity,
    /// The device whose slots are counted apart from those of others.
    pub device: DeviceChoice,
}

/// Held while a node runs.
#[derive(Debug)]
pub(crate) struct SlotGuard {
    _file: Option<File>,
}

impl MachineSlots {
    /// Waits for a free slot; an error if the run is interrupted first. Called by who holds the lock of an action, and
    /// nobody waits for an action with a slot in hand: so nobody waits in a circle.
    pub(crate) fn acquire(&self, slot: Slot, stop: &AtomicBool) -> Result<SlotGuard, StageError> {
        loop {
            if let Some(guard) = self.try_acquire(slot)? {
                return Ok(guard);
            }
            if stop.load(Ordering::Relaxed) {
                return Err(StageError::Cancelled);
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn try_acquire(&self, slot: Slot) -> io::Result<Option<SlotGuard>> {
        let Some(folder) = &self.folder else {
            return Ok(Some(SlotGuard { _file: None }));
        };
        let (kind, count) = match (slot, self.device) {
            (Slot::Cpu, _) => ("core".to_owned(), self.capacity.cpu),
            (Slot::Device, DeviceChoice::Cpu) => ("cpu".to_owned(), self.capacity.device),
            (Slot::Device, DeviceChoice::Cuda(number)) => (format!("cuda{number}"), self.capacity.device),
        };
        for number in 0..count {
            let path = folder.join(format!("{kind}-{number}"));
            let file = fs_err::OpenOptions::new().create(true).append(true).open(path)?;
            let file = file.into_parts().0;
            match file.try_lock() {
                Ok(()) => return Ok(Some(SlotGuard { _file: Some(file) })),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(None)
    }
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
        let stopped = slots.acquire(Slot::Device, &AtomicBool::new(true));
        assert!(matches!(stopped, Err(StageError::Cancelled)));
    }
}
