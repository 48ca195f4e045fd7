//! Weights as integers with scales: a fourth to an eighth of the bytes, and the same numbers.

use pulp::Simd;

use super::tile::WIDEST;

/// A matrix of integers in stretches along its rows, each with a scale and an offset: a number is
/// `code · scale + offset`, rounded after each operation. What the block formats of GGUF files are.
#[derive(Clone, Debug, PartialEq)]
pub struct Blocks {
    /// Row-major.
    pub codes: Vec<i8>,
    /// One for each stretch.
    pub scales: Vec<f32>,
    /// Likewise.
    pub offsets: Vec<f32>,
    /// Codes of a stretch, an even number that divides rows.
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
                codes.iter().map(move |code| f32::from(*code) * scale + offset)
            })
            .collect()
    }
}

/// [`Blocks`] as a right operand, transposed: of each panel the stretches one after the other, of each stretch its rows,
/// a byte a code, or two rows a byte.
#[derive(Clone, Debug)]
pub(super) struct Codes {
    bytes: Vec<u8>,
    /// Of each panel and stretch one a column.
    scales: Vec<f32>,
    /// Likewise; empty if all of them are 0.
    offsets: Vec<f32>,
    length: usize,
    /// The least code where two share a byte.
    halved: Option<i8>,
    /// Stretches of a column.
    stretches: usize,
    width: usize,
}

/// A stretch of a panel.
#[derive(Clone, Copy)]
pub(super) struct Stretch<'a> {
    bytes: &'a [u8],
    scales: &'a [f32],
    offsets: &'a [f32],
    halved: Option<i8>,
}

impl Codes {
    /// Of rows of `depth` codes, for panels of `width` columns.
    pub(super) fn new(blocks: &Blocks, depth: usize, width: usize) -> Self {
        let (low, high) = blocks.codes.iter().fold((i8::MAX, i8::MIN), |(low, high), code| {
            (low.min(*code), high.max(*code))
        });
        let halved = (i16::from(high) - i16::from(low) < 16).then_some(low);
        let length = blocks.length;
        let (stretches, cols) = (depth / length, blocks.codes.len() / depth.max(1));
        let mut codes = Self {
            bytes: Vec::new(),
            scales: Vec::new(),
            offsets: Vec::new(),
            length,
            halved,
            stretches,
            width,
        };
        let offsets = blocks.offsets.iter().any(|offset| *offset != 0.0);
        for first in (0..cols).step_by(width) {
            for stretch in 0..stretches {
                let of =
                    |column: usize| (first + column < cols).then_some((first + column) * stretches + stretch);
                let each = |numbers: &[f32]| -> Vec<f32> {
                    (0..width)
                        .map(|column| of(column).map_or(0.0, |at| numbers[at]))
                        .collect()
                };
                codes.scales.extend(each(&blocks.scales));
                if offsets {
                    codes.offsets.extend(each(&blocks.offsets));
                }
                codes.push_bytes(|row, column| {
                    of(column).map_or(halved.unwrap_or(0), |at| blocks.codes[at * length + row])
                });
            }
        }
        codes
    }

    /// Appends a stretch of the codes at rows and columns.
    fn push_bytes(&mut self, code: impl Fn(usize, usize) -> i8) {
        let (length, width) = (self.length, self.width);
        match self.halved {
            None => self
                .bytes
                .extend((0..length * width).map(|at| code(at / width, at % width).cast_unsigned())),
            Some(low) => {
                let half = |row, column| (i16::from(code(row, column)) - i16::from(low)) as u8;
                let pair = |row, column| half(row, column) | half(row + 1, column) << 4;
                self.bytes
                    .extend((0..length / 2 * width).map(|at| pair(at / width * 2, at % width)));
            }
        }
    }

    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Of the panel at an index, the stretches of the rows from `from` on.
    pub(super) fn panel(&self, panel: usize, from: usize, depth: usize) -> impl Iterator<Item = Stretch<'_>> {
        let rows = if self.halved.is_some() {
            self.length / 2
        } else {
            self.length
        };
        let (width, bytes) = (self.width, rows * self.width);
        let first = panel * self.stretches + from / self.length;
        let offsets = move |at: usize| match self.offsets.as_slice() {
            [] => &[][..],
            offsets => &offsets[at * width..][..width],
        };
        (first..first + depth / self.length).map(move |at| Stretch {
            bytes: &self.bytes[at * bytes..][..bytes],
            scales: &self.scales[at * width..][..width],
            offsets: offsets(at),
            halved: self.halved,
        })
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
            let number = |code: f32| code * scale + offset;
            for line in stretch.bytes.chunks_exact(self.width) {
                match stretch.halved {
                    None => numbers.push(number(f32::from(line[column].cast_signed()))),
                    Some(low) => numbers
                        .extend([low_half(line[column], low), high_half(line[column], low)].map(number)),
                }
            }
        }
        numbers
    }
}

#[inline(always)]
fn low_half(byte: u8, low: i8) -> f32 {
    (i32::from(byte & 15) + i32::from(low)) as f32
}

#[inline(always)]
fn high_half(byte: u8, low: i8) -> f32 {
    (i32::from(byte >> 4) + i32::from(low)) as f32
}

impl Stretch<'_> {
    /// Writes the numbers of each row, two vectors.
    #[inline(always)]
    pub(super) fn expand<S: Simd>(self, simd: S, rows: &mut [[S::f32s; 2]]) {
        let width = 2 * S::F32_LANES;
        let scales = pair::<S>(&self.scales[..width]);
        let offsets = match self.offsets {
            [] => [simd.splat_f32s(0.0); 2],
            offsets => pair::<S>(&offsets[..width]),
        };
        let lines = self.bytes.chunks_exact(width);
        match self.halved {
            None => {
                for (row, line) in rows.iter_mut().zip(lines) {
                    let codes = widened::<S>(line, |byte| f32::from(byte.cast_signed()));
                    *row = numbers(simd, codes, scales, offsets);
                }
            }
            Some(low) => {
                let (pairs, _) = rows.as_chunks_mut::<2>();
                for (rows, line) in pairs.iter_mut().zip(lines) {
                    let codes = widened::<S>(line, |byte| low_half(byte, low));
                    rows[0] = numbers(simd, codes, scales, offsets);
                    let codes = widened::<S>(line, |byte| high_half(byte, low));
                    rows[1] = numbers(simd, codes, scales, offsets);
                }
            }
        }
    }
}

#[inline(always)]
fn pair<S: Simd>(numbers: &[f32]) -> [S::f32s; 2] {
    let (vectors, _) = S::as_simd_f32s(numbers);
    [vectors[0], vectors[1]]
}

#[inline(always)]
fn numbers<S: Simd>(
    simd: S,
    codes: [S::f32s; 2],
    scales: [S::f32s; 2],
    offsets: [S::f32s; 2],
) -> [S::f32s; 2] {
    [
        simd.add_f32s(simd.mul_f32s(codes[0], scales[0]), offsets[0]),
        simd.add_f32s(simd.mul_f32s(codes[1], scales[1]), offsets[1]),
    ]
}

/// Two vectors of a line of bytes.
#[inline(always)]
fn widened<S: Simd>(line: &[u8], number: impl Fn(u8) -> f32) -> [S::f32s; 2] {
    let width = 2 * S::F32_LANES;
    let mut wide = [0.0; WIDEST];
    for (wide, byte) in wide[..width].iter_mut().zip(&line[..width]) {
        *wide = number(*byte);
    }
    pair::<S>(&wide[..width])
}
