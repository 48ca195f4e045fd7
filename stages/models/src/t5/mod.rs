//! T5 (Raffel et al., 2020), with its variants T5 1.1 and FLAN: `T5ForConditionalGeneration` of the transformers
//! library, with its tensor names. What is computed is the first step of decoding, which is all that monoT5 asks for, and
//! for training the loss of an answer of one word.

mod config;

use std::sync::Arc;

use ablate_core::StageError;
use candle_core::{Result, Tensor};

use config::Stack;
pub use config::{Config, FeedForward};

use crate::{
    Mode,
    bert::Tokens,
    decoder::Activation,
    ops::{self, Attended, Distances, Segments},
    params::ParamStore,
};

/// A T5. Its parameters stand in a [`ParamStore`] beside it.
#[derive(Clone, Debug)]
pub struct T5 {
    config: Config,
}

impl T5 {
    /// A model of this configuration over the parameters of `store`.
    ///
    /// # Errors
    /// If a parameter is missing or has another shape than the configuration says.
    pub fn new(config: Config, store: &ParamStore) -> std::result::Result<Self, StageError> {
        config.check()?;
        store.expect(&shapes(&config))?;
        if store.get(HEAD).is_some() {
            store.expect(&[(HEAD.into(), vec![config.vocab_size, config.d_model])])?;
        }
        Ok(Self { config })
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The logits of the first token that the decoder gives for each text: those of `words`, `(texts, words)`.
    pub fn first_logits(&self, store: &ParamStore, tokens: &Tokens, words: &[u32]) -> Result<Tensor> {
        let pass = self.pass(store, Mode::Inference);
        let memory = pass.encode(tokens, Mode::Inference)?;
        let starts = vec![[self.config.decoder_start_token_id]; tokens.segments().lengths().len()];
        let starts = Tokens::new(&starts);
        let states = pass.decode(&memory, tokens.segments(), &starts, Mode::Inference)?;
        ops::product_nt(&pass.scaled(states)?, &pass.rows(pass.head(), words)?)
    }

    /// The mean cross-entropy of the tokens of each text's answer, a word and the end token, over the whole vocabulary:
    /// what transformers' `T5ForConditionalGeneration` gives for them as `labels`.
    pub fn answer_loss(
        &self,
        store: &ParamStore,
        tokens: &Tokens,
        answers: &[u32],
        mode: Mode<'_>,
    ) -> Result<Tensor> {
        let pass = self.pass(store, mode);
        let memory = pass.encode(tokens, mode)?;
        let Config {
            decoder_start_token_id: start,
            eos_token_id: end,
            ..
        } = self.config;
        let fed: Vec<[u32; 2]> = answers.iter().map(|answer| [start, *answer]).collect();
        let wanted: Vec<u32> = answers.iter().flat_map(|answer| [*answer, end]).collect();
        let states = pass.decode(&memory, tokens.segments(), &Tokens::new(&fed), mode)?;
        let head = pass.value(pass.head())?;
        let logits = mode.precision().linear(&pass.scaled(states)?, &head, None)?;
        candle_nn::loss::cross_entropy(&logits, &Tensor::new(wanted, logits.device())?)
    }

    fn pass(&self, store: &ParamStore, mode: Mode<'_>) -> Arc<Pass> {
        Arc::new(Pass {
            config: self.config.clone(),
            store: store.clone(),
            mode: mode.inside(),
        })
    }
}

/// One pass over one batch.
struct Pass {
    config: Config,
    store: ParamStore,
    /// That inside a layer.
    mode: Mode<'static>,
}

impl Pass {
    /// The state of every token after the encoder, `(tokens, d_model)`.
    fn encode(self: &Arc<Self>, tokens: &Tokens, mode: Mode<'_>) -> Result<Tensor> {
        let distances = Arc::new(self.distances(Stack::Encoder, tokens.segments().longest())?);
        let mut x = self.embed(tokens, Stack::Encoder)?;
        for block in 0..self.config.num_layers {
            let (pass, distances) = (Arc::clone(self), Arc::clone(&distances));
            let segments = tokens.segments().clone();
            x = mode.layer(move || {
                let name = |layer: usize| format!("encoder.block.{block}.layer.{layer}");
                let x = pass.self_attention(x.clone(), &segments, &name(0), (&distances, false))?;
                pass.feed_forward(x, &name(1))
            })?;
        }
        // All layers of the decoder are computed of what this gives.
        let pass = Arc::clone(self);
        mode.layer(move || pass.last(&x, Stack::Encoder))
    }

