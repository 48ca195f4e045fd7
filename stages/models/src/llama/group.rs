//! Keys and values of rows that go through [`super::device`] together.
//!
//! A group's caches are padded: a step adds as many slots to every row as its longest feed has tokens, and the mask
//! hides the empty ones. Positions turn keys, so where a key stands among the slots does not matter.

use candle_core::{DType, Device, Result, Tensor};

use super::Config;

/// Slots added when a cache is full: copying it is dear, so it grows by more than a step needs.
const SPARE: usize = 64;
/// Added to the score of what a token may not see. Finite, so that a row of nothing else gives no NaN.
const HIDDEN: f32 = -1e30;

/// Keys and values of a layer, each `(rows, key-value heads, slots, head width)`.
pub(super) struct Cache {
    pub(super) keys: Tensor,
    pub(super) values: Tensor,
}

impl Cache {
    fn map(&self, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let (keys, values) = (f(&self.keys)?, f(&self.values)?);
        Ok(Self { keys, values })
    }
}

/// Rows under way.
pub struct Group {
    /// By layer; none before the first token.
    pub(super) caches: Vec<Cache>,
    /// Slots in use.
    pub(super) used: usize,
    pub(super) rows: Vec<Seen>,
}

/// What a row has been fed.
#[derive(Clone, Default)]
pub(super) struct Seen {
    pub(super) tokens: usize,
    /// Whether each slot in use holds a token.
    pub(super) slots: Vec<bool>,
}

impl Group {
    /// Rows that have seen nothing.
    pub(super) fn of(rows: usize) -> Self {
        Self {
            caches: Vec::new(),
            used: 0,
            rows: vec![Seen::default(); rows],
        }
    }

    /// What each of the last `tokens` tokens may see: what was fed before it, and itself.
    pub(super) fn mask(&self, tokens: usize, device: &Device) -> Result<Tensor> {
        let first = self.used - tokens;
        let mut mask = Vec::with_capacity(self.rows.len() * tokens * self.used);
        for row in &self.rows {
            for token in 0..tokens {
                let seen = |(slot, full): (usize, &bool)| *full && slot <= first + token;
                let slots = row.slots.iter().enumerate();
                mask.extend(slots.map(|slot| if seen(slot) { 0.0 } else { HIDDEN }));
            }
        }
        Tensor::from_vec(mask, (self.rows.len(), 1, tokens, self.used), device)
    }

    /// Makes room for so many more tokens a row.
    pub(super) fn reserve(
        &mut self,
        config: &Config,
        (device, dtype): (&Device, DType),
        tokens: usize,
    ) -> Result<()> {
        let (rows, heads, width) = (self.rows.len(), config.num_key_value_heads, config.head_width());
        let free = |slots: usize| Tensor::zeros((rows, heads, slots, width), dtype, device);
        if self.caches.is_empty() {
            let fresh = || {
                let (keys, values) = (free(tokens + SPARE)?, free(tokens + SPARE)?);
                Ok(Cache { keys, values })
            };
            self.caches = (0..config.num_hidden_layers)
                .map(|_| fresh())
                .collect::<Result<_>>()?;
        }
        for cache in &mut self.caches {
            let missing = (self.used + tokens).saturating_sub(cache.keys.dim(2)?);
            if missing > 0 {
                let more = free(missing + SPARE)?;
                *cache = cache.map(|full| Tensor::cat(&[full, &more], 2))?;
            }
        }
        Ok(())
    }

    /// So many copies of a group of one row: the prefix is copied, not computed, for each row.
    pub(super) fn copies(&self, rows: usize) -> Result<Self> {
        // The copies have no spare slots, so the first step makes new storage even where one row shares this one.
        let copies = |one: &Tensor| {
            let (_, heads, _, width) = one.dims4()?;
            one.narrow(2, 0, self.used)?
                .broadcast_as((rows, heads, self.used, width))?
                .contiguous()
        };
        let caches = self.caches.iter().map(|cache| cache.map(copies));
        Ok(Self {
            caches: caches.collect::<Result<_>>()?,
            used: self.used,
            rows: vec![self.rows[0].clone(); rows],
        })
    }

    /// Drops all rows but these.
    pub(super) fn keep(&mut self, rows: &[usize], device: &Device) -> Result<()> {
        if rows.len() == self.rows.len() {
            return Ok(());
        }
        self.rows = rows.iter().map(|row| self.rows[*row].clone()).collect();
        if rows.is_empty() {
            self.caches.clear();
            return Ok(());
        }
        let indices = Tensor::new(rows.iter().map(|row| *row as u32).collect::<Vec<_>>(), device)?;
        for cache in &mut self.caches {
            *cache = cache.map(|all| all.index_select(&indices, 0))?;
        }
        Ok(())
    }
}
