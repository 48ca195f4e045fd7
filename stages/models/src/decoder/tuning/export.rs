//! A trained decoder in the layout of transformers, and its adapters in that of peft.

use std::path::Path;

use ablate_core::StageError;

use super::{
    TunedDecoder,
    parameters::{Parameters, module_of},
};
use crate::{
    Mode,
    decoder::{
        TensorSpec,
        build::{Build, parts},
        weights::{MatrixSpec, NormSpec},
    },
    params::ParamStore,
};

/// Lists parameters as a checkpoint has them, adapters merged.
struct Write<'p> {
    parameters: &'p Parameters,
    written: ParamStore,
}

impl Write<'_> {
    fn plain(&mut self, tensor: &TensorSpec, less: f64) -> std::result::Result<(), StageError> {
        let value = self.parameters.value(&tensor.name, Mode::Inference)?;
        Ok(self.written.insert(&tensor.name, &(value - less)?)?)
    }
}

impl Build for Write<'_> {
    type Matrix = ();
    type Norm = ();
    type Table = ();

    fn matrix(&mut self, spec: MatrixSpec) -> std::result::Result<(), StageError> {
        for part in &spec.parts {
            let merged = self.parameters.merged(&module_of(part))?;
            let value = if spec.transposed { merged.t()? } else { merged };
            self.written.insert(&part.name, &value)?;
        }
        spec.biases.iter().try_for_each(|bias| self.plain(bias, 0.0))
    }

    fn norm(&mut self, spec: NormSpec) -> std::result::Result<(), StageError> {
        self.plain(&spec.weight, f64::from(spec.offset))?;
        spec.bias.iter().try_for_each(|bias| self.plain(bias, 0.0))
    }

    fn table(&mut self, spec: TensorSpec) -> std::result::Result<(), StageError> {
        self.plain(&spec, 0.0)
    }
}

impl TunedDecoder {
    /// Writes `model.safetensors` into a folder, f32, adapters merged into their layers.
    pub fn save(&self, folder: &Path) -> Result<(), StageError> {
        let mut write = Write {
            parameters: &self.parameters,
            written: ParamStore::default(),
        };
        parts(&self.config, &self.layout, &mut write)?;
        write.written.save(&folder.join("model.safetensors"))
    }

    /// Writes adapter_config.json and `adapter_model.safetensors` into a folder, as peft keeps them; nothing if the model
    /// has been trained whole.
    pub fn save_adapter(&self, folder: &Path) -> Result<(), StageError> {
        let Some(lora) = &self.parameters.lora else {
            return Ok(());
        };
        fs_err::create_dir_all(folder)?;
        let config = serde_json::to_vec_pretty(&lora.config(self.layout.transposed))?;
        fs_err::write(folder.join("adapter_config.json"), config)?;
        self.store().save(&folder.join("adapter_model.safetensors"))
    }
}
