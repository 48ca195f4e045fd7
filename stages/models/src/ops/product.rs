//! Products of f32 matrices whose bits depend on nothing but the operands.
//!
//! Every element of a product is one chain of fused multiply-adds over the inner dimension, from the first to the
//! last, whatever the number of rows, the blocking, the vector width or the number of threads: a row alone gives the
//! bits it gives among thousands. The blocking is Goto and van de Geijn's ("Anatomy of High-Performance Matrix
//! Multiplication", 2008): the right operand packed into panels two vectors wide, the left one taken in tiles of six
//! rows, so that twelve vector accumulators stay in registers.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Rows of a register tile.
const TILE_ROWS: usize = 6;
/// Rows a task multiplies; a block of them stays in the second-level cache.
const BLOCK_ROWS: usize = 96;
/// Inner dimension of a block; a panel of it stays in the first-level cache.
const BLOCK_DEPTH: usize = 256;
/// The widest panel: two 512-bit vectors.
const WIDEST: usize = 32;
/// Packing smaller operands than this (in elements) is not worth a second thread.
const PARALLEL_PACK: usize = 1 << 16;

/// A matrix seen through strides.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A `rows × cols` matrix in row-major order.
    ///
    /// # Panics
    /// If `data` is too short.
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self::window(data, rows, cols, cols)
    }

    /// A `rows × cols` window of a wider row-major matrix whose rows are `row_stride` apart.
    ///
    /// # Panics
    /// If `data` is too short.
    pub fn window(data: &'a [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        let needed = if rows == 0 {
            0
        } else {
            (rows - 1) * row_stride + cols
        };
        assert!(
            data.len() >= needed,
            "{rows} × {cols} needs {needed} numbers, not {}",
            data.len()
        );
        Self {
            data,
            rows,
            cols,
            row_stride,
            col_stride: 1,
        }
    }

    /// The transpose.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    /// `count` rows from `first` on.
    fn rows(self, first: usize, count: usize) -> Self {
        Self {
            data: &self.data[first * self.row_stride..],
            rows: count,
            ..self
        }
    }
}

/// A right operand in the kernel's order: panels of [`Packed::width`] columns, each a row of its panel after the other.
#[derive(Clone, Debug)]
pub struct Packed {
    panels: Vec<f32>,
    depth: usize,
    cols: usize,
    width: usize,
}

impl Packed {
    /// Packs `b`, `depth × cols`.
    pub fn new(b: Matrix<'_>) -> Self {
        let width = Arch::new().dispatch(PanelWidth);
        let (depth, cols) = (b.rows, b.cols);
        let mut panels = vec![0.0; depth * cols.next_multiple_of(width)];
        let pack = |(j, panel): (usize, &mut [f32])| pack_panel(b, j * width, width, panel);
        if depth > 0 && panels.len() < PARALLEL_PACK {
            panels.chunks_exact_mut(depth * width).enumerate().for_each(pack);
        } else if depth > 0 {
            panels
                .par_chunks_exact_mut(depth * width)
                .enumerate()
                .for_each(pack);
        }
        Self {
            panels,
            depth,
            cols,
            width,
        }
    }

    /// Columns of the operand.
    pub fn cols(&self) -> usize {
        self.cols
    }
}

/// `a · b` into rows of `out` that are `stride` apart, added to what stands there if `add`; on this thread.
///
/// # Panics
/// If the inner dimensions differ or `out` is too short.
pub fn multiply(a: Matrix<'_>, b: &Packed, out: &mut [f32], stride: usize, add: bool) {
    assert_eq!(a.cols, b.depth, "inner dimensions");
    if a.rows == 0 || b.cols == 0 {
        return;
    }
    assert!(
        out.len() >= (a.rows - 1) * stride + b.cols && stride >= b.cols,
        "room for the product"
    );
    if b.depth == 0 {
        if !add {
            out.chunks_mut(stride).for_each(|row| row[..b.cols].fill(0.0));
        }
        return;
    }
    Arch::new().dispatch(Multiply {
        a,
        b,
        out,
        stride,
        add,
    });
}

/// `a · b`, plus `bias` in every row if there is one, row-major; over all threads.
///
/// # Panics
/// If the shapes do not fit.
pub fn product(a: Matrix<'_>, b: &Packed, bias: Option<&[f32]>) -> Vec<f32> {
    let mut out = vec![0.0; a.rows * b.cols];
    if b.cols > 0 {
        let blocks = out.par_chunks_mut(BLOCK_ROWS * b.cols).enumerate();
        blocks.for_each(|(i, out)| affine(a.rows(i * BLOCK_ROWS, out.len() / b.cols), b, bias, out));
    }
    out
}

