//! BERT encoders (Devlin et al., 2019) and RoBERTa's (Liu et al., 2019; XLM-R: Conneau et al., 2020), which count
//! positions from behind the padding token's: `BertModel` and `RobertaModel` of the transformers library, with their
//! tensor names.

use ablate_core::StageError;
use candle_core::{Result, Tensor};
use serde::Deserialize;

use crate::{Mode, ops::Segments, params::ParamStore, pass::Pass};

/// The tokens of a ragged batch: texts one after the other, without padding.
#[derive(Clone, Debug)]
pub struct Tokens {
    ids: Vec<u32>,
    types: Vec<u32>,
    segments: Segments,
}

impl Tokens {
    /// A batch of single texts (token type 0).
    pub fn new<T: AsRef<[u32]>>(texts: &[T]) -> Self {
        let ids = texts.iter().flat_map(AsRef::as_ref).copied().collect::<Vec<_>>();
        let segments = Segments::new(texts.iter().map(|text| text.as_ref().len()));
        Self {
            types: vec![0; ids.len()],
            ids,
            segments,
        }
    }

    /// The same with a token type for every token.
    ///
    /// # Panics
    /// If their numbers differ.
    #[must_use]
    pub fn with_types(self, types: Vec<u32>) -> Self {
        assert_eq!(types.len(), self.ids.len(), "a type for every token");
        Self { types, ..self }
    }

    /// Where each text stands.
    pub fn segments(&self) -> &Segments {
        &self.segments
    }

    /// Token ids, text after text.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The place of every token in its text, from `first`.
    pub(crate) fn positions(&self, first: u32) -> Vec<u32> {
        self.segments
            .lengths()
            .iter()
            .flat_map(|length| first..first + *length as u32)
            .collect()
    }
}

/// Where an encoder counts positions from, and what its parameters are called below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// From 0.
    #[default]
    Bert,
    /// From behind the padding token's id.
    Roberta,
    /// RoBERTa over a vocabulary of many languages.
    XlmRoberta,
}

impl Family {
    /// transformers' class of a classifier over such an encoder.
    pub fn classifier(self) -> &'static str {
        match self {
            Self::Bert => "BertForSequenceClassification",
            Self::Roberta => "RobertaForSequenceClassification",
            Self::XlmRoberta => "XLMRobertaForSequenceClassification",
        }
    }

    /// The names of the two layers of the head in that class.
    pub(crate) fn head(self) -> [String; 2] {
        match self {
            Self::Bert => ["bert.pooler.dense", "classifier"],
            Self::Roberta | Self::XlmRoberta => ["classifier.dense", "classifier.out_proj"],
        }
        .map(str::to_owned)
    }

    /// What that class calls a parameter of an encoder or a classifier; `None` for those of other heads.
    pub(crate) fn classifier_name(self, name: &str) -> Option<String> {
        let prefix = if self == Self::Bert { "bert." } else { "roberta." };
        let bare = ["embeddings.", "encoder.", "pooler."];
        if bare.iter().any(|part| name.starts_with(part)) {
            return Some(format!("{prefix}{name}"));
        }
        let known = name.starts_with(prefix) || name.starts_with("classifier");
        known.then(|| name.to_owned())
    }
}

/// What encoders of the family differ in, read from `config.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    /// Which of the family it is.
    #[serde(default)]
    pub model_type: Family,
    /// The padding token.
    #[serde(default)]
    pub pad_token_id: usize,
    /// Entries of the vocabulary.
    pub vocab_size: usize,
    /// Width of a token's state.
    pub hidden_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Heads of the attention.
    pub num_attention_heads: usize,
    /// Width within the feed-forward network.
    pub intermediate_size: usize,
    /// Activation of the feed-forward network; only `gelu` is known.
    #[serde(default = "gelu")]
    pub hidden_act: String,
    /// Dropout of embeddings and sublayers.
    #[serde(default = "tenth")]
    pub hidden_dropout_prob: f32,
    /// Dropout of attention weights.
    #[serde(default = "tenth")]
    pub attention_probs_dropout_prob: f32,
    /// Rows of the table of positions.
    pub max_position_embeddings: usize,
    /// Kinds of token.
    #[serde(default = "two")]
    pub type_vocab_size: usize,
    /// ε of the layer normalisations.
    #[serde(default = "epsilon")]
    pub layer_norm_eps: f64,
}

fn gelu() -> String {
    "gelu".into()
}
fn tenth() -> f32 {
    0.1
}
fn two() -> usize {
    2
}
fn epsilon() -> f64 {
    1e-12
}

impl Config {
    /// The position of a text's first token.
    fn first_position(&self) -> usize {
        match self.model_type {
            Family::Bert => 0,
            Family::Roberta | Family::XlmRoberta => self.pad_token_id + 1,
        }
    }

    /// Tokens of the longest text.
    pub fn longest(&self) -> usize {
        self.max_position_embeddings.saturating_sub(self.first_position())
    }

    /// Refuses what this implementation does not compute.
    fn check(&self) -> std::result::Result<(), StageError> {
        check_heads(self.hidden_size, self.num_attention_heads)?;
        check_activation("hidden_act", &self.hidden_act)
    }
}

/// Refuses a state that does not divide into heads.
pub(crate) fn check_heads(hidden: usize, heads: usize) -> std::result::Result<(), StageError> {
    if heads == 0 || !hidden.is_multiple_of(heads) {
        return Err(StageError::new(format!(
            "config.json: {hidden} is not divisible into {heads} heads"
        )));
    }
    Ok(())
}

