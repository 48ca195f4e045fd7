//! The decoder: what every family computes, over the operations of a [`Backend`].

use ablate_core::StageError;

use super::{
    Activation, Config, FeedForward, Layout, TensorSpec, Weights,
    build::{Build, Dense, Layer, Network, Parts, check, parts},
    experts::{Routing, Sent},
    weights::{MatrixSpec, Norm, NormSpec},
};

/// Operations on states, `(tokens, width)`.
pub(super) trait Backend: Sized + Sync {
    type Matrix: Sync;
    type Norm: Sync;
    type Table: Sync;
    type States;
    /// What the answers of an expert are multiplied by, one number a token.
    type Weights;
    /// What the layers share while tokens are fed: caches, angles, what may be seen.
    type Step<'s>;

    /// The linear layer whose weight is a table.
    fn tied(&self, table: &Self::Table) -> Result<Self::Matrix, StageError>;

    /// Rows of a table.
    fn rows(&self, table: &Self::Table, rows: &[u32]) -> Result<Self::States, StageError>;
    fn scale(&self, x: Self::States, factor: f64) -> Result<Self::States, StageError>;
    fn add(&self, x: &mut Self::States, y: Self::States) -> Result<(), StageError>;
    fn normed(&self, norm: &Self::Norm, x: &Self::States) -> Result<Self::States, StageError>;
    fn linear(&self, matrix: &Self::Matrix, x: &Self::States) -> Result<Self::States, StageError>;
    /// `x += linear(y)`.
    fn add_linear(
        &self,
        x: &mut Self::States,
        matrix: &Self::Matrix,
        y: &Self::States,
    ) -> Result<(), StageError>;
    /// Attention of layer `index`: of queries, keys and values side by side, the heads' answers.
    fn attend(
        &self,
        config: &Config,
        index: usize,
        head_norms: Option<&[Self::Norm; 2]>,
        qkv: Self::States,
        step: &mut Self::Step<'_>,
    ) -> Result<Self::States, StageError>;
    fn activate(&self, x: Self::States, activation: Activation) -> Result<Self::States, StageError>;
    /// `activation(gate) · up` of the two halves of `x`.
    fn gate(&self, x: Self::States, activation: Activation) -> Result<Self::States, StageError>;
    fn pick(&self, x: &Self::States, tokens: &[usize]) -> Result<Self::States, StageError>;
    /// What each expert is sent, by the logits of the router, `(tokens, experts)`.
    fn routed(&self, logits: Self::States, routing: Routing) -> Result<Vec<Sent<Self::Weights>>, StageError>;
    /// Adds the weighted rows of `y` to the tokens of `x` they were sent for.
    fn add_at(
        &self,
        x: &mut Self::States,
        sent: &Sent<Self::Weights>,
        y: Self::States,
    ) -> Result<(), StageError>;
    /// `cap · tanh(x / cap)`.
    fn capped(&self, x: Self::States, cap: f64) -> Result<Self::States, StageError>;
}

/// Takes numbers to where it computes.
pub(super) trait Load: Backend {
    fn matrix(&self, spec: &MatrixSpec, weights: &mut dyn Weights) -> Result<Self::Matrix, StageError>;
    fn norm(&self, numbers: Norm<Vec<f32>>) -> Result<Self::Norm, StageError>;
    /// Rows of `width` numbers.
    fn table(
        &self,
        spec: &TensorSpec,
        width: usize,
        weights: &mut dyn Weights,
    ) -> Result<Self::Table, StageError>;
}

/// The parts of a decoder, its head among them.
pub(super) struct Body<M, N, T> {
    parts: Parts<M, N, T>,
    head: M,
}

/// As `B` has them.
type BodyOf<B> = Body<<B as Backend>::Matrix, <B as Backend>::Norm, <B as Backend>::Table>;

impl<M, N, T> Body<M, N, T> {
    /// Of all parts; where they have no head, it is made of the embeddings.
    pub(super) fn new(
        mut parts: Parts<M, N, T>,
        tied: impl FnOnce(&T) -> Result<M, StageError>,
    ) -> Result<Self, StageError> {
        let head = match parts.head.take() {
            Some(head) => head,
            None => tied(&parts.embeddings)?,
        };
        Ok(Self { parts, head })
    }
}