/// The same for a few rows, on this thread.
fn affine(a: Matrix<'_>, b: &Packed, bias: Option<&[f32]>, out: &mut [f32]) {
    if let Some(bias) = bias {
        out.chunks_exact_mut(b.cols)
            .for_each(|row| row.copy_from_slice(bias));
    }
    multiply(a, b, out, b.cols, bias.is_some());
}

/// Two linear layers, `between` applied in place to what the first gives, a few rows at a time: what lies between
/// them never leaves the cache. Each layer is its packed weights and its bias. The bits are those of two
/// [`product`]s.
///
/// # Panics
/// If the shapes do not fit.
pub fn chained(
    a: Matrix<'_>,
    [first, second]: [(&Packed, &[f32]); 2],
    between: impl Fn(&mut [f32]) + Sync,
) -> Vec<f32> {
    let (width, cols) = (first.0.cols, second.0.cols);
    let mut out = vec![0.0; a.rows * cols];
    out.par_chunks_mut(BLOCK_ROWS * cols)
        .enumerate()
        .for_each(|(i, out)| {
            let rows = out.len() / cols;
            let mut inner = vec![0.0; rows * width];
            affine(a.rows(i * BLOCK_ROWS, rows), first.0, Some(first.1), &mut inner);
            between(&mut inner);
            affine(Matrix::new(&inner, rows, width), second.0, Some(second.1), out);
        });
    out
}

struct PanelWidth;

impl WithSimd for PanelWidth {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        2 * S::F32_LANES
    }
}

/// Copies columns `first..` of `b` into a panel of `width` columns; missing columns stay 0.
fn pack_panel(b: Matrix<'_>, first: usize, width: usize, panel: &mut [f32]) {
    let count = width.min(b.cols - first);
    if b.col_stride == 1 {
        for (p, row) in panel.chunks_exact_mut(width).enumerate() {
            let from = p * b.row_stride + first;
            row[..count].copy_from_slice(&b.data[from..from + count]);
        }
    } else {
        for c in 0..count {
            let column = b.data[(first + c) * b.col_stride..].iter().step_by(b.row_stride);
            let slots = panel[c..].iter_mut().step_by(width);
            slots.zip(column).for_each(|(slot, x)| *slot = *x);
        }
    }
}

struct Multiply<'a> {
    a: Matrix<'a>,
    b: &'a Packed,
    out: &'a mut [f32],
    stride: usize,
    add: bool,
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { a, b, .. } = self;
        // Rows that lie one after the other are read where they stand; columns are gathered into tiles first.
        let gather = a.col_stride != 1;
        let tiles = if gather {
            a.rows.next_multiple_of(TILE_ROWS)
        } else {
            0
        };
        let mut gathered = vec![0.0; tiles * b.depth.min(BLOCK_DEPTH)];
        for from in (0..b.depth).step_by(BLOCK_DEPTH) {
            let depth = BLOCK_DEPTH.min(b.depth - from);
            let add = self.add || from > 0;
            if gather {
                gather_rows(a, from, depth, &mut gathered[..tiles * depth]);
            }
            for (j, panel) in b.panels.chunks_exact(b.depth * b.width).enumerate() {
                let panel = &panel[from * b.width..(from + depth) * b.width];
                for first in (0..a.rows).step_by(TILE_ROWS) {
                    let target = Target {
                        out: &mut self.out[first * self.stride + j * b.width..],
                        stride: self.stride,
                        rows: TILE_ROWS.min(a.rows - first),
                        cols: b.width.min(b.cols - j * b.width),
                        add,
                    };
                    if gather {
                        let (tile, _) = gathered[first * depth..].as_chunks::<TILE_ROWS>();
                        multiply_tile(simd, tile[..depth].iter().copied(), panel, target);
                    } else {
                        // A missing row is stood in for by the last one, and its products are dropped.
                        let last = target.rows - 1;
                        let row =
                            |r: usize| a.data[(first + r.min(last)) * a.row_stride + from..][..depth].iter();
                        let rows = row(0).zip(row(1)).zip(row(2)).zip(row(3)).zip(row(4)).zip(row(5));
                        let left = rows.map(|(((((a, b), c), d), e), f)| [*a, *b, *c, *d, *e, *f]);
                        multiply_tile(simd, left, panel, target);
                    }
                }
            }
        }
    }
}

