//! Texts of a model in batches: grouped by length, computed a thread each, given out as they come.

use ablate_core::StageError;
use candle_core::{Device, Result};
use rayon::prelude::*;

/// The texts of a batch stop being added at this many tokens on the CPU, so that its states stay in the cache.
/// Cannot change a result: texts of a batch do not see each other.
const CACHE_TOKENS: usize = 2048;

/// Takes what was computed of the text at an index.
pub type RowSink<'s> = &'s mut dyn FnMut(usize, &[f32]) -> std::result::Result<(), StageError>;

/// Computes `width` numbers of every text, given the lengths of the texts in tokens: `compute` is called with the
/// indices of at most `most` texts of about the same length, `each` hears the numbers of every text, in no order.
///
/// # Errors
/// If the device fails, or `each` says so.
pub(crate) fn each_row(
    lengths: &[usize],
    most: usize,
    width: usize,
    device: &Device,
    compute: impl Fn(&[usize]) -> Result<Vec<f32>> + Sync,
    each: RowSink<'_>,
) -> std::result::Result<(), StageError> {
    // On the CPU a thread per batch; operations split further where threads would idle.
    let (wave, budget) = match device.is_cpu() {
        true => (rayon::current_num_threads(), CACHE_TOKENS),
        false => (1, usize::MAX),
    };
    for wave in by_length(lengths, most, budget).chunks(wave) {
        let computed: Vec<Vec<f32>> = wave
            .par_iter()
            .map(|batch| compute(batch))
            .collect::<Result<_>>()?;
        for (batch, rows) in wave.iter().zip(&computed) {
            for (text, row) in batch.iter().zip(rows.chunks_exact(width)) {
                each(*text, row)?;
            }
        }
    }
    Ok(())
}

/// Indices of the texts of each batch, longest first, so that a wave's batches cost about the same.
fn by_length(lengths: &[usize], most: usize, budget: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|text| std::cmp::Reverse(lengths[*text]));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut tokens = 0;
    for text in order {
        let length = lengths[text];
        match batches.last_mut() {
            Some(batch) if batch.len() < most && tokens + length <= budget => {
                batch.push(text);
                tokens += length;
            }
            _ => {
                batches.push(vec![text]);
                tokens = length;
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_cut_by_count_and_by_tokens_and_hold_every_text_once() {
        let lengths = [5, 1, 9, 3, 3];
        assert_eq!(by_length(&lengths, 2, 100), [vec![2, 0], vec![3, 4], vec![1]]);
        assert_eq!(by_length(&lengths, 9, 9), [vec![2], vec![0, 3], vec![4, 1]]);
    }
}
