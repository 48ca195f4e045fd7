//! Weights as integers with scales: a fourth to an eighth of the bytes, and the same numbers.

use pulp::Simd;

/// A matrix of integers in stretches along its rows, each with a scale and an offset: a number is
/// `code · scale + offset`, rounded once. What the block formats of GGUF files are: their products are exact, for scales
/// have no more than 19 bits and codes no more than 5 (8 where scales have 11).
#[derive(Clone, Debug, PartialEq)]
pub struct Blocks {
    /// Row-major.
    pub codes: Vec<i8>,
    /// One for each stretch.
    pub scales: Vec<f32>,
    /// Likewise.
    pub offsets: Vec<f32>,
    /// Codes of a stretch: a multiple of 8 that divides rows.
    pub length: usize,
}

impl Blocks {
    /// The numbers, row-major.
    pub fn numbers(&self) -> Vec<f32> {
        let stretches = self
            .codes
            .chunks_exact(self.length)
            .zip(&self.scales)
            .zip(&self.offsets);
        stretches
            .flat_map(|((codes, scale), offset)| {
                codes
                    .iter()
                    .map(move |code| f32::from(*code).mul_add(*scale, *offset))
            })
            .collect()
    }
}

/// [`Blocks`] as a right operand, transposed: of each panel the stretches one after the other. A word holds the codes of as many
/// rows of a column as have room in it, less the least code, the first row lowest.
#[derive(Clone, Debug)]
pub(super) struct Codes {
    words: Vec<u32>,
    /// Of each panel and stretch one a column.
    scales: Vec<f32>,
    /// Likewise; empty if all of them are 0.
    offsets: Vec<f32>,
    /// Codes of a stretch.
    length: usize,
    /// Bits of a code.
    bits: u32,
    /// The least code.
    low: i8,
    /// Stretches of a column.
    stretches: usize,
    width: usize,
}

/// A stretch of a panel.
#[derive(Clone, Copy)]
pub(super) struct Stretch<'a> {
    words: &'a [u32],
    scales: &'a [f32],
    offsets: &'a [f32],
}

/// A scale and an offset for each column of a vector.
pub(super) type Factors<S> = (<S as Simd>::f32s, <S as Simd>::f32s);

/// How the numbers of words are told.
#[derive(Clone, Copy)]
pub(super) struct Numbers<S: Simd> {
    mask: S::u32s,
    /// The bits of 2^23: with an integer below 2^23 in them they are the sum of both.
    integers: S::u32s,
    /// What that sum is more than the code.
    zero: S::f32s,
}

impl<S: Simd> Numbers<S> {
    /// Of the row whose codes are `shift` bits up in the words.
    #[inline(always)]
    pub(super) fn of(self, simd: S, words: S::u32s, shift: u32, (scales, offsets): Factors<S>) -> S::f32s {
        let code = simd.wrapping_dyn_shr_u32s(words, simd.splat_u32s(shift));
        let code = simd.or_u32s(simd.and_u32s(code, self.mask), self.integers);
        // Exact: both are integers below 2^24.
        let code = simd.sub_f32s(simd.transmute_f32s_u32s(code), self.zero);
        simd.mul_add_f32s(code, scales, offsets)
    }
}

impl Codes {
    /// Of rows of `depth` codes, for panels of `width` columns.
    pub(super) fn new(blocks: &Blocks, depth: usize, width: usize) -> Self {
        let least = blocks.codes.iter().copied().min().unwrap_or(0);
        let most = blocks.codes.iter().copied().max().unwrap_or(0);
        let (bits, low) = match i16::from(most) - i16::from(least) < 16 {
            true => (4, least),
            false => (8, i8::MIN),
        };
        let (length, stretches) = (blocks.length, depth / blocks.length);
        let cols = blocks.codes.len() / depth.max(1);
        let mut codes = Self {
            words: Vec::new(),
            scales: Vec::new(),
            offsets: Vec::new(),
            length,
            bits,
            low,
            stretches,
            width,
        };
        let has_offsets = blocks.offsets.iter().any(|offset| *offset != 0.0);
        for (first, stretch) in (0..cols)
            .step_by(width)
            .flat_map(|first| (0..stretches).map(move |at| (first, at)))
        {
            // The last panel may have more columns than there are: their numbers are 0.
            let of =
                |column: usize| (first + column < cols).then_some((first + column) * stretches + stretch);
            let each = |numbers: &[f32]| -> Vec<f32> {
                (0..width)
                    .map(|column| of(column).map_or(0.0, |at| numbers[at]))
                    .collect()
            };
            codes.scales.extend(each(&blocks.scales));
            if has_offsets {
                codes.offsets.extend(each(&blocks.offsets));
            }
            codes.push_words(|row, column| of(column).map_or(low, |at| blocks.codes[at * length + row]));
        }
        codes
    }

