//! This machine as a run sees it: its device, its slots, and Ctrl-C.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use ablate_core::DeviceChoice;
use ablate_run::{Capacity, MachineSlots, MemoryBudget};

use crate::{error::CliError, places, print};

/// The device asked for, or the CPU with one clear line.
pub(crate) fn device(asked: DeviceChoice) -> DeviceChoice {
    if let DeviceChoice::Cuda(ordinal) = asked
        && let Err(why) = ablate_models::device::probe_cuda(ordinal)
    {
        print::message(&format!("warning: no CUDA device: {why}; computing on the CPU"));
        return DeviceChoice::Cpu;
    }
    asked
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What may run at once in this process.
pub(crate) fn capacity(jobs: Option<u16>) -> Capacity {
    Capacity {
        cpu: jobs.map_or_else(cores, usize::from),
        device: 1,
    }
}

/// One node on a device, one a core, and all within the memory, over all processes of the user; no bound where there is no place for locks.
pub(crate) fn slots(device: DeviceChoice, memory: Option<u64>) -> MachineSlots {
    let folder = places::slots();
    let cpu = cores();
    MachineSlots {
        folder: fs_err::create_dir_all(&folder).is_ok().then_some(folder),
        capacity: Capacity { cpu, device: 1 },
        device,
        memory: places::memory().map(|total| MemoryBudget::new(total, memory.unwrap_or(total / 10 * 9))),
    }
}

/// A flag that Ctrl-C and SIGTERM set; the second one ends the process at once.
pub(crate) fn interrupt_flag() -> Result<Arc<AtomicBool>, CliError> {
    flag_that_says("stopping: finished nodes are kept (once more to stop at once)")
}

/// The same with words of one's own.
pub(crate) fn flag_that_says(words: &'static str) -> Result<Arc<AtomicBool>, CliError> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let handler = move || {
        if flag.swap(true, Ordering::Relaxed) {
            #[expect(clippy::exit, reason = "the second Ctrl-C shall not wait for anything")]
            std::process::exit(130);
        }
        print::message(words);
    };
    ctrlc::set_handler(handler).map_err(|error| CliError::Failed(format!("error: {error}")))?;
    Ok(stop)
}
