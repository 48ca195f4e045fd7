//! DistilBERT encoders (Sanh et al., 2019): `DistilBertModel` of the transformers library, with its tensor names.

use ablate_core::StageError;
use candle_core::{Result, Tensor};
use serde::Deserialize;

use crate::{
    Mode,
    bert::{Tokens, check_activation, check_heads, with_bias},
    params::ParamStore,
    pass::Pass,
};

/// `config.json` of a DistilBERT model.
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    /// Entries of the vocabulary.
    pub vocab_size: usize,
    /// Width of a token's state.
    pub dim: usize,
    /// Layers.
    pub n_layers: usize,
    /// Heads of the attention.
    pub n_heads: usize,
    /// Width within the feed-forward network.
    pub hidden_dim: usize,
    /// Activation of the feed-forward network; only `gelu` is known.
    #[serde(default = "gelu")]
    pub activation: String,
    /// Dropout of embeddings and feed-forward networks.
    #[serde(default = "tenth")]
    pub dropout: f32,
    /// Dropout of attention weights.
    #[serde(default = "tenth")]
    pub attention_dropout: f32,
    /// Tokens of the longest text.
    pub max_position_embeddings: usize,
}

fn gelu() -> String {
    "gelu".into()
}
fn tenth() -> f32 {
    0.1
}

/// ε of the layer normalisations: fixed in the architecture.
const EPSILON: f64 = 1e-12;

/// A DistilBERT encoder. Its parameters stand in a [`ParamStore`] beside it.
#[derive(Clone, Debug)]
pub struct DistilBert {
    config: Config,
    prefix: &'static str,
}

impl DistilBert {
    /// An encoder of this configuration over the parameters of `store`, whose names may start with `distilbert.`.
    ///
    /// # Errors
    /// If a parameter is missing or has another shape than the configuration says.
    pub fn new(config: Config, store: &ParamStore) -> std::result::Result<Self, StageError> {
        check_heads(config.dim, config.n_heads)?;
        check_activation("activation", &config.activation)?;
        let prefixed = store
            .get("distilbert.embeddings.word_embeddings.weight")
            .is_some();
        let model = Self {
            config,
            prefix: if prefixed { "distilbert." } else { "" },
        };
        store.expect(&model.shapes())?;
        Ok(model)
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What the names of the parameters start with: `distilbert.` or nothing.
    pub fn prefix(&self) -> &'static str {
        self.prefix
    }

    /// The state of every token after the last layer: `(tokens, dim)`. Token types are not looked at.
    ///
    /// # Errors
    /// If a text has more tokens than `max_position_embeddings`.
    pub fn forward(&self, store: &ParamStore, tokens: &Tokens, mode: Mode<'_>) -> Result<Tensor> {
        let pass = Pass {
            store: store.clone(),
            segments: tokens.segments().clone(),
            mode: mode.inside(),
            heads: self.config.n_heads,
            epsilon: EPSILON,
            hidden_dropout: self.config.dropout,
            attention_dropout: self.config.attention_dropout,
        };
        let (model, tokens) = (self.clone(), tokens.clone());
        let name = |layer| format!("{}transformer.layer.{layer}", self.prefix);
        let layers = (0..self.config.n_layers).map(name);
        pass.through(mode, move |pass| model.embed(pass, &tokens), layers, block)
    }

    fn embed(&self, pass: &Pass, tokens: &Tokens) -> Result<Tensor> {
        let name = |part: &str| format!("{}embeddings.{part}", self.prefix);
        let words = pass.embedding(&name("word_embeddings.weight"), tokens.ids())?;
        let positions = pass.positions(tokens, 0, &name("position_embeddings.weight"))?;
        let x = pass.layer_norm(&(words + positions)?, &name("LayerNorm"))?;
        pass.dropout(&x, "embeddings")
    }

    fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        let Config {
            dim,
            hidden_dim: inner,
            ..
        } = self.config;
        let mut shapes = vec![
            (
                "embeddings.word_embeddings.weight".to_owned(),
                vec![self.config.vocab_size, dim],
            ),
            (
                "embeddings.position_embeddings.weight".into(),
                vec![self.config.max_position_embeddings, dim],
            ),
        ];
        shapes.extend(with_bias("embeddings.LayerNorm", vec![dim]));
        for layer in 0..self.config.n_layers {
            let name = |part: &str| format!("transformer.layer.{layer}.{part}");
            for part in ["q_lin", "k_lin", "v_lin", "out_lin"] {
                shapes.extend(with_bias(&name(&format!("attention.{part}")), vec![dim, dim]));
            }
            shapes.extend(with_bias(&name("sa_layer_norm"), vec![dim]));
            shapes.extend(with_bias(&name("ffn.lin1"), vec![inner, dim]));
            shapes.extend(with_bias(&name("ffn.lin2"), vec![dim, inner]));
            shapes.extend(with_bias(&name("output_layer_norm"), vec![dim]));
        }
        shapes
            .into_iter()
            .map(|(name, shape)| (format!("{}{name}", self.prefix), shape))
            .collect()
    }
}

/// One layer: attention, then the feed-forward network, each added to its input and normalised.
fn block(pass: &Pass, x: &Tensor, name: &str) -> Result<Tensor> {
    let attention = format!("{name}.attention");
    let mixed = pass.attention(x, &attention, ["q_lin", "k_lin", "v_lin"])?;
    let mixed = pass.linear(&mixed, &format!("{attention}.out_lin"))?;
    let x = pass.layer_norm(&(mixed + x)?, &format!("{name}.sa_layer_norm"))?;
    let layers = [&format!("{name}.ffn.lin1"), &format!("{name}.ffn.lin2")];
    let outer = pass.feed_forward(&x, layers.map(String::as_str))?;
    let outer = pass.dropout(&outer, &format!("{name}.ffn"))?;
    pass.layer_norm(&(outer + &x)?, &format!("{name}.output_layer_norm"))
}
