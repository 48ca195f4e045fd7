//! Attention of the tokens of a step, as products: the queries that share a key-value head are the left operand, blocks
//! of the cache the right ones.
//!
//! A token's answer is one chain of sums over the tokens it sees, those of the prefix first, and what it may not see
//! has weight 0: its bits depend neither on the other tokens of the step nor on how much of the text is prefix.

use rayon::prelude::*;

use super::{Cache, Config, cache::BLOCK};
use crate::ops::{
    decoder::weigh,
    product::{Matrix, Right, multiply_right},
};

/// Rows of a left operand, about: they share what is read of the cache.
const ROWS: usize = 96;

/// What the tokens of a step may see in a layer.
pub(super) struct Seen<'a> {
    config: &'a Config,
    layer: usize,
    prefix: &'a Cache,
    tokens: Vec<Token<'a>>,
}

/// A token of a step.
#[derive(Clone, Copy)]
struct Token<'a> {
    cache: &'a Cache,
    /// The row it belongs to.
    row: usize,
    /// Where in the text the tokens begin and end that it sees.
    first: usize,
    end: usize,
}

impl<'a> Seen<'a> {
    /// Of rows of so many new tokens, whose keys are in their caches already.
    pub(super) fn new(
        config: &'a Config,
        layer: usize,
        prefix: &'a Cache,
        rows: impl Iterator<Item = (usize, &'a Cache)>,
    ) -> Self {
        let window = config.layers[layer].window.unwrap_or(usize::MAX);
        let token = |(row, (new, cache)): (usize, (usize, &'a Cache))| {
            let end = prefix.tokens() + cache.tokens() + new + 1;
            let first = end.saturating_sub(window);
            Token {
                cache,
                row,
                first,
                end,
            }
        };
        let tokens = rows
            .enumerate()
            .flat_map(|(row, (count, cache))| (0..count).map(move |new| (row, (new, cache))));
        Self {
            config,
            layer,
            prefix,
            tokens: tokens.map(token).collect(),
        }
    }

    /// Query heads that share a key-value head.
    fn shared(&self) -> usize {
        let (query, key) = self.config.query_and_key_widths();
        query / key
    }
}

/// The heads' answers for every token; `lines` hold its queries first and are `stride` apart.
pub(super) fn attended(seen: &Seen<'_>, lines: &[f32], stride: usize) -> Vec<f32> {
    let (query, _) = seen.config.query_and_key_widths();
    let tokens = (ROWS / seen.shared()).max(1);
    let mut out = vec![0.0; seen.tokens.len() * query];
    let some = |((tokens, lines), out): ((&[Token<'_>], &[f32]), &mut [f32])| {
        let mut scores = Vec::new();
        for head in 0..seen.config.num_key_value_heads {
            let asking = Asking { seen, head, tokens };
            asking.attend((lines, stride), &mut scores, out);
        }
    };
    let parts = seen
        .tokens
        .par_chunks(tokens)
        .zip(lines.par_chunks(tokens * stride));
    parts.zip(out.par_chunks_mut(tokens * query)).for_each(some);
    out
}

/// Tokens of a step that ask a key-value head.
struct Asking<'a> {
    seen: &'a Seen<'a>,
    head: usize,
    tokens: &'a [Token<'a>],
}

/// A block of a cache that some rows of the left operand are multiplied with.
struct Part<'a> {
    cache: &'a Cache,
    /// Which rows.
    rows: (usize, usize),
    block: usize,
    /// Tokens of it that count.
    count: usize,
    /// Where in the text it begins.
    at: usize,
}

impl<'a> Asking<'a> {
    /// Adds the answers to the heads' places in `out`, which is 0.
    fn attend(&self, (lines, stride): (&[f32], usize), scores: &mut Vec<f32>, out: &mut [f32]) {
        let (config, shared, width) = (self.seen.config, self.seen.shared(), self.seen.config.head_width);
        let (query, _) = config.query_and_key_widths();
        let heads = self.head * shared * width..(self.head + 1) * shared * width;
        let queries: Vec<f32> = lines
            .chunks_exact(stride)
            .flat_map(|line| &line[heads.clone()])
            .copied()
            .collect();
        let rows = self.tokens.len() * shared;
        let longest = self.tokens.iter().map(|token| token.end).max().unwrap_or(0);
        let span = longest.next_multiple_of(BLOCK);
        scores.resize(rows * span, 0.0);
        let parts = self.parts(shared);
        for part in &parts {
            let queries = Matrix::new(&queries[part.rows.0 * width..], part.rows.1 - part.rows.0, width);
            multiply_right(
                queries,
                self.keys(part),
                &mut scores[part.rows.0 * span + part.at..],
                span,
                false,
            );
        }
        let scale = config.score_scale as f32;
        let mut totals = Vec::with_capacity(rows);
        for (row, scores) in scores.chunks_exact_mut(span).take(rows).enumerate() {
            let token = self.tokens[row / shared];
            totals.push(weigh(scores, (token.first, token.end), scale));
        }
        let mut answers = vec![0.0; rows * width];
        for part in &parts {
            let weights = &scores[part.rows.0 * span + part.at..];
            let weights = Matrix::window(weights, part.rows.1 - part.rows.0, part.count, span);
            multiply_right(
                weights,
                self.values(part),
                &mut answers[part.rows.0 * width..],
                width,
                true,
            );
        }
        for (answer, total) in answers.chunks_exact_mut(width).zip(totals) {
            answer.iter_mut().for_each(|x| *x /= total);
        }
        for (out, answers) in out
            .chunks_exact_mut(query)
            .zip(answers.chunks_exact(shared * width))
        {
            out[heads.clone()].copy_from_slice(answers);
        }
    }

    fn keys(&self, part: &Part<'a>) -> Right<'a> {
        part.cache.keys(
            self.seen.config,
            (self.seen.layer, self.head),
            part.block,
            part.count,
        )
    }

    fn values(&self, part: &Part<'a>) -> Right<'a> {
        part.cache.values(
            self.seen.config,
            (self.seen.layer, self.head),
            part.block,
            part.count,
        )
    }

    /// The blocks these tokens see, in the order of the text: those of the prefix for all of them, then each row's own.
    fn parts(&self, shared: usize) -> Vec<Part<'a>> {
        let mut parts = Vec::new();
        let prefix = self.seen.prefix;
        let every = (0, self.tokens.len());
        push_parts(
            &mut parts,
            (prefix, 0, prefix.tokens()),
            self.tokens,
            (every, shared),
        );
        let mut from = 0;
        for row in self.tokens.chunk_by(|a, b| a.row == b.row) {
            let to = from + row.len();
            let end = row.iter().map(|token| token.end).max().unwrap_or(0);
            let own = (row[0].cache, prefix.tokens(), end - prefix.tokens());
            push_parts(&mut parts, own, row, ((from, to), shared));
            from = to;
        }
        parts
    }
}

/// The blocks of a cache of so many tokens, standing at a place of the text, that any of these tokens sees.
fn push_parts<'a>(
    parts: &mut Vec<Part<'a>>,
    (cache, at, tokens): (&'a Cache, usize, usize),
    asking: &[Token<'_>],
    ((from, to), shared): ((usize, usize), usize),
) {
    let first = asking.iter().map(|token| token.first).min().unwrap_or(0);
    for block in first.saturating_sub(at) / BLOCK..tokens.div_ceil(BLOCK) {
        parts.push(Part {
            cache,
            rows: (from * shared, to * shared),
            block,
            count: BLOCK.min(tokens - block * BLOCK),
            at: at + block * BLOCK,
        });
    }
}
