//! The parameters of a model by name: loaded from safetensors, trained, saved.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use ablate_core::StageError;
use candle_core::{DType, Device, Result, Tensor, Var, safetensors::Load as _};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::{onnx, ops::with_numbers};

/// The parameters of a model, f32, by the names of its checkpoint.
///
/// Iteration is by name, so that sums over parameters do not depend on a file's order. A clone has the same variables.
#[derive(Clone, Debug, Default)]
pub struct ParamStore {
    variables: Arc<BTreeMap<String, Var>>,
    frozen: Arc<BTreeSet<String>>,
}

impl ParamStore {
    /// Reads the parameters of a model folder, as f32: `model.safetensors`, else `pytorch_model.bin`, else
    /// `model.onnx` (see [`crate::onnx`]).
    ///
    /// # Errors
    /// If there is none of them, or it is damaged; the message names it.
    pub fn open(folder: &Path, device: &Device) -> std::result::Result<Self, StageError> {
        let file = |name: &str| Some(folder.join(name)).filter(|file| file.is_file());
        if let Some(file) = file("model.safetensors") {
            Self::load(&file, device)
        } else if let Some(file) = file("pytorch_model.bin") {
            Self::load_pickled(&file, device)
        } else if let Some(file) = file("model.onnx") {
            Self::load_onnx(&file, device)
        } else {
            Err(StageError::with_help(
                format!("`{}` holds no parameters", folder.display()),
                "give it model.safetensors, pytorch_model.bin or model.onnx",
            ))
        }
    }

    fn load_pickled(file: &Path, device: &Device) -> std::result::Result<Self, StageError> {
        let tensors = candle_core::pickle::read_all(file).map_err(|error| {
            StageError::new(format!(
                "`{}` is no sound PyTorch checkpoint: {error}",
                file.display()
            ))
        })?;
        let mut store = Self::default();
        for (name, tensor) in tensors.iter().filter(|(_, tensor)| tensor.dtype().is_float()) {
            store.insert(name, &tensor.to_device(device)?)?;
        }
        Ok(store)
    }

    fn load_onnx(file: &Path, device: &Device) -> std::result::Result<Self, StageError> {
        let mut store = Self::default();
        for (name, (shape, values)) in onnx::read(file)? {
            store.insert(&name, &Tensor::from_vec(values, shape, device)?)?;
        }
        Ok(store)
    }

