//! Keys and values of rows that go through [`super::candle`] together.
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
pub(super) struct Slots {
    pub(super) keys: Tensor,
    pub(super) values: Tensor,
}

impl Slots {
    fn map(&self, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let (keys, values) = (f(&self.keys)?, f(&self.values)?);
        Ok(Self { keys, values })
    }
}

/// Keys or values with empty slots behind, so many in all.
fn padded(all: &Tensor, slots: usize) -> Result<Tensor> {
    all.pad_with_zeros(2, 0, slots - all.dim(2)?)
}

/// Rows under way.
pub struct Group {
    /// By layer; none before the first token.
    pub(super) layers: Vec<Slots>,
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
            layers: Vec::new(),
            used: 0,
            rows: vec![Seen::default(); rows],
        }
    }

    /// The positions of the next `tokens` tokens of each row.
    pub(super) fn positions(&self, tokens: usize) -> impl Iterator<Item = usize> {
        self.rows
            .iter()
            .flat_map(move |row| row.tokens..row.tokens + tokens)
    }

    /// Notes feeds that take `tokens` slots each.
    pub(super) fn feed(&mut self, feeds: &[&[u32]], tokens: usize) {
        self.used += tokens;
        for (row, feed) in self.rows.iter_mut().zip(feeds) {
            row.tokens += feed.len();
            row.slots.extend((0..tokens).map(|at| at < feed.len()));
        }
    }

    /// What each of the last `tokens` slots may see: what was fed before it, and itself; of these no more than the last
    /// `window`. Row-major, `(rows, tokens, slots)`.
    pub(super) fn mask(&self, tokens: usize, window: Option<usize>) -> Vec<f32> {
        let (first, window) = (self.used - tokens, window.unwrap_or(usize::MAX));
        let mut mask = Vec::with_capacity(self.rows.len() * tokens * self.used);
        for row in &self.rows {
            // How many tokens stand before each slot.
            let before = row.slots.iter().scan(0, |count, full| {
                *count += usize::from(*full);
                Some(*count - usize::from(*full))
            });
            let before: Vec<usize> = before.collect();
            for token in first..self.used {
                let seen =
                    |slot: usize| row.slots[slot] && slot <= token && before[token] - before[slot] < window;
                mask.extend((0..self.used).map(|slot| if seen(slot) { 0.0 } else { HIDDEN }));
            }
        }
        mask
    }

    /// Makes room for so many more tokens a row.
    pub(super) fn reserve(
        &mut self,
        config: &Config,
        (dtype, device): (DType, &Device),
        tokens: usize,
    ) -> Result<()> {
        let (rows, heads, width) = (self.rows.len(), config.num_key_value_heads, config.head_width);
        let free = |slots: usize| Tensor::zeros((rows, heads, slots, width), dtype, device);
        if self.layers.is_empty() {
            let fresh = |_| {
                let (keys, values) = (free(tokens + SPARE)?, free(tokens + SPARE)?);
                Ok(Slots { keys, values })
            };
            self.layers = config.layers.iter().map(fresh).collect::<Result<_>>()?;
        }
        for layer in &mut self.layers {
            let missing = (self.used + tokens).saturating_sub(layer.keys.dim(2)?);
            if missing > 0 {
                let more = free(missing + SPARE)?;
                *layer = layer.map(|full| Tensor::cat(&[full, &more], 2))?;
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
        let layers = self.layers.iter().map(|layer| layer.map(copies));
        Ok(Self {
            layers: layers.collect::<Result<_>>()?,
            used: self.used,
            rows: vec![self.rows[0].clone(); rows],
        })
    }

    /// Adds the rows of another group behind its own; slots that no row needs any more go.
    pub(super) fn join(&mut self, mut other: Self, device: &Device) -> Result<()> {
        self.compact(device)?;
        other.compact(device)?;
        self.used = self.used.max(other.used);
        for (layer, more) in self.layers.iter_mut().zip(&other.layers) {
            let both =
                |a: &Tensor, b: &Tensor| Tensor::cat(&[padded(a, self.used)?, padded(b, self.used)?], 0);
            *layer = Slots {
                keys: both(&layer.keys, &more.keys)?,
                values: both(&layer.values, &more.values)?,
            };
        }
        self.rows.append(&mut other.rows);
        self.rows
            .iter_mut()
            .for_each(|row| row.slots.resize(self.used, false));
        Ok(())
    }

    /// Moves every row's tokens to its first slots, and drops the slots behind the longest row.
    fn compact(&mut self, device: &Device) -> Result<()> {
        let used = self.rows.iter().map(|row| row.tokens).max().unwrap_or(0);
        let full = |row: &Seen| {
            let full = row
                .slots
                .iter()
                .zip(0_u32..)
                .filter(|(full, _)| **full)
                .map(|(_, slot)| slot);
            let padding = std::iter::repeat_n(0, used - row.tokens);
            Tensor::new(full.chain(padding).collect::<Vec<_>>(), device)
        };
        let slots = self.rows.iter().map(full).collect::<Result<Vec<_>>>()?;
        for layer in &mut self.layers {
            *layer = layer.map(|all| {
                let row = |(row, slots): (usize, &Tensor)| all.narrow(0, row, 1)?.index_select(slots, 2);
                let rows = slots.iter().enumerate().map(row).collect::<Result<Vec<_>>>()?;
                Tensor::cat(&rows, 0)
            })?;
        }
        self.used = used;
        for row in &mut self.rows {
            row.slots = (0..used).map(|slot| slot < row.tokens).collect();
        }
        Ok(())
    }

    /// Drops all rows but these.
    pub(super) fn keep(&mut self, rows: &[usize], device: &Device) -> Result<()> {
        if rows.len() == self.rows.len() {
            return Ok(());
        }
        self.rows = rows.iter().map(|row| self.rows[*row].clone()).collect();
        if rows.is_empty() {
            self.layers.clear();
            return Ok(());
        }
        let indices = Tensor::new(rows.iter().map(|row| *row as u32).collect::<Vec<_>>(), device)?;
        for layer in &mut self.layers {
            *layer = layer.map(|all| all.index_select(&indices, 0))?;
        }
        Ok(())
    }
}
