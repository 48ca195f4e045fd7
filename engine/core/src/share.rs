//! Rows of one node over several processes, each of which computes a part.

use std::{fmt, str::FromStr};

use crate::Digest;

/// A part of all rows, by their keys: which part a row is in depends on nothing else. Written `1/4`: the second of four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    number: u32,
    of: u32,
}

impl Part {
    /// The only part there is.
    pub const ALL: Self = Self { number: 0, of: 1 };

    /// Part `number` (from 0) of `of`.
    ///
    /// # Panics
    /// If there is no such part.
    pub fn new(number: u32, of: u32) -> Self {
        assert!(number < of, "part {number} of {of}");
        Self { number, of }
    }

    /// How many parts there are.
    pub fn of(self) -> u32 {
        self.of
    }

    /// Whether the row of this key is in it.
    pub fn holds(self, key: &Digest) -> bool {
        // Keys are digests: any of their bytes are as good as drawn at random.
        let [a, b, c, d, ..] = *key.bytes();
        u32::from_le_bytes([a, b, c, d]) % self.of == self.number
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/');
        let parsed = parsed.and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match parsed {
            Some((number, of)) if number < of => Ok(Self { number, of }),
            _ => Err("write it as NUMBER/OF, from 0/OF on".into()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_one_part() {
        let parts: Vec<Part> = (0..3).map(|number| Part::new(number, 3)).collect();
        let mut sizes = [0; 3];
        for row in 0..3000_u32 {
            let key: Digest = blake3::hash(&row.to_le_bytes()).into();
            let holding: Vec<usize> = (0..3).filter(|part| parts[*part].holds(&key)).collect();
            assert_eq!(holding.len(), 1);
            sizes[holding[0]] += 1;
        }
        assert!(Part::ALL.holds(&Digest::of(b"any")));
        assert!(sizes.iter().all(|size| (900..1100).contains(size)), "{sizes:?}");
    }

    #[test]
    fn parts_are_read_as_they_are_written() {
        let part: Part = "2/3".parse().unwrap();
        assert_eq!((part, part.to_string()), (Part::new(2, 3), "2/3".to_owned()));
        for wrong in ["3/3", "1", "a/2", "0/0", "-1/2"] {
            assert!(wrong.parse::<Part>().is_err(), "{wrong}");
        }
    }
}
