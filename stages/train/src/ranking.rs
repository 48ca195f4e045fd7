//! What a bi-encoder learns: to rank the positive of a query before all other texts of the batch.

use ablate_core::{StageError, rows::Triple};
use ablate_models::{
    Mode,
    encoder::{Role, SentenceEncoder},
    gradient_checkpointing::Tape,
    params::ParamStore,
};
use candle_core::{Tensor, Var};

use crate::{
    Gradients, Objective, loss::multiple_negatives_ranking, masking::FalseNegatives, tokens::TokenTable,
    trainer::value,
};

/// Multiple negatives ranking over the rows of a batch: queries, positives and hard negatives.
pub struct Ranking<'a> {
    encoder: &'a SentenceEncoder,
    rows: &'a [Triple],
    tokens: TokenTable<'a>,
    settings: RankingSettings,
    false_negatives: FalseNegatives<'a>,
}

/// How the loss of a batch is made.
#[derive(Clone, Debug)]
pub struct RankingSettings {
    /// What cosines are multiplied by.
    pub scale: f64,
    /// The losses of these heads of the vectors are added up (Matryoshka, Kusupati et al., 2022); of none, that of whole
    /// vectors.
    pub dimensions: Vec<usize>,
    /// Texts that are encoded at once. A batch of more is encoded part by part and then once more, part by part, with the
    /// gradients of its vectors (GradCache, Gao et al., 2021): the same gradients, but for dropout's draws, in less memory.
    pub texts_at_once: Option<usize>,
}

impl<'a> Ranking<'a> {
    /// Over these rows, their texts cut as the encoder cuts them.
    ///
    /// # Errors
    /// If a text cannot be tokenised, or vectors have fewer numbers than a head is asked for.
    pub fn new(
        encoder: &'a SentenceEncoder,
        rows: &'a [Triple],
        settings: RankingSettings,
    ) -> Result<Self, StageError> {
        if let Some(wide) = settings.dimensions.iter().find(|dim| **dim > encoder.dim()) {
            return Err(StageError::new(format!(
                "a head of {wide} numbers is asked for, the vectors have {}",
                encoder.dim()
            )));
        }
        Ok(Self {
            encoder,
            rows,
            tokens: TokenTable::of(encoder, rows)?,
            settings,
            false_negatives: FalseNegatives::default(),
        })
    }

    /// The same, of which these count for nothing.
    #[must_use]
    pub fn without(self, false_negatives: FalseNegatives<'a>) -> Self {
        Self {
            false_negatives,
            ..self
        }
    }

    /// Token ids of the queries, then the positives, then the negatives.
    fn ids(&self, rows: &[usize]) -> Vec<&[u32]> {
        let rows = || rows.iter().map(|row| &self.rows[*row]);
        let queries = rows().map(|row| self.tokens.get(Role::Query, &row.query));
        let documents = rows()
            .map(|row| &row.pos_text)
            .chain(rows().map(|row| &row.neg_text));
        queries
            .chain(documents.map(|text| self.tokens.get(Role::Document, text)))
            .collect()
    }

    fn of_vectors(&self, vectors: &Tensor, batch: &[usize]) -> candle_core::Result<Tensor> {
        let rows: Vec<&Triple> = batch.iter().map(|row| &self.rows[*row]).collect();
        let mask = self.false_negatives.mask(&rows, vectors.device())?;
        let of = |vectors: &Tensor| {
            let queries = vectors.narrow(0, 0, rows.len())?;
            let candidates = vectors.narrow(0, rows.len(), 2 * rows.len())?;
            multiple_negatives_ranking(&queries, &candidates, self.settings.scale, mask.as_ref())
        };
        let heads = self.settings.dimensions.iter();
        let losses = heads.map(|dim| of(&vectors.narrow(1, 0, *dim)?.contiguous()?));
        let losses: Vec<Tensor> = losses.collect::<candle_core::Result<_>>()?;
        match losses.is_empty() {
            true => of(vectors),
            false => Tensor::stack(&losses, 0)?.sum_all(),
        }
    }

    /// Loss and gradients of a batch whose texts are encoded in parts.
    fn in_parts(&self, rows: &[usize], size: usize, mode: Mode<'_>) -> Result<(f64, Gradients), StageError> {
        let ids = self.ids(rows);
        let parts = || ids.chunks(size).enumerate();
        // A part draws the same dropout both times.
        let encode = |part: &[&[u32]], mode: Mode<'_>| self.encoder.forward(part, mode);
        let forgotten = Tape::default();
        let vectors =
            parts().map(|(at, part)| Ok(encode(part, mode.child(at).checkpointed(&forgotten))?.detach()));
        let vectors = vectors.collect::<candle_core::Result<Vec<_>>>()?;
        let vectors = Var::from_tensor(&Tensor::cat(&vectors, 0)?)?;
        let loss = self.of_vectors(vectors.as_tensor(), rows)?;
        let wanted = loss.backward()?;
        let wanted = wanted
            .get(&vectors)
            .ok_or_else(|| StageError::new("the loss has no gradient"))?;
        let mut gradients = Gradients::default();
        for (at, part) in parts() {
            let wanted = wanted.narrow(0, at * size, part.len())?;
            let product = (encode(part, mode.child(at))? * wanted)?.sum_all()?;
            gradients.add(Gradients::of(&product, self.store(), mode)?)?;
        }
        Ok((value(&loss)?, gradients))
    }
}

impl Objective for Ranking<'_> {
    fn store(&self) -> &ParamStore {
        self.encoder.store()
    }

    /// Every text of a batch is a candidate of every query: there are no parts but the batch.
    fn share(&self, _part: &[usize], batch: &[usize], mode: Mode<'_>) -> Result<Tensor, StageError> {
        let vectors = self.encoder.forward(&self.ids(batch), mode)?;
        Ok(self.of_vectors(&vectors, batch)?)
    }

    fn gradients(&self, batch: &[usize], mode: Mode<'_>) -> Result<(f64, Gradients), StageError> {
        match self.settings.texts_at_once {
            Some(size) if size < 3 * batch.len() => self.in_parts(batch, size, mode),
            _ => {
                let loss = self.share(batch, batch, mode)?;
                Ok((value(&loss)?, Gradients::of(&loss, self.store(), mode)?))
            }
        }
    }

    fn query_id(&self, row: usize) -> &str {
        &self.rows[row].query_id
    }
}