/// A decoder whose weights stand where `B` computes.
#[expect(private_bounds, reason = "backends are the crate's own")]
pub struct Transformer<B: Backend> {
    pub(super) backend: B,
    config: Config,
    body: BodyOf<B>,
}

/// Takes weights to where `B` computes.
struct Take<'a, B> {
    weights: &'a mut dyn Weights,
    backend: &'a B,
    hidden: usize,
}

impl<B: Load> Build for Take<'_, B> {
    type Matrix = B::Matrix;
    type Norm = B::Norm;
    type Table = B::Table;

    fn matrix(&mut self, spec: MatrixSpec) -> Result<B::Matrix, StageError> {
        self.backend.matrix(&spec, self.weights)
    }

    fn norm(&mut self, spec: NormSpec) -> Result<B::Norm, StageError> {
        self.backend.norm(spec.take(self.weights)?)
    }

    fn table(&mut self, spec: TensorSpec) -> Result<B::Table, StageError> {
        self.backend.table(&spec, self.hidden, self.weights)
    }
}

#[expect(private_bounds, reason = "backends are the crate's own")]
impl<B: Load> Transformer<B> {
    /// Takes the weights, once all of them are there and have their shapes.
    pub(super) fn build(
        config: Config,
        layout: &Layout,
        weights: &mut dyn Weights,
        backend: B,
    ) -> Result<Self, StageError> {
        check(&config, layout, weights)?;
        let mut take = Take {
            weights,
            backend: &backend,
            hidden: config.hidden_size,
        };
        let body = Body::new(parts(&config, layout, &mut take)?, |table| backend.tied(table))?;
        Ok(Self {
            backend,
            config,
            body,
        })
    }
}

#[expect(private_bounds, reason = "backends are the crate's own")]
impl<B: Backend> Transformer<B> {
    /// The model's shape.
    pub fn config(&self) -> &Config {
        &self.config
    }

    fn pass(&self) -> Pass<'_, B> {
        Pass::new(&self.backend, &self.config, &self.body)
    }

    /// The states of `tokens` at `positions` after all layers.
    pub(super) fn states(
        &self,
        tokens: &[u32],
        positions: &[usize],
        step: &mut B::Step<'_>,
    ) -> Result<B::States, StageError> {
        self.pass().states(tokens, positions, step)
    }

    /// The logits after these tokens, `vocabulary` each.
    pub(super) fn logits(&self, x: &B::States, tokens: &[usize]) -> Result<B::States, StageError> {
        self.pass().logits(x, tokens)
    }
}

/// What tokens go through.
pub(super) struct Pass<'a, B: Backend> {
    pub(super) backend: &'a B,
    pub(super) config: &'a Config,
    parts: &'a Parts<B::Matrix, B::Norm, B::Table>,
    head: &'a B::Matrix,
}

impl<'a, B: Backend> Pass<'a, B> {
    /// Through `body`, computed by `backend`.
    pub(super) fn new(backend: &'a B, config: &'a Config, body: &'a BodyOf<B>) -> Self {
        let Body { parts, head } = body;
        Self {
            backend,
            config,
            parts,
            head,
        }
    }

    /// The states of `tokens` at `positions` after all layers.
    pub(super) fn states(
        &self,
        tokens: &[u32],
        positions: &[usize],
        step: &mut B::Step<'_>,
    ) -> Result<B::States, StageError> {
        let mut x = self.embedded(tokens, positions)?;
        for index in 0..self.parts.layers.len() {
            x = self.layer(index, x, step)?;
        }
        Ok(x)
    }

    /// The states after layer `index`, of those before it.
    pub(super) fn layer(
        &self,
        index: usize,
        mut x: B::States,
        step: &mut B::Step<'_>,
    ) -> Result<B::States, StageError> {
        let (backend, layer) = (self.backend, &self.parts.layers[index]);
        let normed = backend.normed(&layer.attention_norm, &x)?;
        let qkv = backend.linear(&layer.qkv, &normed)?;
        let heads = backend.attend(self.config, index, layer.head_norms.as_ref(), qkv, step)?;
        self.add(&mut x, &layer.output, &heads, layer.attention_post_norm.as_ref())?;
        let normed = match &layer.feed_forward_norm {
            Some(norm) => backend.normed(norm, &x)?,
            None => normed,
        };
        self.feed_forward(&mut x, layer, &normed)?;
        Ok(x)
    }