    /// Reads the floating-point tensors of a safetensors file, as f32.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged; the message names it.
    pub fn load(file: &Path, device: &Device) -> std::result::Result<Self, StageError> {
        let bytes = fs_err::read(file)?;
        let damaged = |error: &dyn std::fmt::Display| {
            let message = format!("`{}` is not a sound safetensors file: {error}", file.display());
            StageError::with_help(message, "fetch or copy the model again")
        };
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| damaged(&error))?;
        let mut store = Self::default();
        for (name, view) in tensors.tensors() {
            // Indices and the like (`position_ids`) are no parameters.
            if matches!(view.dtype(), Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16) {
                store.insert(&name, &view.load(device)?)?;
            }
        }
        if store.variables.is_empty() {
            return Err(damaged(&"it holds no floating-point tensors"));
        }
        Ok(store)
    }

    /// Writes all parameters, frozen ones too; equal parameters give equal bytes.
    pub fn save(&self, file: &Path) -> std::result::Result<(), StageError> {
        let mut contents = Vec::with_capacity(self.variables.len());
        for (name, variable) in self.iter() {
            let bytes: Vec<u8> = to_vec(variable)?.iter().flat_map(|x| x.to_le_bytes()).collect();
            contents.push((name, variable.dims().to_vec(), bytes));
        }
        let views = contents
            .iter()
            .map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
            .collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>()?;
        // sentence-transformers and transformers refuse files without this note.
        let metadata = [("format".to_owned(), "pt".to_owned())].into();
        fs_err::write(file, safetensors::serialize(views, Some(metadata))?)?;
        Ok(())
    }

    /// Adds or replaces a parameter.
    pub fn insert(&mut self, name: &str, value: &Tensor) -> Result<()> {
        let value = Var::from_tensor(&value.to_dtype(DType::F32)?.contiguous()?)?;
        Arc::make_mut(&mut self.variables).insert(name.to_owned(), value);
        Ok(())
    }

    /// A copy with values of its own.
    pub fn copy(&self) -> Result<Self> {
        let mut copy = Self::default();
        for (name, variable) in self.iter() {
            copy.insert(name, &variable.as_detached_tensor().copy()?)?;
        }
        Ok(copy)
    }

    /// Gives every parameter of `values` its value there.
    ///
    /// # Errors
    /// If there is none of a name, or it has another shape.
    pub fn set_all(&self, values: &Self) -> Result<()> {
        for (name, value) in values.iter() {
            let Some(variable) = self.variables.get(name) else {
                candle_core::bail!("the model has no parameter `{name}`")
            };
            variable.set(&value.as_detached_tensor().to_device(variable.device())?)?;
        }
        Ok(())
    }

    /// Keeps the parameters that `which` holds for from being trained, and no others.
    pub fn freeze(&mut self, which: impl Fn(&str) -> bool) {
        let names = self.variables.keys().filter(|name| which(name));
        self.frozen = Arc::new(names.cloned().collect());
    }

    /// The parameter called `name`.
    pub fn get(&self, name: &str) -> Option<&Var> {
        self.variables.get(name)
    }

    /// The value of a parameter: part of the gradient's graph if `training` and not frozen.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn value(&self, name: &str, training: bool) -> Result<Tensor> {
        let Some(variable) = self.variables.get(name) else {
            candle_core::bail!("the checkpoint has no tensor `{name}`")
        };
        Ok(if training && !self.frozen.contains(name) {
            variable.as_tensor().clone()
        } else {
            variable.as_detached_tensor()
        })
    }

    /// All parameters, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Var)> {
        self.variables
            .iter()
            .map(|(name, variable)| (name.as_str(), variable))
    }

    /// The parameters that are trained, by name.
    pub fn trainable(&self) -> impl Iterator<Item = (&str, &Var)> {
        self.iter().filter(|(name, _)| !self.frozen.contains(*name))
    }

    /// Refuses a checkpoint in which a tensor of `expected` is missing or of another shape.
    pub(crate) fn expect(&self, expected: &[(String, Vec<usize>)]) -> std::result::Result<(), StageError> {
        for (name, shape) in expected {
            let found = self.get(name).map(|variable| variable.dims());
            if found != Some(shape.as_slice()) {
                let found = found.map_or("missing".to_owned(), |found| format!("of shape {found:?}"));
                let message =
                    format!("tensor `{name}` of the checkpoint is {found}, config.json asks for {shape:?}");
                return Err(StageError::with_help(
                    message,
                    "use a config.json and a model.safetensors that belong together",
                ));
            }
        }
        Ok(())
    }
}

/// The numbers of a tensor, row-major.
pub fn to_vec(tensor: &Tensor) -> Result<Vec<f32>> {
    with_numbers(&tensor.to_device(&Device::Cpu)?, <[f32]>::to_vec)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn store() -> ParamStore {
        let mut store = ParamStore::default();
        let tensor = |data: &[f32]| Tensor::new(data, &Device::Cpu).unwrap();
        store.insert("b.weight", &tensor(&[1.0, -2.5, 3.0])).unwrap();
        store.insert("a.weight", &tensor(&[0.5])).unwrap();
        store
    }

    #[test]
    fn saving_is_deterministic_and_loads_again() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        store().save(&one).unwrap();
        let loaded = ParamStore::load(&one, &Device::Cpu).unwrap();
        loaded.save(&two).unwrap();
        assert_eq!(fs_err::read(&one).unwrap(), fs_err::read(&two).unwrap());
        assert_eq!(
            loaded.get("b.weight").unwrap().to_vec1::<f32>().unwrap(),
            [1.0, -2.5, 3.0]
        );
    }

    #[test]
    fn a_damaged_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.safetensors");
        fs_err::write(&file, b"not a model").unwrap();
        let message = ParamStore::load(&file, &Device::Cpu).unwrap_err().to_string();
        assert!(message.contains("model.safetensors"), "{message}");
    }

    #[test]
    fn frozen_parameters_take_no_gradient() {
        let mut store = store();
        store.freeze(|name| name.starts_with("a."));
        assert_eq!(
            store.trainable().map(|(name, _)| name).collect::<Vec<_>>(),
            ["b.weight"]
        );
        assert!(!store.value("a.weight", true).unwrap().track_op());
        assert!(store.value("b.weight", true).unwrap().track_op());
        assert!(!store.value("b.weight", false).unwrap().track_op());
    }
}