    /// The state of every token that the decoder is fed, `(fed tokens, d_model)`.
    fn decode(
        self: &Arc<Self>,
        memory: &Tensor,
        segments: &Segments,
        fed: &Tokens,
        mode: Mode<'_>,
    ) -> Result<Tensor> {
        let distances = Arc::new(self.distances(Stack::Decoder, fed.segments().longest())?);
        let mut x = self.embed(fed, Stack::Decoder)?;
        for block in 0..self.config.decoder_layers() {
            let (pass, distances, memory) = (Arc::clone(self), Arc::clone(&distances), memory.clone());
            let (keys, queries) = (segments.clone(), fed.segments().clone());
            x = mode.layer(move || {
                let name = |layer: usize| format!("decoder.block.{block}.layer.{layer}");
                let x = match queries.longest() {
                    // A token that attends to itself alone takes its own value.
                    1 => pass.own_value(x.clone(), &name(0))?,
                    _ => pass.self_attention(x.clone(), &queries, &name(0), (&distances, true))?,
                };
                let x = pass.cross_attention(x, &memory, [&queries, &keys], &name(1))?;
                pass.feed_forward(x, &name(2))
            })?;
        }
        self.last(&x, Stack::Decoder)
    }

    fn attended(&self, queries: &Segments, keys: &Segments) -> Attended {
        Attended {
            queries: queries.clone(),
            keys: keys.clone(),
            heads: self.config.num_heads,
            causal: false,
            dropout: None,
        }
    }

    fn embed(&self, tokens: &Tokens, stack: Stack) -> Result<Tensor> {
        self.dropped(
            &self.rows(EMBEDDINGS, tokens.ids())?,
            &format!("{}.embeddings", stack.name()),
        )
    }

    /// The norm behind the last block.
    fn last(&self, x: &Tensor, stack: Stack) -> Result<Tensor> {
        let name = format!("{}.final_layer_norm", stack.name());
        self.dropped(&self.norm(x, &name)?, &name)
    }

    /// States as the head takes them.
    fn scaled(&self, states: Tensor) -> Result<Tensor> {
        match self.config.scales_outputs() {
            true => states * (self.config.d_model as f64).powf(-0.5),
            false => Ok(states),
        }
    }

    /// The table of the head: a checkpoint leaves it out if it is equal to the embeddings.
    fn head(&self) -> &'static str {
        let own = self.store.get(HEAD).is_some();
        if own { HEAD } else { EMBEDDINGS }
    }

    fn value(&self, name: &str) -> Result<Tensor> {
        self.store.value(name, self.mode.is_training())
    }

    /// The rows `rows` of the table called `name`.
    fn rows(&self, name: &str, rows: &[u32]) -> Result<Tensor> {
        let table = self.value(name)?;
        table.index_select(&Tensor::new(rows, table.device())?, 0)
    }

    fn norm(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        ops::rms_norm(
            x,
            &self.value(&format!("{name}.weight"))?,
            self.config.layer_norm_epsilon,
        )
    }

    fn dropped(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        ops::dropout(x, self.mode.dropout(name, self.config.dropout_rate))
    }

    /// `x` and what a layer adds to it.
    fn added(&self, x: Tensor, more: &Tensor, layer: &str) -> Result<Tensor> {
        x + self.dropped(more, layer)?
    }

    /// `x Wᵀ` of layers side by side.
    fn linear(&self, x: &Tensor, layers: &[&str]) -> Result<Tensor> {
        let weights = layers.iter().map(|name| self.value(&format!("{name}.weight")));
        let weight = Tensor::cat(&weights.collect::<Result<Vec<_>>>()?, 0)?;
        self.mode.precision().linear(x, &weight, None)
    }

    fn keys_values(&self, x: &Tensor, attention: &str) -> Result<Tensor> {
        self.linear(x, &[&format!("{attention}.k"), &format!("{attention}.v")])
    }

    fn self_attention(
        &self,
        x: Tensor,
        segments: &Segments,
        layer: &str,
        (distances, causal): (&Distances, bool),
    ) -> Result<Tensor> {
        let normed = self.norm(&x, &format!("{layer}.layer_norm"))?;
        let attention = format!("{layer}.SelfAttention");
        let queries = self.linear(&normed, &[&format!("{attention}.q")])?;
        let shape = Attended {
            causal,
            dropout: self
                .mode
                .dropout(&format!("{attention}.weights"), self.config.dropout_rate),
            ..self.attended(segments, segments)
        };
        let mixed = ops::attend(
            &queries,
            &self.keys_values(&normed, &attention)?,
            shape,
            Some(distances),
        )?;
        self.added(x, &self.linear(&mixed, &[&format!("{attention}.o")])?, layer)
    }

