//! Low-rank adapters as peft keeps them (Hu et al. 2022), merged into the weights of their base as these are taken.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::Path,
};

use ablate_core::StageError;
use candle_core::Device;
use serde::Deserialize;

use super::{Config, Layout, TensorSpec, Weights, build::expected_tensors, weights::transposed};
use crate::{
    files::json,
    ops::product::{Blocks, Matrix, Packed, product},
    params::{ParamStore, to_vec},
};

/// The weights of a base model with an adapter in them, W + s · B A.
pub(crate) struct Adapted {
    base: Box<dyn Weights>,
    /// By the name of a weight.
    layers: BTreeMap<String, Adapter>,
    transposed: bool,
}

/// An adapter of one layer, its answer's factor in `b`.
struct Adapter {
    /// `rank × in`.
    a: Vec<f32>,
    /// `out × rank`.
    b: Vec<f32>,
    rank: usize,
    outputs: usize,
    inputs: usize,
}

/// What peft's adapter_config.json says.
#[derive(Deserialize)]
struct About {
    peft_type: String,
    r: usize,
    lora_alpha: f64,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
    #[serde(default)]
    rank_pattern: BTreeMap<String, usize>,
    #[serde(default)]
    alpha_pattern: BTreeMap<String, f64>,
}

impl About {
    /// The factor of an adapter's answer.
    fn scaling(&self) -> f64 {
        let rank = self.r as f64;
        self.lora_alpha / if self.use_rslora { rank.sqrt() } else { rank }
    }

    /// What it asks for that is not done here.
    fn unknown(&self) -> Option<&'static str> {
        let patterns = !self.rank_pattern.is_empty() || !self.alpha_pattern.is_empty();
        match () {
            () if self.peft_type != "LORA" => Some("is no LoRA adapter"),
            () if self.use_dora => Some("is a DoRA adapter, which is not read"),
            () if patterns => Some("has ranks or factors that differ by layer, which is not read"),
            () if self.r == 0 => Some("has rank 0"),
            () => None,
        }
    }
}

/// What begins and ends the names of an adapter's tensors.
const START: &str = "base_model.model.";
const A: &str = ".lora_A.weight";
const B: &str = ".lora_B.weight";

impl Adapted {
    /// `base`, laid out as `layout`, with the adapter of a folder, or of `adapter` in it, where trainers put it.
    ///
    /// # Errors
    /// If the adapter is of another kind or of another base; the message names the tensor.
    pub(crate) fn open(
        base: Box<dyn Weights>,
        folder: &Path,
        config: &Config,
        layout: &Layout,
    ) -> Result<Self, StageError> {
        let inner = folder.join("adapter");
        let folder = if inner.is_dir() { inner.as_path() } else { folder };
        let refuse = |what: String| {
            StageError::with_help(
                format!("the adapter `{}` {what}", folder.display()),
                format!("use an adapter that was trained on {}", base.place()),
            )
        };
        let about: About = json(&folder.join("adapter_config.json"))?;
        if let Some(what) = about.unknown() {
            return Err(refuse(what.to_owned()));
        }
        let store = ParamStore::load(&folder.join("adapter_model.safetensors"), &Device::Cpu)?;
        let mut shapes = BTreeMap::new();
        for tensor in expected_tensors(config, layout)? {
            if let ([rows, cols], None) = (tensor.shape.as_slice(), tensor.part) {
                let sizes = if layout.transposed {
                    (*cols, *rows)
                } else {
                    (*rows, *cols)
                };
                shapes.insert(tensor.name, sizes);
            }
        }
        let mut layers = BTreeMap::new();
        for (name, _) in store.iter() {
            let module = name
                .strip_prefix(START)
                .and_then(|name| name.strip_suffix(A).or(name.strip_suffix(B)));
            let weight = module.map(|module| format!("{module}.weight"));
            let found = weight.and_then(|weight| Some((*shapes.get(&weight)?, weight)));
            let Some((sizes, weight)) = found else {
                return Err(refuse(format!(
                    "has the tensor `{name}`, which belongs to no layer of the model"
                )));
            };
            if let Entry::Vacant(entry) = layers.entry(weight) {
                let adapter = read(&store, entry.key(), &about, sizes).map_err(refuse)?;
                entry.insert(adapter);
            }
        }
        match layers.is_empty() {
            true => Err(refuse("has no tensors".into())),
            false => Ok(Self {
                base,
                layers,
                transposed: layout.transposed,
            }),
        }
    }
}

/// The adapter of a weight of so many outputs and inputs; else what is wrong with it.
fn read(
    store: &ParamStore,
    weight: &str,
    about: &About,
    (outputs, inputs): (usize, usize),
) -> Result<Adapter, String> {
    let module = weight.strip_suffix(".weight").unwrap_or(weight);
    let numbers = |end: &str, shape: [usize; 2]| {
        let name = format!("{START}{module}{end}");
        let Some(tensor) = store.get(&name) else {
            return Err(format!("lacks the tensor `{name}`"));
        };
        if tensor.dims() != shape {
            let found = tensor.dims();
            return Err(format!(
                "has the tensor `{name}` of the shape {found:?}, expected {shape:?}"
            ));
        }
        to_vec(tensor).map_err(|error| format!("has the tensor `{name}`, which cannot be read: {error}"))
    };
    let (a, mut b) = (numbers(A, [about.r, inputs])?, numbers(B, [outputs, about.r])?);
    let scaling = about.scaling() as f32;
    b.iter_mut().for_each(|x| *x *= scaling);
    Ok(Adapter {
        a,
        b,
        rank: about.r,
        outputs,
        inputs,
    })
}

impl Adapter {
    /// What it adds, `out × in`.
    fn change(&self) -> Vec<f32> {
        let a = Packed::new(Matrix::new(&self.a, self.rank, self.inputs));
        product(Matrix::new(&self.b, self.outputs, self.rank), &a, None)
    }
}

impl Weights for Adapted {
    fn place(&self) -> String {
        self.base.place()
    }

    fn problem(&self, tensor: &TensorSpec) -> Option<String> {
        self.base.problem(tensor)
    }

    fn take(&mut self, tensor: &TensorSpec) -> Result<Vec<f32>, StageError> {
        let mut numbers = self.base.take(tensor)?;
        if let Some(adapter) = self.layers.get(&tensor.name) {
            let mut change = adapter.change();
            if self.transposed {
                change = transposed(&change, adapter.inputs);
            }
            numbers
                .iter_mut()
                .zip(change)
                .for_each(|(x, change)| *x += change);
        }
        Ok(numbers)
    }

    fn blocks(&mut self, tensor: &TensorSpec) -> Result<Option<Blocks>, StageError> {
        match self.layers.contains_key(&tensor.name) {
            true => Ok(None),
            false => self.base.blocks(tensor),
        }
    }
}
