//! Tiles of a product: up to six rows of the left operand times one panel of the right one.

use pulp::{Simd, WithSimd};

use super::{Matrix, Panels, Right, codes::Codes};

/// Rows of a register tile.
const TILE_ROWS: usize = 6;
/// Inner dimension of a block; a panel of it stays in the first-level cache. Codes come in stretches that divide it.
const BLOCK_DEPTH: usize = 256;
/// The widest panel: two 512-bit vectors.
const WIDEST: usize = 32;

/// A product into rows of `out` that are `stride` apart.
pub(super) struct Multiply<'a> {
    pub(super) a: Matrix<'a>,
    pub(super) b: Right<'a>,
    pub(super) out: &'a mut [f32],
    pub(super) stride: usize,
    pub(super) add: bool,
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            a,
            b,
            out,
            stride,
            add,
        } = self;
        let most = b.depth.min(BLOCK_DEPTH);
        let mut left = vec![0.0; a.rows * most];
        let mut expanded = match b.panels {
            Panels::Numbers(_) => Vec::new(),
            Panels::Codes(..) => vec![0.0; most * b.width],
        };
        for from in (0..b.depth).step_by(BLOCK_DEPTH) {
            let depth = BLOCK_DEPTH.min(b.depth - from);
            gather_tiles(a, (from, depth), &mut left);
            for j in 0..b.cols.div_ceil(b.width) {
                let panel = match b.panels {
                    Panels::Numbers(numbers) => &numbers[(j * b.room + from) * b.width..][..depth * b.width],
                    Panels::Codes(codes, first) => {
                        expand(simd, codes, (first + j, from, depth), &mut expanded);
                        &expanded[..depth * b.width]
                    }
                };
                for first in (0..a.rows).step_by(TILE_ROWS) {
                    let rows = TILE_ROWS.min(a.rows - first);
                    let target = Target {
                        out: &mut out[first * stride + j * b.width..],
                        stride,
                        cols: b.width.min(b.cols - j * b.width),
                        add: add || from > 0,
                    };
                    let left = &left[first * depth..(first + rows) * depth];
                    match rows {
                        1 => multiply_tile::<S, 1>(simd, left, panel, target),
                        2 => multiply_tile::<S, 2>(simd, left, panel, target),
                        3 => multiply_tile::<S, 3>(simd, left, panel, target),
                        4 => multiply_tile::<S, 4>(simd, left, panel, target),
                        5 => multiply_tile::<S, 5>(simd, left, panel, target),
                        _ => multiply_tile::<S, TILE_ROWS>(simd, left, panel, target),
                    }
                }
            }
        }
    }
}

/// Copies `depth` columns of `a` from `from` on into tiles, each column by column.
#[inline(always)]
fn gather_tiles(a: Matrix<'_>, (from, depth): (usize, usize), tiles: &mut [f32]) {
    for first in (0..a.rows).step_by(TILE_ROWS) {
        let rows = TILE_ROWS.min(a.rows - first);
        let tile = &mut tiles[first * depth..(first + rows) * depth];
        if a.col_stride == 1 {
            for r in 0..rows {
                let row = &a.data[(first + r) * a.row_stride + from..][..depth];
                let slots = tile[r..].iter_mut().step_by(rows);
                slots.zip(row).for_each(|(slot, x)| *slot = *x);
            }
        } else {
            for (p, slots) in tile.chunks_exact_mut(rows).enumerate() {
                let at = (from + p) * a.col_stride + first * a.row_stride;
                let column = a.data[at..].iter().step_by(a.row_stride);
                slots.iter_mut().zip(column).for_each(|(slot, x)| *slot = *x);
            }
        }
    }
}

/// Writes a panel's numbers.
#[inline(always)]
fn expand<S: Simd>(simd: S, codes: &Codes, at: (usize, usize, usize), into: &mut [f32]) {
    match codes.bits() {
        4 => expand_codes::<S, 4>(simd, codes, at, into),
        _ => expand_codes::<S, 8>(simd, codes, at, into),
    }
}