/// Copies `depth` columns of `a`, whose columns lie one after the other, from `from` on into tiles of six rows;
/// missing rows are 0.
#[inline(always)]
fn gather_rows(a: Matrix<'_>, from: usize, depth: usize, tiles: &mut [f32]) {
    for p in 0..depth {
        // Column by column, so that numbers that lie together are read together.
        let at = (from + p) * a.col_stride;
        for first in (0..a.rows).step_by(TILE_ROWS) {
            let count = TILE_ROWS.min(a.rows - first);
            let column = a.data[at + first * a.row_stride..].iter().step_by(a.row_stride);
            let slots = &mut tiles[first * depth + p * TILE_ROWS..][..TILE_ROWS];
            slots[count..].fill(0.0);
            slots[..count]
                .iter_mut()
                .zip(column)
                .for_each(|(slot, x)| *slot = *x);
        }
    }
}

/// Where a tile of the result goes: `rows × cols` of `out`, whose rows are `stride` apart.
struct Target<'a> {
    out: &'a mut [f32],
    stride: usize,
    rows: usize,
    cols: usize,
    add: bool,
}

/// One tile of the result: six rows, given column by column, times one panel.
#[inline(always)]
fn multiply_tile<S: Simd>(
    simd: S,
    left: impl Iterator<Item = [f32; TILE_ROWS]>,
    panel: &[f32],
    target: Target<'_>,
) {
    let Target {
        out,
        stride,
        rows,
        cols,
        add,
    } = target;
    let width = 2 * S::F32_LANES;
    if rows == TILE_ROWS && cols == width {
        let start = if add { load(simd, out, stride) } else { zeros(simd) };
        store(simd, accumulate(simd, left, panel, start), out, stride);
        return;
    }
    // At the edge the tile is computed whole beside the result, and its corner copied.
    let mut whole = [0.0; TILE_ROWS * WIDEST];
    if add {
        for r in 0..rows {
            whole[r * width..r * width + cols].copy_from_slice(&out[r * stride..r * stride + cols]);
        }
    }
    let sums = accumulate(simd, left, panel, load(simd, &whole, width));
    store(simd, sums, &mut whole, width);
    for r in 0..rows {
        out[r * stride..r * stride + cols].copy_from_slice(&whole[r * width..r * width + cols]);
    }
}

/// The sums of a tile, two vectors a row.
type Sums<S> = [[<S as Simd>::f32s; 2]; TILE_ROWS];

#[inline(always)]
fn accumulate<S: Simd>(
    simd: S,
    left: impl Iterator<Item = [f32; TILE_ROWS]>,
    panel: &[f32],
    mut sums: Sums<S>,
) -> Sums<S> {
    let (vectors, _) = S::as_simd_f32s(panel);
    let (right, _) = vectors.as_chunks::<2>();
    for (left, right) in left.zip(right) {
        for r in 0..TILE_ROWS {
            let x = simd.splat_f32s(left[r]);
            sums[r][0] = simd.mul_add_f32s(x, right[0], sums[r][0]);
            sums[r][1] = simd.mul_add_f32s(x, right[1], sums[r][1]);
        }
    }
    sums
}

#[inline(always)]
fn zeros<S: Simd>(simd: S) -> Sums<S> {
    [[simd.splat_f32s(0.0); 2]; TILE_ROWS]
}

#[inline(always)]
fn load<S: Simd>(simd: S, from: &[f32], stride: usize) -> Sums<S> {
    let mut sums = zeros(simd);
    for (r, sums) in sums.iter_mut().enumerate() {
        let (row, _) = S::as_simd_f32s(&from[r * stride..r * stride + 2 * S::F32_LANES]);
        *sums = [row[0], row[1]];
    }
    sums
}

#[inline(always)]
fn store<S: Simd>(_: S, sums: Sums<S>, to: &mut [f32], stride: usize) {
    for (r, sums) in sums.iter().enumerate() {
        let (row, _) = S::as_mut_simd_f32s(&mut to[r * stride..r * stride + 2 * S::F32_LANES]);
        row[0] = sums[0];
        row[1] = sums[1];
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::float_cmp)]
mod tests;
