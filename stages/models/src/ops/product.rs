//! Products of f32 matrices whose bits depend on nothing but the operands.
//!
//! Every element of a product is one chain of fused multiply-adds over the inner dimension, from the first to the
//! last, whatever the number of rows, the blocking, the vector width or the number of threads: a row alone gives the
//! bits it gives among thousands. The blocking is Goto and van de Geijn's ("Anatomy of High-Performance Matrix
//! Multiplication", 2008): the right operand packed into panels two vectors wide, the left one taken in tiles of six
//! rows, so that twelve vector accumulators stay in registers. Weights kept as [`Blocks`] of integers become numbers on the
//! way into the registers, the very numbers they stand for: written out for many rows, not for few ([`rows`]).

mod codes;
mod rows;
mod tile;

use std::sync::LazyLock;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

pub use codes::Blocks;
use codes::Codes;
use rows::MultiplyRows;
use tile::Multiply;

/// Rows a task multiplies; a block of them stays in the second-level cache.
pub(super) const BLOCK_ROWS: usize = 96;
/// Packing smaller operands than this (in elements) is not worth a second thread.
const PARALLEL_PACK: usize = 1 << 16;
/// Nor are products of few rows with smaller ones.
const PARALLEL_PRODUCT: usize = 1 << 18;

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

/// A right operand in the kernel's order: panels of so many columns, each a row of its panel after the other.
#[derive(Clone, Debug)]
pub struct Packed {
    store: Store,
    depth: usize,
    cols: usize,
}

#[derive(Clone, Debug)]
enum Store {
    Numbers(Vec<f32>),
    Codes(Codes),
}

impl Packed {
    /// Packs `b`, `depth × cols`.
    pub fn new(b: Matrix<'_>) -> Self {
        let width = panel_width();
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
            store: Store::Numbers(panels),
            depth,
            cols,
        }
    }

    /// Packs the transpose of blocks whose rows have `depth` numbers each.
    pub fn of_blocks(blocks: &Blocks, depth: usize) -> Self {
        Self {
            store: Store::Codes(Codes::new(blocks, depth, panel_width())),
            depth,
            cols: blocks.codes.len() / depth.max(1),
        }
    }

    /// Columns of the operand.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Rows of the operand.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The numbers of a column.
    ///
    /// # Panics
    /// If there is none of this index.
    pub fn column(&self, column: usize) -> Vec<f32> {
        let width = panel_width();
        match &self.store {
            Store::Codes(codes) => codes.column(column),
            Store::Numbers(panels) => {
                let panel = &panels[column / width * self.depth * width..][..self.depth * width];
                panel[column % width..].iter().step_by(width).copied().collect()
            }
        }
    }

    fn right(&self) -> Right<'_> {
        Right {
            panels: match &self.store {
                Store::Numbers(numbers) => Panels::Numbers(numbers),
                Store::Codes(codes) => Panels::Codes(codes, 0),
            },
            depth: self.depth,
            room: self.depth,
            cols: self.cols,
            width: panel_width(),
        }
    }
}

/// A right operand where it lies.
#[derive(Clone, Copy)]
pub(crate) struct Right<'a> {
    panels: Panels<'a>,
    depth: usize,
    /// Rows a panel has room for.
    room: usize,
    cols: usize,
    width: usize,
}

#[derive(Clone, Copy)]
enum Panels<'a> {
    Numbers(&'a [f32]),
    /// From the panel at an index on.
    Codes(&'a Codes, usize),
}

impl<'a> Right<'a> {
    /// `depth × cols` numbers in panels of [`panel_width`] columns with room for `room` rows each.
    pub(crate) fn new(panels: &'a [f32], (depth, room): (usize, usize), cols: usize) -> Self {
        Self {
            panels: Panels::Numbers(panels),
            depth,
            room,
            cols,
            width: panel_width(),
        }
    }

    /// The first `count` panels, and the others.
    fn split(self, count: usize) -> [Self; 2] {
        let cols = count * self.width;
        let others = match self.panels {
            Panels::Numbers(numbers) => Panels::Numbers(&numbers[cols * self.room..]),
            Panels::Codes(codes, first) => Panels::Codes(codes, first + count),
        };
        let first = Self { cols, ..self };
        [
            first,
            Self {
                panels: others,
                cols: self.cols - cols,
                ..self
            },
        ]
    }
}

/// Columns of a panel: two of the machine's vectors.
pub(crate) fn panel_width() -> usize {
    static WIDTH: LazyLock<usize> = LazyLock::new(|| Arch::new().dispatch(PanelWidth));
    *WIDTH
}

/// `a · b` into rows of `out` that are `stride` apart, added to what stands there if `add`; on this thread.
///
/// # Panics
/// If the inner dimensions differ or `out` is too short.
pub fn multiply(a: Matrix<'_>, b: &Packed, out: &mut [f32], stride: usize, add: bool) {
    multiply_right(a, b.right(), out, stride, add);
}

/// The same with a right operand where it lies.
pub(crate) fn multiply_right(a: Matrix<'_>, b: Right<'_>, out: &mut [f32], stride: usize, add: bool) {
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
    match b.panels {
        Panels::Codes(codes, first) if a.rows <= rows::MOST_ROWS && a.col_stride == 1 => {
            Arch::new().dispatch(MultiplyRows {
                a,
                codes,
                first,
                cols: b.cols,
                out,
                stride,
                add,
            });
        }
        _ => Arch::new().dispatch(Multiply {
            a,
            b,
            out,
            stride,
            add,
        }),
    }
}

/// The same with whatever threads are idle: rows in blocks, and the columns of few rows.
///
/// # Panics
/// If the inner dimensions differ or `out` is too short.
pub(crate) fn multiply_shared(a: Matrix<'_>, b: &Packed, out: &mut [f32], stride: usize, add: bool) {
    if a.rows <= BLOCK_ROWS {
        return multiply_columns(a, b.right(), out, stride, add);
    }
    let blocks = out.par_chunks_mut(BLOCK_ROWS * stride).enumerate();
    blocks.for_each(|(i, out)| {
        let first = i * BLOCK_ROWS;
        if let Some(rows) = a.rows.checked_sub(first).filter(|rows| *rows > 0) {
            multiply(a.rows(first, rows.min(BLOCK_ROWS)), b, out, stride, add);
        }
    });
}

/// Halves of the columns beside each other, one of them in room of its own.
fn multiply_columns(a: Matrix<'_>, b: Right<'_>, out: &mut [f32], stride: usize, add: bool) {
    let panels = b.cols.div_ceil(b.width);
    if b.depth * b.cols < PARALLEL_PRODUCT || panels < 2 || rayon::current_num_threads() == 1 {
        return multiply_right(a, b, out, stride, add);
    }
    let [left, right] = b.split(panels / 2);
    let mut beside: Vec<f32> = match add {
        true => (0..a.rows)
            .flat_map(|row| &out[row * stride + left.cols..][..right.cols])
            .copied()
            .collect(),
        false => vec![0.0; a.rows * right.cols],
    };
    rayon::join(
        || multiply_columns(a, left, out, stride, add),
        || multiply_columns(a, right, &mut beside, right.cols, add),
    );
    for (row, beside) in beside.chunks_exact(right.cols).enumerate() {
        out[row * stride + left.cols..][..right.cols].copy_from_slice(beside);
    }
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::float_cmp)]
mod tests;
