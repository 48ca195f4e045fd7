//! Tensors by name, and matrices and norms made of them.

use ablate_core::StageError;

use super::NormKind;
use crate::ops::product::Blocks;

/// A tensor asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name in the file.
    pub name: String,
    /// The shape it must have.
    pub shape: Vec<usize>,
    /// Which part of its outermost dimension is meant; all if none.
    pub part: Option<usize>,
}

impl TensorSpec {
    /// A whole tensor.
    pub fn new(name: impl Into<String>, shape: &[usize]) -> Self {
        Self {
            name: name.into(),
            shape: shape.to_vec(),
            part: None,
        }
    }

    /// Values before those meant, and how many are meant.
    pub fn range(&self) -> (usize, usize) {
        match self.part {
            Some(part) => {
                let count = self.shape.iter().skip(1).product();
                (part * count, count)
            }
            None => (0, self.shape.iter().product()),
        }
    }

    /// Why a tensor that has the shape `found` is not this one.
    pub fn mismatch(&self, found: Option<&[usize]>) -> Option<String> {
        match found {
            None => Some(format!("tensor `{}` is missing", self.name)),
            Some(found) if found != self.shape => Some(format!(
                "tensor `{}` has the shape {found:?}, expected {:?}",
                self.name, self.shape
            )),
            Some(_) => None,
        }
    }
}

/// Where weights come from.
pub trait Weights {
    /// Names the file or folder.
    fn place(&self) -> String;

    /// What is wrong with a tensor; nothing if it can be taken.
    fn problem(&self, tensor: &TensorSpec) -> Option<String>;

    /// The values of a tensor, row-major.
    fn take(&mut self, tensor: &TensorSpec) -> Result<Vec<f32>, StageError>;

    /// The same as integers with scales, where it is kept so.
    fn blocks(&mut self, _tensor: &TensorSpec) -> Result<Option<Blocks>, StageError> {
        Ok(None)
    }
}

/// A linear layer asked for, `(out, in)`.
#[derive(Clone)]
pub(super) struct MatrixSpec {
    /// Stacked by outputs.
    pub(super) parts: Vec<TensorSpec>,
    /// Likewise; empty if it has none.
    pub(super) biases: Vec<TensorSpec>,
    pub(super) cols: usize,
    /// Whether the file has it as `(in, out)`.
    pub(super) transposed: bool,
}

/// The numbers of a linear layer, `(out, in)`.
pub(super) struct Linear {
    pub(super) weight: Vec<f32>,
    pub(super) bias: Option<Vec<f32>>,
    pub(super) rows: usize,
    pub(super) cols: usize,
}

impl MatrixSpec {
    pub(super) fn tensors(&self) -> impl Iterator<Item = &TensorSpec> {
        self.parts.iter().chain(&self.biases)
    }

    pub(super) fn take(&self, weights: &mut dyn Weights) -> Result<Linear, StageError> {
        let mut weight = stack(&self.parts, weights)?;
        let (cols, rows) = (self.cols, weight.len() / self.cols.max(1));
        if self.transposed {
            weight = transposed(&weight, rows);
        }
        Ok(Linear {
            weight,
            bias: self.bias(weights)?,
            rows,
            cols,
        })
    }

    pub(super) fn bias(&self, weights: &mut dyn Weights) -> Result<Option<Vec<f32>>, StageError> {
        match self.biases.as_slice() {
            [] => Ok(None),
            biases => stack(biases, weights).map(Some),
        }
    }
}

fn stack(parts: &[TensorSpec], weights: &mut dyn Weights) -> Result<Vec<f32>, StageError> {
    let mut all = Vec::new();
    for part in parts {
        match all.is_empty() {
            true => all = weights.take(part)?,
            false => all.extend(weights.take(part)?),
        }
    }
    Ok(all)
}

/// The transpose of a matrix of so many columns.
pub(super) fn transposed(matrix: &[f32], cols: usize) -> Vec<f32> {
    let column = |c: usize| matrix.iter().skip(c).step_by(cols).copied();
    (0..cols).flat_map(column).collect()
}

/// A norm asked for.
#[derive(Clone)]
pub(super) struct NormSpec {
    pub(super) weight: TensorSpec,
    pub(super) bias: Option<TensorSpec>,
    /// Added to the weights.
    pub(super) offset: f32,
    pub(super) epsilon: f32,
}

/// The numbers of a norm.
#[derive(Clone)]
pub(super) struct Norm<T> {
    pub(super) weight: T,
    /// There is one in a layer norm, and none in an RMS norm.
    pub(super) bias: Option<T>,
    pub(super) epsilon: f32,
}

impl NormSpec {
    pub(super) fn new(name: &str, width: usize, kind: NormKind, (offset, epsilon): (f32, f64)) -> Self {
        let tensor = |part: &str| TensorSpec::new(format!("{name}.{part}"), &[width]);
        Self {
            weight: tensor("weight"),
            bias: (kind == NormKind::Layer).then(|| tensor("bias")),
            offset,
            epsilon: epsilon as f32,
        }
    }

    pub(super) fn tensors(&self) -> impl Iterator<Item = &TensorSpec> {
        [&self.weight].into_iter().chain(&self.bias)
    }

    pub(super) fn take(&self, weights: &mut dyn Weights) -> Result<Norm<Vec<f32>>, StageError> {
        let weight = weights.take(&self.weight)?;
        Ok(Norm {
            weight: weight.into_iter().map(|x| x + self.offset).collect(),
            bias: self.bias.as_ref().map(|bias| weights.take(bias)).transpose()?,
            epsilon: self.epsilon,
        })
    }
}
