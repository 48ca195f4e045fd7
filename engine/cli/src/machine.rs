//! This machine as a run sees it: its device, its slots, and Ctrl-C.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ablate_cache::FlushPolicy;
use ablate_core::DeviceChoice;
use ablate_run::{Capacity, MachineSlots, MemoryBudget};

use crate::{args::Flush, error::CliError, places, print};

/// Those of the devices asked for that are there, the CPU if none is; one line tells what is not.
///
/// # Errors
/// If a GPU is named twice.
pub(crate) fn devices(asked: &[DeviceChoice]) -> Result<Vec<DeviceChoice>, CliError> {
    let again = |(at, device): &(usize, &DeviceChoice)| {
        **device != DeviceChoice::Cpu && asked[..*at].contains(device)
    };
    if let Some((_, device)) = asked.iter().enumerate().find(again) {
        return Err(CliError::Usage(format!("--device names {device} twice")));
    }
    let reason = |device: &DeviceChoice| Some((*device, ablate_models::device::probe(*device).err()?));
    let missing: BTreeMap<DeviceChoice, String> = asked.iter().filter_map(reason).collect();
    let none = missing.len() == asked.len();
    let end = if none { "; computing on the CPU" } else { "" };
    let told = missing
        .iter()
        .map(|(device, why)| format!("no device {device} ({why})"));
    let told: Vec<String> = told.collect();
    if !told.is_empty() {
        print::message(&format!("warning: {}{end}", told.join(", ")));
    }
    if none {
        return Ok(vec![DeviceChoice::Cpu]);
    }
    let there = asked.iter().filter(|device| !missing.contains_key(device));
    Ok(there.copied().collect())
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

/// So many nodes `at_once` on the device, one a core, and all within the memory, over all processes of the user; no bound where there is no
/// place for locks.
pub(crate) fn slots(device: DeviceChoice, at_once: usize, memory: Option<u64>) -> MachineSlots {
    let folder = places::slots();
    let cpu = cores();
    MachineSlots {
        folder: fs_err::create_dir_all(&folder).is_ok().then_some(folder),
        capacity: Capacity { cpu, device: at_once },
        device,
        memory: places::memory().map(|total| MemoryBudget::new(total, memory.unwrap_or(total / 10 * 9))),
    }
}

/// How much work a kill may cost.
pub(crate) fn flush(asked: &Flush) -> FlushPolicy {
    FlushPolicy {
        rows: asked.flush_rows,
        longest: Duration::from_secs_f64(asked.flush_seconds),
    }
}

/// A flag that Ctrl-C and SIGTERM set; the second one ends the process at once.
pub(crate) fn interrupt_flag() -> Result<Arc<AtomicBool>, CliError> {
    flag_that_says("stopping: finished nodes are kept (once more to stop at once)")
}

/// The same without a word: for a process that another one speaks for.
pub(crate) fn quiet_flag() -> Result<Arc<AtomicBool>, CliError> {
    flag_that_says("")
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
        if !words.is_empty() {
            print::message(words);
        }
    };
    ctrlc::set_handler(handler).map_err(|error| CliError::Failed(format!("error: {error}")))?;
    Ok(stop)
}
