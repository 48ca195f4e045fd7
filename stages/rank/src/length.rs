//! Lengths in one byte, as Lucene keeps them.

/// Lengths up to this one fit the byte as they are (SmallFloat.NUM_FREE_VALUES).
const EXACT: u32 = 255 - long_to_int4(i32::MAX as u64);

/// Lucene's SmallFloat.intToByte4: four significant bits.
pub(crate) const fn encode(length: u32) -> u8 {
    if length < EXACT {
        length as u8
    } else {
        (EXACT + long_to_int4((length - EXACT) as u64)) as u8
    }
}

/// Lucene's SmallFloat.byte4ToInt.
pub(crate) const fn decode(byte: u8) -> u32 {
    let byte = byte as u32;
    if byte < EXACT {
        byte
    } else {
        EXACT + int4_to_long(byte - EXACT) as u32
    }
}

const fn long_to_int4(value: u64) -> u32 {
    let bits = 64 - value.leading_zeros();
    if bits < 4 {
        return value as u32;
    }
    let shift = bits - 4;
    (((value >> shift) & 7) as u32) | ((shift + 1) << 3)
}

const fn int4_to_long(code: u32) -> u64 {
    let mantissa = (code & 7) as u64;
    match code >> 3 {
        0 => mantissa,
        shift => (mantissa | 8) << (shift - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small lengths exact, larger ones rounded down to four significant bits.
    #[test]
    fn lengths_as_lucene_keeps_them() {
        assert_eq!(EXACT, 24);
        assert!((0..40).all(|length| decode(encode(length)) == length));
        assert_eq!(
            [41, 57, 107, 180, 310].map(|l| decode(encode(l))),
            [40, 56, 104, 168, 280]
        );
        assert_eq!(encode(i32::MAX as u32), 255);
    }
}
