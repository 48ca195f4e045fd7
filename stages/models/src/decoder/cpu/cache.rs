//! Keys and values on the CPU, in blocks that lie as products read them: keys of a head as the columns of a right operand,
//! values as its rows.

use super::Config;
use crate::ops::product::{Right, panel_width};

/// Tokens of a block: whole panels of every vector width.
pub(super) const BLOCK: usize = 64;

/// Keys and values of a stretch of tokens.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    /// Of each layer.
    layers: Vec<Vec<Block>>,
    tokens: usize,
}

/// [`BLOCK`] tokens of all key-value heads: of each head the keys, then the values.
type Block = Box<[f32]>;

/// What a head of a block takes.
struct Sizes {
    width: usize,
    keys: usize,
    values: usize,
}

impl Sizes {
    fn of(config: &Config) -> Self {
        let width = config.head_width;
        Self {
            width,
            keys: width * BLOCK,
            values: width.next_multiple_of(panel_width()) * BLOCK,
        }
    }

    fn head(&self, head: usize) -> usize {
        head * (self.keys + self.values)
    }
}

impl Cache {
    /// Tokens fed so far.
    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Notes that so many tokens were fed.
    pub(super) fn advance(&mut self, tokens: usize) {
        self.tokens += tokens;
    }

    /// Keeps key and value of a layer, heads side by side, of the token `new` places behind those fed.
    pub(super) fn put(&mut self, config: &Config, layer: usize, new: usize, [key, value]: [&[f32]; 2]) {
        let (sizes, panel) = (Sizes::of(config), panel_width());
        if self.layers.len() <= layer {
            self.layers.resize_with(layer + 1, Vec::new);
        }
        let (layer, at) = (&mut self.layers[layer], self.tokens + new);
        if layer.len() <= at / BLOCK {
            layer.push(vec![0.0; sizes.head(config.num_key_value_heads)].into());
        }
        let (block, at) = (&mut layer[at / BLOCK], at % BLOCK);
        let heads = key.chunks_exact(sizes.width).zip(value.chunks_exact(sizes.width));
        for (head, (key, value)) in heads.enumerate() {
            let (keys, values) = block[sizes.head(head)..].split_at_mut(sizes.keys);
            let slots = keys[at / panel * panel * sizes.width + at % panel..].iter_mut();
            slots.step_by(panel).zip(key).for_each(|(slot, x)| *slot = *x);
            for (index, value) in value.chunks(panel).enumerate() {
                values[(index * BLOCK + at) * panel..][..value.len()].copy_from_slice(value);
            }
        }
    }

    /// Keys of a head in a block, `head width × count`.
    pub(super) fn keys(
        &self,
        config: &Config,
        (layer, head): (usize, usize),
        block: usize,
        count: usize,
    ) -> Right<'_> {
        let sizes = Sizes::of(config);
        let keys = &self.layers[layer][block][sizes.head(head)..][..sizes.keys];
        Right::new(keys, (sizes.width, sizes.width), count)
    }

    /// Values of a head in a block, `count × head width`.
    pub(super) fn values(
        &self,
        config: &Config,
        (layer, head): (usize, usize),
        block: usize,
        count: usize,
    ) -> Right<'_> {
        let sizes = Sizes::of(config);
        let values = &self.layers[layer][block][sizes.head(head) + sizes.keys..][..sizes.values];
        Right::new(values, (count, BLOCK), sizes.width)
    }

    /// Bytes of so many tokens.
    pub(crate) fn bytes(config: &Config, tokens: usize) -> usize {
        let block = Sizes::of(config).head(config.num_key_value_heads) * size_of::<f32>();
        tokens.div_ceil(BLOCK) * block * config.layers.len()
    }
}
