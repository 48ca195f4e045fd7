//! What the layers of a decoder share in a pass over a batch of texts: where each stands, how it is turned, and what its tokens see.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use candle_core::{Device, Result, Tensor};

use super::Prompted;
use crate::{
    Mode, Precision,
    decoder::{Config, rotary::Angles},
    ops::{Masked, Segments, Turns},
};

/// Added to the score of what a token may not see. Finite, so that nothing becomes NaN.
const HIDDEN: f32 = -1e30;

/// A batch of texts.
pub(super) struct Batch {
    /// Tokens of each text.
    pub(super) lengths: Vec<usize>,
    /// What attention needs to know of them.
    pub(super) seen: Seen,
}

/// As attention takes it.
pub(super) enum Seen {
    /// For the kernel of the CPU.
    Kernel(Kernel),
    /// For operations of candle.
    Tensors(Tensors),
}

pub(super) struct Kernel {
    segments: Segments,
    /// By rotation.
    turns: Vec<Arc<Turns>>,
    /// By window.
    masks: BTreeMap<Option<usize>, Arc<Vec<Vec<f32>>>>,
}

pub(super) struct Tensors {
    /// Cosines and sines, `(tokens, 1, pairs)`, by rotation.
    pub(super) turns: Vec<(Tensor, Tensor)>,
    /// What each token of a text may see, `(tokens, tokens)`, by window and text.
    pub(super) masks: BTreeMap<Option<usize>, Vec<Tensor>>,
}

impl Batch {
    /// Of `texts`, whose neighbouring numbers are turned together, or those of the halves of a head.
    pub(super) fn new(
        config: &Config,
        texts: &[Prompted<'_>],
        (device, mode): (&Device, Mode<'_>),
        neighbours: bool,
    ) -> Result<Self> {
        let lengths: Vec<usize> = texts.iter().map(|text| text.positions().len()).collect();
        let positions: Vec<usize> = texts.iter().flat_map(Prompted::positions).collect();
        let angles = config.rotaries.iter().map(|rotary| rotary.angles(&positions));
        let windows: BTreeSet<Option<usize>> = config.layers.iter().map(|layer| layer.window).collect();
        let masks = windows.into_iter().map(|window| {
            let of = texts.iter().map(|text| mask(text, window));
            (window, of.collect::<Vec<_>>())
        });
        let seen = match device.is_cpu() && mode.precision() == Precision::F32 {
            true => Seen::Kernel(Kernel {
                segments: Segments::new(lengths.iter().copied()),
                turns: angles.map(|angles| Arc::new(turns(angles, neighbours))).collect(),
                masks: masks.map(|(window, masks)| (window, Arc::new(masks))).collect(),
            }),
            false => Seen::Tensors(Tensors {
                turns: angles
                    .map(|angles| columns(angles, positions.len(), device))
                    .collect::<Result<_>>()?,
                masks: masks
                    .map(|(window, masks)| Ok((window, squares(masks, &lengths, device)?)))
                    .collect::<Result<_>>()?,
            }),
        };
        Ok(Self { lengths, seen })
    }
}

impl Kernel {
    /// The attention of a layer.
    pub(super) fn attention(&self, config: &Config, index: usize) -> Masked {
        let layer = &config.layers[index];
        Masked {
            segments: self.segments.clone(),
            heads: config.num_attention_heads,
            shared: config.num_key_value_heads,
            width: config.head_width,
            scale: config.score_scale as f32,
            turns: layer.rotary.map(|rotary| Arc::clone(&self.turns[rotary])),
            masks: Arc::clone(&self.masks[&layer.window]),
        }
    }
}

fn turns(Angles { cos, sin }: Angles, neighbours: bool) -> Turns {
    Turns { cos, sin, neighbours }
}

fn columns(Angles { cos, sin }: Angles, tokens: usize, device: &Device) -> Result<(Tensor, Tensor)> {
    let column = |table: Vec<f32>| Tensor::from_vec(table, (tokens, 1, ()), device);
    Ok((column(cos)?, column(sin)?))
}

fn squares(masks: Vec<Vec<f32>>, lengths: &[usize], device: &Device) -> Result<Vec<Tensor>> {
    let square = |(mask, length): (Vec<f32>, &usize)| Tensor::from_vec(mask, (*length, *length), device);
    masks.into_iter().zip(lengths).map(square).collect()
}

/// 0 where a token sees another, else [`HIDDEN`], row by row: it sees the prompt and its own completion, up to itself, of these no more
/// than the last `window`.
fn mask(text: &Prompted<'_>, window: Option<usize>) -> Vec<f32> {
    let (branches, positions) = (text.branches(), text.positions());
    let (tokens, window) = (positions.len(), window.unwrap_or(usize::MAX));
    let sees = |at: usize, other: usize| {
        (branches[other] == 0 || branches[other] == branches[at])
            && positions[other] <= positions[at]
            && positions[at] - positions[other] < window
    };
    let row = |at| (0..tokens).map(move |other| if sees(at, other) { 0.0 } else { HIDDEN });
    (0..tokens).flat_map(row).collect()
}
