//! The parameters of a decoder in training: what is trained, and what stays as it is.

use std::collections::BTreeMap;

use ablate_core::{Seed, StageError};
use candle_core::{DType, Device, Result, Tensor};

use super::{Lora, graph::Module};
use crate::{
    Mode,
    decoder::{
        TensorSpec, Weights,
        build::Build,
        weights::{MatrixSpec, Norm, NormSpec, transposed},
    },
    ops::{dropout, product_nn},
    params::ParamStore,
};

/// Parameters by the names of a checkpoint, matrices as `(out, in)`, norms as they multiply.
pub(super) struct Parameters {
    /// What stays as it is.
    pub(super) base: BTreeMap<String, Tensor>,
    /// What is trained: all of it, or adapters beside it under peft's names.
    pub(super) store: ParamStore,
    pub(super) lora: Option<Lora>,
}

/// Frozen weights, adapters and their scaling.
pub(super) type Adapters = (Vec<Tensor>, Vec<[Tensor; 2]>, f64);

/// What begins the names of peft's adapters.
const PEFT: &str = "base_model.model.";

/// The names of an adapter's matrices A, `(rank, in)`, and B, `(out, rank)`.
fn adapter(module: &str) -> [String; 2] {
    ["A", "B"].map(|matrix| format!("{PEFT}{module}.lora_{matrix}.weight"))
}

impl Parameters {
    /// All of `tensors` are trained.
    pub(super) fn trained(tensors: &BTreeMap<String, Tensor>) -> Result<Self> {
        let mut store = ParamStore::default();
        tensors
            .iter()
            .try_for_each(|(name, value)| store.insert(name, value))?;
        Ok(Self {
            base: BTreeMap::new(),
            store,
            lora: None,
        })
    }

    /// `base` stays as it is; adapters of these modules, `(name, out, in)`, are trained: A uniform within 1/√in, as
    /// peft's (Kaiming's with a = √5), from the stream of its name below `seed`, and B zero.
    pub(super) fn adapted(
        base: BTreeMap<String, Tensor>,
        lora: &Lora,
        modules: &[(String, usize, usize)],
        seed: &Seed,
        device: &Device,
    ) -> Result<Self> {
        let mut store = ParamStore::default();
        for (name, out, width) in modules.iter().filter(|(name, ..)| lora.targets_module(name)) {
            let [a, b] = adapter(name);
            let (mut stream, bound) = (seed.child(&a).stream(), 1.0 / (*width as f64).sqrt());
            let number = |_| ((2.0 * stream.uniform() - 1.0) * bound) as f32;
            let numbers: Vec<f32> = (0..lora.rank * width).map(number).collect();
            store.insert(&a, &Tensor::from_vec(numbers, (lora.rank, *width), device)?)?;
            store.insert(&b, &Tensor::zeros((*out, lora.rank), DType::F32, device)?)?;
        }
        let lora = Some(lora.clone());
        Ok(Self { base, store, lora })
    }

    /// The value of a parameter, part of the gradient's graph if it is trained.
    pub(super) fn value(&self, name: &str, mode: Mode<'_>) -> Result<Tensor> {
        match self.base.get(name) {
            Some(value) => Ok(value.clone()),
            None => self.store.value(name, mode.is_training()),
        }
    }

    /// What the adapter of a layer adds to its answer: scaling · B A dropout(x) (Hu et al., 2022).
    pub(super) fn added(&self, module: &str, x: &Tensor, mode: Mode<'_>) -> Result<Option<Tensor>> {
        let [a, b] = adapter(module);
        let Some(lora) = self.lora.as_ref().filter(|_| self.store.get(&a).is_some()) else {
            return Ok(None);
        };
        let x = dropout(x, mode.dropout(module, lora.dropout))?;
        let product = |x: &Tensor, name: &str| mode.precision().linear(x, &self.value(name, mode)?, None);
        Ok(Some((product(&product(&x, &a)?, &b)? * lora.scaling())?))
    }

