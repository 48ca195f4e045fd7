//! The compute device of a run.

use ablate_core::{DeviceChoice, StageError};
use candle_core::Device;

/// Opens the device; one that cannot be had is an error that says why.
pub fn open(choice: DeviceChoice) -> Result<Device, StageError> {
    try_open(choice).map_err(StageError::new)
}

fn try_open(choice: DeviceChoice) -> Result<Device, String> {
    match choice {
        DeviceChoice::Cpu => Ok(Device::Cpu),
        DeviceChoice::Cuda(_) if !candle_core::utils::cuda_is_available() => {
            Err("this ablate was built without the feature `cuda`".into())
        }
        DeviceChoice::Cuda(ordinal) => fenced(|| Device::new_cuda(ordinal)),
        DeviceChoice::Metal if !candle_core::utils::metal_is_available() => {
            Err("this ablate was built without the feature `metal`".into())
        }
        DeviceChoice::Metal => {
            fenced(|| Device::new_metal(0)).map_err(|why| format!("Metal gives none: {why}"))
        }
    }
}

/// Bytes that nothing takes yet, where the device tells.
#[cfg(feature = "cuda")]
pub(crate) fn free_bytes(device: &Device) -> Option<usize> {
    match device {
        Device::Cuda(cuda) => Some(cuda.cuda_stream().context().mem_get_info().ok()?.0),
        _ => None,
    }
}

/// The same: no device of this build tells.
#[cfg(not(feature = "cuda"))]
pub(crate) fn free_bytes(_: &Device) -> Option<usize> {
    None
}

/// Whether the device can be opened; if not, why in one line.
pub fn probe(choice: DeviceChoice) -> Result<(), String> {
    // A missing library is an answer here: nothing that a panic should be printed for.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let found = try_open(choice);
    std::panic::set_hook(hook);
    found.map(drop)
}

/// The driver's binding panics when a library is not there, so the attempt is fenced.
fn fenced(
    open: impl FnOnce() -> candle_core::Result<Device> + std::panic::UnwindSafe,
) -> Result<Device, String> {
    // What follows a dash is the list of every file name tried.
    let first_line = |text: &str| {
        let line = text.lines().next().unwrap_or_default();
        line.split(" - ").next().unwrap_or_default().to_owned()
    };
    match std::panic::catch_unwind(open) {
        Ok(Ok(device)) => Ok(device),
        Ok(Err(error)) => Err(first_line(&error.to_string())),
        Err(panic) => Err(panic
            .downcast_ref::<String>()
            .map_or_else(|| "the driver is not there".into(), |text| first_line(text))),
    }
}