    /// `x` and what its tokens take of the encoder's states; where the tokens of both stand.
    fn cross_attention(
        &self,
        x: Tensor,
        memory: &Tensor,
        [queries, keys]: [&Segments; 2],
        layer: &str,
    ) -> Result<Tensor> {
        let normed = self.norm(&x, &format!("{layer}.layer_norm"))?;
        let attention = format!("{layer}.EncDecAttention");
        let shape = Attended {
            dropout: self
                .mode
                .dropout(&format!("{attention}.weights"), self.config.dropout_rate),
            ..self.attended(queries, keys)
        };
        let queries = self.linear(&normed, &[&format!("{attention}.q")])?;
        let mixed = ops::attend(&queries, &self.keys_values(memory, &attention)?, shape, None)?;
        self.added(x, &self.linear(&mixed, &[&format!("{attention}.o")])?, layer)
    }

    fn own_value(&self, x: Tensor, layer: &str) -> Result<Tensor> {
        let normed = self.norm(&x, &format!("{layer}.layer_norm"))?;
        let value = self.linear(&normed, &[&format!("{layer}.SelfAttention.v")])?;
        self.added(
            x,
            &self.linear(&value, &[&format!("{layer}.SelfAttention.o")])?,
            layer,
        )
    }

    /// `x` and what the feed-forward network of a layer adds to it.
    fn feed_forward(&self, x: Tensor, layer: &str) -> Result<Tensor> {
        let normed = self.norm(&x, &format!("{layer}.layer_norm"))?;
        let name = |part: &str| format!("{layer}.DenseReluDense.{part}");
        let inner = match self.config.feed_forward_proj {
            FeedForward::Relu => self.linear(&normed, &[&name("wi")])?.relu()?,
            FeedForward::GatedGelu => {
                let wide = self.linear(&normed, &[&name("wi_0"), &name("wi_1")])?;
                ops::gated(&wide, Activation::GeluTanh)?
            }
        };
        let inner = self.dropped(&inner, &name("wo"))?;
        self.added(x, &self.linear(&inner, &[&name("wo")])?, layer)
    }

    /// The numbers of a half for every distance between tokens of texts up to `longest`.
    fn distances(&self, stack: Stack, longest: usize) -> Result<Distances> {
        let reach = longest.saturating_sub(1) as isize;
        let buckets: Vec<u32> = (-reach..=reach)
            .map(|distance| self.config.bucket(stack, distance) as u32)
            .collect();
        Distances::of_table(&self.value(&relative(stack))?, &buckets)
    }
}

const EMBEDDINGS: &str = "shared.weight";
const HEAD: &str = "lm_head.weight";
/// A half's numbers by bucket and head; the first layer's stand for all.
fn relative(stack: Stack) -> String {
    format!(
        "{}.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
        stack.name()
    )
}

/// Every parameter that is read, and its shape.
fn shapes(config: &Config) -> Vec<(String, Vec<usize>)> {
    let (model, inner, wide) = (config.d_model, config.inner(), config.d_ff);
    let distances = vec![config.relative_attention_num_buckets, config.num_heads];
    let mut shapes = vec![
        (EMBEDDINGS.to_owned(), vec![config.vocab_size, model]),
        (relative(Stack::Encoder), distances.clone()),
        (relative(Stack::Decoder), distances),
        ("encoder.final_layer_norm.weight".into(), vec![model]),
        ("decoder.final_layer_norm.weight".into(), vec![model]),
    ];
    let mut block = |side: &str, block: usize, attentions: &[&str]| {
        let layer = |layer: usize| format!("{side}.block.{block}.layer.{layer}");
        for (at, attention) in attentions.iter().enumerate() {
            shapes.push((format!("{}.layer_norm.weight", layer(at)), vec![model]));
            for part in ["q", "k", "v"] {
                shapes.push((
                    format!("{}.{attention}.{part}.weight", layer(at)),
                    vec![inner, model],
                ));
            }
            shapes.push((format!("{}.{attention}.o.weight", layer(at)), vec![model, inner]));
        }
        let dense = format!("{}.DenseReluDense", layer(attentions.len()));
        shapes.push((
            format!("{}.layer_norm.weight", layer(attentions.len())),
            vec![model],
        ));
        let into: &[&str] = match config.feed_forward_proj {
            FeedForward::Relu => &["wi"],
            FeedForward::GatedGelu => &["wi_0", "wi_1"],
        };
        shapes.extend(
            into.iter()
                .map(|name| (format!("{dense}.{name}.weight"), vec![wide, model])),
        );
        shapes.push((format!("{dense}.wo.weight"), vec![model, wide]));
    };
    (0..config.num_layers).for_each(|at| block("encoder", at, &["SelfAttention"]));
    (0..config.decoder_layers()).for_each(|at| block("decoder", at, &["SelfAttention", "EncDecAttention"]));
    shapes
}