#[inline(always)]
fn expand_codes<S: Simd, const BITS: u32>(
    simd: S,
    codes: &Codes,
    (panel, from, depth): (usize, usize, usize),
    into: &mut [f32],
) {
    let numbers = codes.numbers::<S, BITS>(simd);
    let (vectors, _) = S::as_mut_simd_f32s(into);
    let (rows, _) = vectors.as_chunks_mut::<2>();
    let stretches = codes.panel(panel, from, depth);
    for (stretch, rows) in stretches.zip(rows.chunks_exact_mut(codes.length())) {
        stretch.expand::<S, BITS>(simd, numbers, rows);
    }
}

/// Where a tile of the result goes: `cols` columns of rows that are `stride` apart.
struct Target<'a> {
    out: &'a mut [f32],
    stride: usize,
    cols: usize,
    add: bool,
}

/// The sums of a tile, two vectors a row.
type Sums<S, const R: usize> = [[<S as Simd>::f32s; 2]; R];

/// One tile of the result: `R` rows, given column by column, times one panel.
#[inline(always)]
fn multiply_tile<S: Simd, const R: usize>(simd: S, left: &[f32], panel: &[f32], target: Target<'_>) {
    let (left, _) = left.as_chunks::<R>();
    let Target {
        out,
        stride,
        cols,
        add,
    } = target;
    let width = 2 * S::F32_LANES;
    if cols == width {
        let start = if add {
            load::<S, R>(simd, out, stride)
        } else {
            zeros(simd)
        };
        store::<S, R>(accumulate(simd, left, panel, start), out, stride);
        return;
    }
    // At the edge the tile is computed whole beside the result, and its corner copied.
    let mut whole = [0.0; TILE_ROWS * WIDEST];
    if add {
        for r in 0..R {
            whole[r * width..r * width + cols].copy_from_slice(&out[r * stride..r * stride + cols]);
        }
    }
    let sums = accumulate(simd, left, panel, load::<S, R>(simd, &whole, width));
    store::<S, R>(sums, &mut whole, width);
    for r in 0..R {
        out[r * stride..r * stride + cols].copy_from_slice(&whole[r * width..r * width + cols]);
    }
}

#[inline(always)]
fn accumulate<S: Simd, const R: usize>(
    simd: S,
    left: &[[f32; R]],
    panel: &[f32],
    mut sums: Sums<S, R>,
) -> Sums<S, R> {
    let (vectors, _) = S::as_simd_f32s(panel);
    let (right, _) = vectors.as_chunks::<2>();
    for (left, right) in left.iter().zip(right) {
        for r in 0..R {
            let x = simd.splat_f32s(left[r]);
            sums[r][0] = simd.mul_add_f32s(x, right[0], sums[r][0]);
            sums[r][1] = simd.mul_add_f32s(x, right[1], sums[r][1]);
        }
    }
    sums
}

#[inline(always)]
fn zeros<S: Simd, const R: usize>(simd: S) -> Sums<S, R> {
    [[simd.splat_f32s(0.0); 2]; R]
}

#[inline(always)]
fn load<S: Simd, const R: usize>(simd: S, from: &[f32], stride: usize) -> Sums<S, R> {
    let mut sums = zeros::<S, R>(simd);
    for (r, sums) in sums.iter_mut().enumerate() {
        let (row, _) = S::as_simd_f32s(&from[r * stride..r * stride + 2 * S::F32_LANES]);
        *sums = [row[0], row[1]];
    }
    sums
}

#[inline(always)]
fn store<S: Simd, const R: usize>(sums: Sums<S, R>, to: &mut [f32], stride: usize) {
    for (r, sums) in sums.iter().enumerate() {
        let (row, _) = S::as_mut_simd_f32s(&mut to[r * stride..r * stride + 2 * S::F32_LANES]);
        row[0] = sums[0];
        row[1] = sums[1];
    }
}