    /// The states of `tokens` at `positions` before the first layer.
    pub(super) fn embedded(&self, tokens: &[u32], positions: &[usize]) -> Result<B::States, StageError> {
        let (backend, config) = (self.backend, self.config);
        if let Some(unknown) = tokens.iter().find(|token| **token as usize >= config.vocab_size) {
            let known = config.vocab_size;
            return Err(StageError::new(format!(
                "the token {unknown} is none of the model's {known}"
            )));
        }
        let mut x = backend.rows(&self.parts.embeddings, tokens)?;
        if let Some(scale) = config.embedding_scale {
            x = backend.scale(x, scale)?;
        }
        if let Some((table, offset)) = self.parts.positions.as_ref().zip(config.learned_positions) {
            let most = config.max_position_embeddings;
            if positions.iter().any(|position| *position >= most) {
                return Err(StageError::new(format!(
                    "a text is longer than the {most} positions learned"
                )));
            }
            let rows: Vec<u32> = positions
                .iter()
                .map(|position| (position + offset) as u32)
                .collect();
            backend.add(&mut x, backend.rows(table, &rows)?)?;
        }
        Ok(x)
    }

    /// Adds a linear layer's answer to `x`, normed where a norm follows it.
    fn add(
        &self,
        x: &mut B::States,
        matrix: &B::Matrix,
        y: &B::States,
        post_norm: Option<&B::Norm>,
    ) -> Result<(), StageError> {
        let backend = self.backend;
        match post_norm {
            None => backend.add_linear(x, matrix, y),
            Some(norm) => backend.add(x, backend.normed(norm, &backend.linear(matrix, y)?)?),
        }
    }

    fn feed_forward(
        &self,
        x: &mut B::States,
        layer: &Layer<B::Matrix, B::Norm>,
        normed: &B::States,
    ) -> Result<(), StageError> {
        match &layer.feed_forward {
            Network::Dense(network) => {
                let inner = self.inner(network, normed)?;
                self.add(x, &network.down, &inner, layer.feed_forward_post_norm.as_ref())
            }
            Network::Experts { router, experts } => self.consult(x, router, experts, normed),
        }
    }

    /// A network up to its last layer.
    fn inner(&self, network: &Dense<B::Matrix>, x: &B::States) -> Result<B::States, StageError> {
        let inner = self.backend.linear(&network.inner, x)?;
        match self.config.feed_forward {
            FeedForward::Plain { activation, .. } => self.backend.activate(inner, activation),
            FeedForward::Gated { activation, .. } | FeedForward::Experts { activation, .. } => {
                self.backend.gate(inner, activation)
            }
        }
    }

    /// Adds the experts' answers, in the experts' order, so that a token's sum does not depend on others.
    fn consult(
        &self,
        x: &mut B::States,
        router: &B::Matrix,
        experts: &[Dense<B::Matrix>],
        normed: &B::States,
    ) -> Result<(), StageError> {
        let FeedForward::Experts {
            chosen, renormalise, ..
        } = self.config.feed_forward
        else {
            return Ok(());
        };
        let backend = self.backend;
        let routing = Routing {
            count: experts.len(),
            chosen,
            renormalise,
        };
        let sent = backend.routed(backend.linear(router, normed)?, routing)?;
        for (expert, sent) in experts.iter().zip(sent) {
            if !sent.tokens.is_empty() {
                let inner = self.inner(expert, &backend.pick(normed, &sent.tokens)?)?;
                let answers = backend.linear(&expert.down, &inner)?;
                backend.add_at(x, &sent, answers)?;
            }
        }
        Ok(())
    }

    /// The logits after these tokens, before a cap.
    pub(super) fn logits(&self, x: &B::States, tokens: &[usize]) -> Result<B::States, StageError> {
        let normed = self
            .backend
            .normed(&self.parts.norm, &self.backend.pick(x, tokens)?)?;
        let logits = self.backend.linear(self.head, &normed)?;
        match self.config.logit_cap {
            Some(cap) => self.backend.capped(logits, cap),
            None => Ok(logits),
        }
    }
}
