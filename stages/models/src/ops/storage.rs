//! Access to the numbers of a tensor inside an operation on the CPU.

use candle_core::{CpuStorage, Device, Layout, Result, Shape, Storage, Tensor, bail};

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

/// Hands the numbers of tensors on the CPU to `f`.
pub(super) fn with_all<const N: usize, T>(
    tensors: [&Tensor; N],
    f: impl FnOnce([&[f32]; N]) -> T,
) -> Result<T> {
    let tensors: Vec<Tensor> = tensors.iter().map(|x| x.contiguous()).collect::<Result<_>>()?;
    let stored: Vec<_> = tensors.iter().map(Tensor::storage_and_layout).collect();
    let slices = stored.iter().map(|(storage, layout)| on_cpu(storage, layout));
    let slices: Vec<&[f32]> = slices.collect::<Result<_>>()?;
    Ok(f(std::array::from_fn(|at| slices[at])))
}

fn on_cpu<'a>(storage: &'a Storage, layout: &Layout) -> Result<&'a [f32]> {
    match storage {
        Storage::Cpu(storage) => numbers(storage, layout),
        _ => bail!("a tensor of shape {:?} is not on the CPU", layout.shape()),
    }
}

/// Hands the numbers of a tensor on the CPU to `f`.
pub(crate) fn with_numbers<T>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> T) -> Result<T> {
    with_all([tensor], |[numbers]| f(numbers))
}

/// A tensor of numbers computed from those of others, outside of every graph: what a backward pass gives, or what needs no gradient.
pub(super) fn computed<const N: usize>(
    tensors: [&Tensor; N],
    shape: impl Into<Shape>,
    f: impl FnOnce([&[f32]; N]) -> Vec<f32>,
) -> Result<Tensor> {
    Tensor::from_vec(with_all(tensors, f)?, shape, &Device::Cpu)
}