    /// The frozen weights of layers, their matrices A and B, and what these are multiplied by; `None` unless all have adapters, and if
    /// what they read is dropped.
    pub(super) fn adapters(&self, layers: &[&str], mode: Mode<'_>) -> Result<Option<Adapters>> {
        let Some(lora) = &self.lora else {
            return Ok(None);
        };
        let whole = |layer: &&str| {
            let frozen = self.base.contains_key(&format!("{layer}.weight"));
            let [a, _] = adapter(layer);
            frozen && self.store.get(&a).is_some() && mode.dropout(layer, lora.dropout).is_none()
        };
        if !layers.iter().all(whole) {
            return Ok(None);
        }
        let weights = layers
            .iter()
            .map(|layer| self.value(&format!("{layer}.weight"), mode));
        let adapters = layers.iter().map(|layer| {
            let [a, b] = adapter(layer);
            Ok([self.value(&a, mode)?, self.value(&b, mode)?])
        });
        let (weights, adapters) = (weights.collect::<Result<_>>()?, adapters.collect::<Result<_>>()?);
        Ok(Some((weights, adapters, lora.scaling())))
    }

    /// A layer's weight with its adapter in it, `(out, in)`.
    pub(super) fn merged(&self, module: &str) -> Result<Tensor> {
        let weight = self.value(&format!("{module}.weight"), Mode::Inference)?;
        let [a, b] = adapter(module);
        match self.lora.as_ref().filter(|_| self.store.get(&a).is_some()) {
            None => Ok(weight),
            Some(lora) => {
                let (a, b) = (self.value(&a, Mode::Inference)?, self.value(&b, Mode::Inference)?);
                weight + (product_nn(&b, &a)? * lora.scaling())?
            }
        }
    }
}

/// Reads the tensors of a checkpoint.
pub(super) struct Read<'w> {
    pub(super) weights: &'w mut dyn Weights,
    pub(super) device: Device,
    pub(super) tensors: BTreeMap<String, Tensor>,
    /// The linear layers: name, outputs, inputs.
    pub(super) modules: Vec<(String, usize, usize)>,
}

/// The name of a layer, given that of its weight.
pub(super) fn module_of(tensor: &TensorSpec) -> String {
    let name = tensor.name.as_str();
    name.strip_suffix(".weight").unwrap_or(name).to_owned()
}

impl Read<'_> {
    fn vector(
        &mut self,
        tensor: &TensorSpec,
        change: impl Fn(f32) -> f32,
    ) -> std::result::Result<String, StageError> {
        let numbers: Vec<f32> = self.weights.take(tensor)?.into_iter().map(change).collect();
        self.keep(tensor, numbers, &[tensor.shape[0]])
    }

    fn keep(
        &mut self,
        tensor: &TensorSpec,
        numbers: Vec<f32>,
        shape: &[usize],
    ) -> std::result::Result<String, StageError> {
        let value = Tensor::from_vec(numbers, shape, &self.device)?;
        self.tensors.insert(tensor.name.clone(), value);
        Ok(tensor.name.clone())
    }
}

impl Build for Read<'_> {
    type Matrix = Vec<Module>;
    type Norm = Norm<String>;
    type Table = String;

    fn matrix(&mut self, spec: MatrixSpec) -> std::result::Result<Vec<Module>, StageError> {
        let mut modules = Vec::new();
        for part in &spec.parts {
            let mut numbers = self.weights.take(part)?;
            let rows = numbers.len() / spec.cols.max(1);
            if spec.transposed {
                numbers = transposed(&numbers, rows);
            }
            self.keep(part, numbers, &[rows, spec.cols])?;
            let (name, bias) = (module_of(part), !spec.biases.is_empty());
            self.modules.push((name.clone(), rows, spec.cols));
            modules.push(Module { name, bias });
        }
        for bias in &spec.biases {
            self.vector(bias, |x| x)?;
        }
        Ok(modules)
    }

    fn norm(&mut self, spec: NormSpec) -> std::result::Result<Norm<String>, StageError> {
        let bias = spec.bias.as_ref().map(|bias| self.vector(bias, |x| x));
        Ok(Norm {
            weight: self.vector(&spec.weight, |x| x + spec.offset)?,
            bias: bias.transpose()?,
            epsilon: spec.epsilon,
        })
    }

    fn table(&mut self, spec: TensorSpec) -> std::result::Result<String, StageError> {
        let numbers = self.weights.take(&spec)?;
        self.keep(&spec, numbers, &spec.shape)?;
        Ok(module_of(&spec))
    }
}
