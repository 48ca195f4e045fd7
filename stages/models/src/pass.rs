//! A pass of a batch through an encoder: what the layers of all architectures are made of.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use crate::{
    Mode, Precision,
    bert::Tokens,
    ops::{self, Segments},
    params::ParamStore,
};

/// One pass over one batch: what every layer needs.
pub(crate) struct Pass {
    pub(crate) store: ParamStore,
    pub(crate) segments: Segments,
    /// That inside a layer.
    pub(crate) mode: Mode<'static>,
    pub(crate) heads: usize,
    pub(crate) epsilon: f64,
    pub(crate) hidden_dropout: f32,
    pub(crate) attention_dropout: f32,
}

impl Pass {
    pub(crate) fn value(&self, name: &str) -> Result<Tensor> {
        self.store.value(name, self.mode.is_training())
    }

    /// `x Wᵀ + b` with the parameters below `name`.
    pub(crate) fn linear(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        let (weight, bias) = (
            self.value(&format!("{name}.weight"))?,
            self.value(&format!("{name}.bias"))?,
        );
        self.mode.precision().linear(x, &weight, Some(&bias))
    }

    /// Two linear layers, by their names, with GELU between them.
    pub(crate) fn feed_forward(&self, x: &Tensor, layers: [&str; 2]) -> Result<Tensor> {
        if self.mode.precision() != Precision::F32 {
            let inner = ops::gelu(&self.linear(x, layers[0])?)?;
            return self.linear(&inner, layers[1]);
        }
        let load = |layer: &str| {
            let weight = self.value(&format!("{layer}.weight"))?;
            Ok::<_, candle_core::Error>((weight, self.value(&format!("{layer}.bias"))?))
        };
        let ((inner, inner_bias), (outer, outer_bias)) = (load(layers[0])?, load(layers[1])?);
        ops::feed_forward(x, [(&inner, &inner_bias), (&outer, &outer_bias)])
    }

    pub(crate) fn layer_norm(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        let (weight, bias) = (
            self.value(&format!("{name}.weight"))?,
            self.value(&format!("{name}.bias"))?,
        );
        ops::layer_norm(x, &weight, &bias, self.epsilon)
    }

    pub(crate) fn dropout(&self, x: &Tensor, layer: &str) -> Result<Tensor> {
        ops::dropout(x, self.mode.dropout(layer, self.hidden_dropout))
    }

    /// Attention with queries, keys and values from one product.
    pub(crate) fn attention(&self, x: &Tensor, layer: &str, projections: [&str; 3]) -> Result<Tensor> {
        let join = |part: &str| {
            let values = projections.map(|name| self.value(&format!("{layer}.{name}.{part}")));
            Tensor::cat(&values.into_iter().collect::<Result<Vec<_>>>()?, 0)
        };
        let qkv = self
            .mode
            .precision()
            .linear(x, &join("weight")?, Some(&join("bias")?))?;
        let dropout = self.mode.dropout(layer, self.attention_dropout);
        ops::attention(&qkv, &self.segments, self.heads, dropout)
    }

    /// The states after all layers, in this mode: `embedded`, then each of `layers`, by name, through `block`.
    pub(crate) fn through(
        self,
        mode: Mode<'_>,
        embedded: impl Fn(&Self) -> Result<Tensor> + Send + Sync + 'static,
        layers: impl Iterator<Item = String>,
        block: fn(&Self, &Tensor, &str) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let all = Arc::new(self);
        let pass = Arc::clone(&all);
        let mut x = mode.layer(move || embedded(&pass))?;
        for name in layers {
            let pass = Arc::clone(&all);
            x = mode.layer(move || block(&pass, &x, &name))?;
        }
        Ok(x)
    }

    /// The rows `rows` of the table called `name`.
    pub(crate) fn embedding(&self, name: &str, rows: &[u32]) -> Result<Tensor> {
        let table = self.value(name)?;
        let rows = Tensor::new(rows, table.device())?;
        table.index_select(&rows, 0)
    }

    pub(crate) fn positions(&self, tokens: &Tokens, first: usize, name: &str) -> Result<Tensor> {
        self.embedding(name, &tokens.positions(first as u32))
    }
}