/// Refuses activations other than GELU.
pub(crate) fn check_activation(field: &str, name: &str) -> std::result::Result<(), StageError> {
    match name {
        "gelu" => Ok(()),
        other => Err(StageError::with_help(
            format!("config.json: `{field}: {other}` is not supported"),
            "use an encoder whose activation is `gelu`",
        )),
    }
}

/// A BERT encoder. Its parameters stand in a [`ParamStore`] beside it.
#[derive(Clone, Debug)]
pub struct Bert {
    config: Config,
    prefix: &'static str,
}

impl Bert {
    /// An encoder of this configuration over the parameters of `store`, whose names may start with `bert.` or `roberta.`.
    ///
    /// # Errors
    /// If a parameter is missing or has another shape than the configuration says.
    pub fn new(config: Config, store: &ParamStore) -> std::result::Result<Self, StageError> {
        config.check()?;
        let stands = |prefix: &&str| {
            let words = format!("{prefix}embeddings.word_embeddings.weight");
            store.get(&words).is_some()
        };
        let prefix = ["bert.", "roberta."].into_iter().find(stands).unwrap_or_default();
        let bert = Self { config, prefix };
        store.expect(&bert.shapes())?;
        Ok(bert)
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What the names of the parameters start with: `bert.`, `roberta.` or nothing.
    pub fn prefix(&self) -> &'static str {
        self.prefix
    }

    /// The state of every token after the last layer: `(tokens, hidden_size)`.
    ///
    /// # Errors
    /// If a text has more tokens than [`Config::longest`].
    pub fn forward(&self, store: &ParamStore, tokens: &Tokens, mode: Mode<'_>) -> Result<Tensor> {
        let pass = Pass {
            store: store.clone(),
            segments: tokens.segments().clone(),
            mode: mode.inside(),
            heads: self.config.num_attention_heads,
            epsilon: self.config.layer_norm_eps,
            hidden_dropout: self.config.hidden_dropout_prob,
            attention_dropout: self.config.attention_probs_dropout_prob,
        };
        let (bert, tokens) = (self.clone(), tokens.clone());
        let name = |layer| format!("{}encoder.layer.{layer}", self.prefix);
        let layers = (0..self.config.num_hidden_layers).map(name);
        pass.through(mode, move |pass| bert.embed(pass, &tokens), layers, block)
    }

    fn embed(&self, pass: &Pass, tokens: &Tokens) -> Result<Tensor> {
        let name = |part: &str| format!("{}embeddings.{part}", self.prefix);
        let words = pass.embedding(&name("word_embeddings.weight"), tokens.ids())?;
        let first = self.config.first_position();
        let positions = pass.positions(tokens, first, &name("position_embeddings.weight"))?;
        let types = pass.embedding(&name("token_type_embeddings.weight"), &tokens.types)?;
        let x = ((words + types)? + positions)?;
        let x = pass.layer_norm(&x, &name("LayerNorm"))?;
        pass.dropout(&x, "embeddings")
    }

    /// Every parameter of the encoder and its shape; a pooler or a head beside it is not looked at.
    fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        let Config {
            hidden_size: hidden,
            intermediate_size: inner,
            ..
        } = self.config;
        let mut shapes = vec![
            (
                "embeddings.word_embeddings.weight".to_owned(),
                vec![self.config.vocab_size, hidden],
            ),
            (
                "embeddings.position_embeddings.weight".into(),
                vec![self.config.max_position_embeddings, hidden],
            ),
            (
                "embeddings.token_type_embeddings.weight".into(),
                vec![self.config.type_vocab_size, hidden],
            ),
        ];
        shapes.extend(with_bias("embeddings.LayerNorm", vec![hidden]));
        for layer in 0..self.config.num_hidden_layers {
            let name = |part: &str| format!("encoder.layer.{layer}.{part}");
            for part in ["self.query", "self.key", "self.value", "output.dense"] {
                shapes.extend(with_bias(
                    &name(&format!("attention.{part}")),
                    vec![hidden, hidden],
                ));
            }
            shapes.extend(with_bias(&name("attention.output.LayerNorm"), vec![hidden]));
            shapes.extend(with_bias(&name("intermediate.dense"), vec![inner, hidden]));
            shapes.extend(with_bias(&name("output.dense"), vec![hidden, inner]));
            shapes.extend(with_bias(&name("output.LayerNorm"), vec![hidden]));
        }
        shapes
            .into_iter()
            .map(|(name, shape)| (format!("{}{name}", self.prefix), shape))
            .collect()
    }
}

/// A weight and its bias, one number per output.
pub(crate) fn with_bias(name: &str, shape: Vec<usize>) -> [(String, Vec<usize>); 2] {
    let outputs = shape[0];
    [
        (format!("{name}.weight"), shape),
        (format!("{name}.bias"), vec![outputs]),
    ]
}

/// One layer: attention, then the feed-forward network, each added to its input and normalised.
fn block(pass: &Pass, x: &Tensor, name: &str) -> Result<Tensor> {
    let heads = ["query", "key", "value"];
    let mixed = pass.attention(x, &format!("{name}.attention.self"), heads)?;
    let mixed = pass.linear(&mixed, &format!("{name}.attention.output.dense"))?;
    let mixed = pass.dropout(&mixed, &format!("{name}.attention.output"))?;
    let x = pass.layer_norm(&(mixed + x)?, &format!("{name}.attention.output.LayerNorm"))?;
    let layers = [
        &format!("{name}.intermediate.dense"),
        &format!("{name}.output.dense"),
    ];
    let outer = pass.feed_forward(&x, layers.map(String::as_str))?;
    let outer = pass.dropout(&outer, &format!("{name}.output"))?;
    pass.layer_norm(&(outer + &x)?, &format!("{name}.output.LayerNorm"))
}
