//! Checkpoints: everything a training run needs to go on as if it had never stopped.
//!
//! ```text
//! <step>/weights.safetensors    the parameters
//! <step>/moments.safetensors    the optimiser's moments
//! <step>/curve.json             the curve so far; its last step is the cursor over batches, schedule and streams
//! <step>/digests.json           BLAKE3 of the three: what a kill or a bad disk left is not taken up
//! ```

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use ablate_core::{Digest, StageError, rows::Step};
use ablate_models::params::ParamStore;
use candle_core::Device;

use crate::optimizer::Optimizer;

const WEIGHTS: &str = "weights.safetensors";
const MOMENTS: &str = "moments.safetensors";
const CURVE: &str = "curve.json";
const DIGESTS: &str = "digests.json";

/// Where checkpoints are, and when one is due.
pub struct Checkpoints<'a> {
    /// The folder, this run's own.
    pub folder: PathBuf,
    /// Whether it is time to write one.
    pub due: &'a dyn Fn() -> bool,
}

impl Checkpoints<'_> {
    /// Writes a checkpoint behind the last step of `curve`; the one before goes when this one stands.
    pub(crate) fn save(
        &self,
        store: &ParamStore,
        optimizer: &Optimizer,
        curve: &[Step],
    ) -> Result<(), StageError> {
        let partial = self.folder.join("partial");
        if partial.exists() {
            fs_err::remove_dir_all(&partial)?;
        }
        fs_err::create_dir_all(&partial)?;
        store.save(&partial.join(WEIGHTS))?;
        optimizer.moments()?.save(&partial.join(MOMENTS))?;
        fs_err::write(partial.join(CURVE), serde_json::to_vec(curve)?)?;
        let digests = digests(&partial)?;
        fs_err::write(partial.join(DIGESTS), serde_json::to_vec(&digests)?)?;
        for file in [WEIGHTS, MOMENTS, CURVE, DIGESTS] {
            fs_err::File::open(partial.join(file))?.sync_all()?;
        }
        let earlier = self.steps()?;
        fs_err::rename(&partial, self.folder.join(curve.len().to_string()))?;
        for step in earlier {
            fs_err::remove_dir_all(self.folder.join(step.to_string()))?;
        }
        Ok(())
    }

    /// Puts the last sound checkpoint into `store` and `optimizer`; the curve so far, empty if there is none.
    pub(crate) fn restore(
        &self,
        store: &ParamStore,
        optimizer: &mut Optimizer,
    ) -> Result<Vec<Step>, StageError> {
        for step in self.steps()?.into_iter().rev() {
            let folder = self.folder.join(step.to_string());
            if is_sound(&folder) {
                let curve: Vec<Step> = serde_json::from_slice(&fs_err::read(folder.join(CURVE))?)?;
                for (name, value) in ParamStore::load(&folder.join(WEIGHTS), &Device::Cpu)?.iter() {
                    let variable = store.get(name).ok_or_else(|| unknown(name))?;
                    variable.set(&value.to_device(variable.device())?)?;
                }
                let moments = ParamStore::load(&folder.join(MOMENTS), &Device::Cpu)?;
                optimizer.restore(store, &moments, curve.len() as u32)?;
                return Ok(curve);
            }
        }
        Ok(vec![])
    }

    /// The steps that have a checkpoint, in order.
    fn steps(&self) -> Result<Vec<usize>, StageError> {
        let mut steps = Vec::new();
        for entry in fs_err::read_dir(&self.folder)? {
            steps.extend(entry?.file_name().to_string_lossy().parse::<usize>());
        }
        steps.sort_unstable();
        Ok(steps)
    }
}

fn unknown(name: &str) -> StageError {
    StageError::new(format!("the checkpoint holds `{name}`, which the model has not"))
}

fn digests(folder: &Path) -> Result<BTreeMap<String, String>, StageError> {
    let digest = |file: &str| -> Result<_, StageError> {
        let bytes = fs_err::read(folder.join(file))?;
        Ok((file.to_owned(), Digest::of(&bytes).to_string()))
    };
    [WEIGHTS, MOMENTS, CURVE].into_iter().map(digest).collect()
}

fn is_sound(folder: &Path) -> bool {
    let written = fs_err::read(folder.join(DIGESTS)).ok();
    let written = written.and_then(|bytes| serde_json::from_slice::<BTreeMap<String, String>>(&bytes).ok());
    written.is_some() && written == digests(folder).ok()
}
