//! Few rows times weights kept as codes, each row alone. Where a number is hardly used again it is not written out: it
//! goes from its code into the sum. The sums are the chains of [`super::tile`].

use pulp::{Simd, WithSimd};

use super::{
    Matrix,
    codes::{Codes, Numbers},
};

/// More rows than this are faster through [`super::tile`].
pub(super) const MOST_ROWS: usize = 2;
/// The widest panel: two 512-bit vectors.
const WIDEST: usize = 32;

/// A row-major matrix times `cols` columns of codes from the panel at `first` on, into rows of `out` that are `stride` apart.
pub(super) struct MultiplyRows<'a> {
    pub(super) a: Matrix<'a>,
    pub(super) codes: &'a Codes,
    pub(super) first: usize,
    pub(super) cols: usize,
    pub(super) out: &'a mut [f32],
    pub(super) stride: usize,
    pub(super) add: bool,
}

impl WithSimd for MultiplyRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.codes.bits() {
            4 => self.multiply::<S, 4>(simd),
            _ => self.multiply::<S, 8>(simd),
        }
    }
}

impl MultiplyRows<'_> {
    #[inline(always)]
    fn multiply<S: Simd, const BITS: u32>(self, simd: S) {
        let numbers = self.codes.numbers::<S, BITS>(simd);
        let mut sums = [0.0; WIDEST];
        let sums = &mut sums[..2 * S::F32_LANES];
        for at in 0..self.a.rows {
            let row = &self.a.data[at * self.a.row_stride..][..self.a.cols];
            let out = &mut self.out[at * self.stride..][..self.cols];
            for (panel, out) in (self.first..).zip(out.chunks_mut(sums.len())) {
                sums.fill(0.0);
                if self.add {
                    sums[..out.len()].copy_from_slice(out);
                }
                accumulate::<S, BITS>(simd, row, self.codes, panel, numbers, sums);
                out.copy_from_slice(&sums[..out.len()]);
            }
        }
    }
}

/// Adds the products with the columns of a panel. No closures here: they would be compiled without the vectors'
/// instructions; and one panel at a time: the registers hold no more.
#[inline(always)]
fn accumulate<S: Simd, const BITS: u32>(
    simd: S,
    row: &[f32],
    codes: &Codes,
    panel: usize,
    numbers: Numbers<S>,
    sums: &mut [f32],
) {
    let (sums, _) = S::as_mut_simd_f32s(sums);
    let mut under_way = [sums[0], sums[1]];
    for (at, row) in row.chunks_exact(codes.length()).enumerate() {
        let stretch = codes.stretch(panel, at);
        let factors = stretch.factors(simd);
        let rows = row.chunks_exact((u32::BITS / BITS) as usize);
        for (words, row) in stretch.words::<S>().iter().zip(rows) {
            let mut shift = 0;
            for x in row {
                let x = simd.splat_f32s(*x);
                for half in 0..2 {
                    let number = numbers.of(simd, words[half], shift, factors[half]);
                    under_way[half] = simd.mul_add_f32s(x, number, under_way[half]);
                }
                shift += BITS;
            }
        }
    }
    sums.copy_from_slice(&under_way);
}
