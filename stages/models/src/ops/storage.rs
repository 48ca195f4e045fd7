//! Access to the numbers of a tensor inside an operation on the CPU.

use candle_core::{CpuStorage, Layout, Result, Shape, Storage, Tensor, bail};

/// The numbers of a contiguous f32 tensor.
pub(super) fn numbers<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let all = storage.as_slice::<f32>()?;
    match layout.contiguous_offsets() {
        Some((from, to)) => Ok(&all[from..to]),
        None => bail!("a tensor of shape {:?} is not contiguous", layout.shape()),
    }
}

/// The result of an operation.
pub(super) fn result(numbers: Vec<f32>, shape: impl Into<Shape>) -> (CpuStorage, Shape) {
    (CpuStorage::F32(numbers), shape.into())
}

/// Hands the numbers of a tensor on the CPU to `f`.
pub(crate) fn with_numbers<T>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> T) -> Result<T> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => Ok(f(numbers(storage, layout)?)),
        _ => bail!("a tensor of shape {:?} is not on the CPU", tensor.shape()),
    }
}
