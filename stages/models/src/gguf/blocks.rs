//! The block formats of GGUF files as integers with scales (llama.cpp's `ggml-quants.c`).

use candle_core::quantized::GgmlDType;
use half::f16;

use crate::ops::product::Blocks;

/// What a block holds: codes, and of each stretch of them scale and offset.
struct Block<'a> {
    codes: &'a mut Vec<i8>,
    scales: &'a mut Vec<f32>,
    offsets: &'a mut Vec<f32>,
}

/// How a block is read from its bytes.
type Read = fn(&[u8], &mut Block<'_>);

/// The integers of a tensor's bytes, in rows of `cols`; `None` for a type whose values are not kept as integers here.
pub(super) fn blocks(bytes: &[u8], dtype: GgmlDType, cols: usize) -> Option<Blocks> {
    let (length, read): (usize, Read) = match dtype {
        GgmlDType::Q4_0 => (32, q4_0),
        GgmlDType::Q4_1 => (32, q4_1),
        GgmlDType::Q5_0 => (32, q5_0),
        GgmlDType::Q5_1 => (32, q5_1),
        GgmlDType::Q8_0 => (32, q8_0),
        GgmlDType::Q4K => (32, q4_k),
        GgmlDType::Q5K => (32, q5_k),
        GgmlDType::Q6K => (16, q6_k),
        _ => return None,
    };
    if !cols.is_multiple_of(dtype.block_size()) {
        return None;
    }
    let (mut codes, mut scales, mut offsets) = (Vec::new(), Vec::new(), Vec::new());
    for bytes in bytes.chunks_exact(dtype.type_size()) {
        let mut block = Block {
            codes: &mut codes,
            scales: &mut scales,
            offsets: &mut offsets,
        };
        read(bytes, &mut block);
    }
    Some(Blocks {
        codes,
        scales,
        offsets,
        length,
    })
}

impl Block<'_> {
    fn stretch(&mut self, scale: f32, offset: f32) {
        self.scales.push(scale);
        self.offsets.push(offset);
    }

    /// The low halves of bytes, then the high ones, less `zero`; `fifth` gives the bit above a code's half.
    fn halves(&mut self, bytes: &[u8], zero: i8, fifth: impl Fn(usize) -> bool) {
        let halves = bytes
            .iter()
            .map(|byte| byte & 15)
            .chain(bytes.iter().map(|byte| byte >> 4));
        let codes = halves
            .enumerate()
            .map(|(at, half)| half | u8::from(fifth(at)) << 4);
        self.codes.extend(codes.map(|code| code.cast_signed() - zero));
    }
}

fn real(bytes: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}

/// A bit of little-endian bytes.
fn bit(bytes: &[u8], at: usize) -> bool {
    bytes[at / 8] >> (at % 8) & 1 == 1
}

fn q4_0(bytes: &[u8], block: &mut Block<'_>) {
    block.stretch(real(bytes, 0), 0.0);
    block.halves(&bytes[2..], 8, |_| false);
}

fn q4_1(bytes: &[u8], block: &mut Block<'_>) {
    block.stretch(real(bytes, 0), real(bytes, 2));
    block.halves(&bytes[4..], 0, |_| false);
}

fn q5_0(bytes: &[u8], block: &mut Block<'_>) {
    block.stretch(real(bytes, 0), 0.0);
    block.halves(&bytes[6..], 16, |at| bit(&bytes[2..6], at));
}

fn q5_1(bytes: &[u8], block: &mut Block<'_>) {
    block.stretch(real(bytes, 0), real(bytes, 2));
    block.halves(&bytes[8..], 0, |at| bit(&bytes[4..8], at));
}

fn q8_0(bytes: &[u8], block: &mut Block<'_>) {
    block.stretch(real(bytes, 0), 0.0);
    block
        .codes
        .extend(bytes[2..].iter().map(|byte| byte.cast_signed()));
}

/// The eight scales and minima of a block of 256, six bits each.
fn scales_and_minima(bytes: &[u8], block: &mut Block<'_>) {
    let (scale, minimum, packed) = (real(bytes, 0), real(bytes, 2), &bytes[4..16]);
    for at in 0..8 {
        let (six, other) = match at < 4 {
            true => (packed[at] & 63, packed[at + 4] & 63),
            false => (
                packed[at + 4] & 15 | packed[at - 4] >> 6 << 4,
                packed[at + 4] >> 4 | packed[at] >> 6 << 4,
            ),
        };
        block.stretch(scale * f32::from(six), -(minimum * f32::from(other)));
    }
}

fn q4_k(bytes: &[u8], block: &mut Block<'_>) {
    scales_and_minima(bytes, block);
    for bytes in bytes[16..].chunks_exact(32) {
        block.halves(bytes, 0, |_| false);
    }
}

fn q5_k(bytes: &[u8], block: &mut Block<'_>) {
    scales_and_minima(bytes, block);
    let high = &bytes[16..48];
    for (pair, bytes) in bytes[48..].chunks_exact(32).enumerate() {
        block.halves(bytes, 0, |at| high[at % 32] >> (2 * pair + at / 32) & 1 == 1);
    }
}

fn q6_k(bytes: &[u8], block: &mut Block<'_>) {
    let (low, high, scales, scale) = (
        &bytes[..128],
        &bytes[128..192],
        &bytes[192..208],
        real(bytes, 208),
    );
    for byte in scales {
        block.stretch(scale * f32::from(byte.cast_signed()), 0.0);
    }
    for at in 0..256 {
        let (half, quarter, l) = (at / 128, at % 128 / 32, at % 32);
        let low = low[64 * half + 32 * (quarter % 2) + l] >> (4 * (quarter / 2)) & 15;
        let high = high[32 * half + l] >> (2 * quarter) & 3;
        block.codes.push((low | high << 4).cast_signed() - 32);
    }
}