    /// Appends a stretch of the codes at rows and columns.
    fn push_words(&mut self, code: impl Fn(usize, usize) -> i8) {
        let (bits, low, rows) = (self.bits, i32::from(self.low), self.rows_of_word());
        let word = |first: usize, column: usize| {
            let raised = |row| (i32::from(code(first + row, column)) - low).cast_unsigned();
            (0..rows).fold(0, |word, row| word | raised(row) << (bits * row as u32))
        };
        for first in (0..self.length).step_by(rows) {
            self.words
                .extend((0..self.width).map(|column| word(first, column)));
        }
    }

    fn rows_of_word(&self) -> usize {
        (u32::BITS / self.bits) as usize
    }

    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Bits of a code: 4 or 8.
    pub(super) fn bits(&self) -> u32 {
        self.bits
    }

    /// How its numbers are told; `BITS` are those of a code.
    #[inline(always)]
    pub(super) fn numbers<S: Simd, const BITS: u32>(&self, simd: S) -> Numbers<S> {
        const INTEGERS: f32 = 8_388_608.0;
        Numbers {
            mask: simd.splat_u32s((1 << BITS) - 1),
            integers: simd.splat_u32s(INTEGERS.to_bits()),
            zero: simd.splat_f32s(INTEGERS - f32::from(self.low)),
        }
    }

    /// Of the panel at an index, the stretches of `depth` rows from `from` on.
    pub(super) fn panel(&self, panel: usize, from: usize, depth: usize) -> impl Iterator<Item = Stretch<'_>> {
        (from / self.length..(from + depth) / self.length).map(move |at| self.stretch(panel, at))
    }

    /// A stretch of a panel.
    #[inline(always)]
    pub(super) fn stretch(&self, panel: usize, at: usize) -> Stretch<'_> {
        let (width, words) = (self.width, self.length / self.rows_of_word() * self.width);
        let at = panel * self.stretches + at;
        let offsets = match self.offsets.as_slice() {
            [] => &[][..],
            offsets => &offsets[at * width..][..width],
        };
        Stretch {
            words: &self.words[at * words..][..words],
            scales: &self.scales[at * width..][..width],
            offsets,
        }
    }

    /// The numbers of a column.
    pub(super) fn column(&self, column: usize) -> Vec<f32> {
        let (panel, column) = (column / self.width, column % self.width);
        let mut numbers = Vec::with_capacity(self.stretches * self.length);
        for stretch in self.panel(panel, 0, self.stretches * self.length) {
            let (scale, offset) = (
                stretch.scales[column],
                stretch.offsets.get(column).unwrap_or(&0.0),
            );
            for word in stretch.words.iter().skip(column).step_by(self.width) {
                let code =
                    |shift: u32| (word >> shift & ((1 << self.bits) - 1)).cast_signed() + i32::from(self.low);
                let shifts = (0..u32::BITS).step_by(self.bits as usize);
                numbers.extend(shifts.map(|shift| (code(shift) as f32).mul_add(scale, *offset)));
            }
        }
        numbers
    }
}

impl<'a> Stretch<'a> {
    /// Scales and offsets of its two vectors.
    #[inline(always)]
    pub(super) fn factors<S: Simd>(self, simd: S) -> [Factors<S>; 2] {
        let (scales, _) = S::as_simd_f32s(self.scales);
        let (offsets, _) = S::as_simd_f32s(self.offsets);
        match offsets {
            [] => [
                (scales[0], simd.splat_f32s(0.0)),
                (scales[1], simd.splat_f32s(0.0)),
            ],
            offsets => [(scales[0], offsets[0]), (scales[1], offsets[1])],
        }
    }

    /// Its words, two vectors each.
    #[inline(always)]
    pub(super) fn words<S: Simd>(self) -> &'a [[S::u32s; 2]] {
        S::as_simd_u32s(self.words).0.as_chunks().0
    }

    /// Writes the numbers of each row, two vectors.
    #[inline(always)]
    pub(super) fn expand<S: Simd, const BITS: u32>(
        self,
        simd: S,
        numbers: Numbers<S>,
        rows: &mut [[S::f32s; 2]],
    ) {
        let factors = self.factors(simd);
        let per_word = (u32::BITS / BITS) as usize;
        for (words, rows) in self.words::<S>().iter().zip(rows.chunks_exact_mut(per_word)) {
            for half in 0..2 {
                for (row, shift) in rows.iter_mut().zip((0..).map(|row| row * BITS)) {
                    row[half] = numbers.of(simd, words[half], shift, factors[half]);
                }
            }
        }
    }
}
