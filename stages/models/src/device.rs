//! The compute device of a run.

use ablate_core::{DeviceChoice, StageError};
use candle_core::Device;

/// Opens the device; one that cannot be had is an error that says why.
pub fn open(choice: DeviceChoice) -> Result<Device, StageError> {
    match choice {
        DeviceChoice::Cpu => Ok(Device::Cpu),
        DeviceChoice::Cuda(ordinal) => cuda(ordinal).map_err(StageError::new),
    }
}

/// Whether a CUDA device can be opened; if not, why in one line.
pub fn probe_cuda() -> Result<(), String> {
    cuda(0).map(drop)
}

/// The driver's binding panics when a library is not there, so the attempt is fenced.
fn cuda(ordinal: usize) -> Result<Device, String> {
    if !candle_core::utils::cuda_is_available() {
        return Err("this ablate was built without the feature `cuda`".into());
    }
    match std::panic::catch_unwind(|| Device::new_cuda(ordinal)) {
        Ok(Ok(device)) => Ok(device),
        Ok(Err(error)) => Err(error.to_string().lines().next().unwrap_or_default().to_owned()),
        Err(panic) => Err(panic
            .downcast_ref::<String>()
            .cloned()
            .unwrap_or_else(|| "the driver is not there".into())),
    }
}
