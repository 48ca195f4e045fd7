//! Which tokens spell which part of a text.

use std::{iter::once, ops::Range};

use serde::{Deserialize, Serialize};

/// A token of a text.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Token {
    /// Bytes of the text up to its end.
    pub(crate) end: usize,
    /// Its natural-log probability.
    pub(crate) logprob: f32,
}

/// The tokens that spell a part of a text and, but for blanks before it, nothing else; their ends are counted from where it begins.
pub(crate) fn within(text: &[u8], tokens: &[Token], part: &Range<usize>) -> Vec<Token> {
    let starts = once(0).chain(tokens.iter().map(|token| token.end));
    let spells = |(start, token): &(usize, &Token)| {
        let before = text.get(*start..part.start).unwrap_or_default();
        before.trim_ascii().is_empty() && (part.start + 1..=part.end).contains(&token.end)
    };
    let kept = starts.zip(tokens).filter(spells);
    let moved = kept.map(|(_, token)| Token {
        end: token.end - part.start,
        ..*token
    });
    moved.collect()
}

/// Mean over tokens; `None` if there are none. InPars' score (Bonifacio et al. 2022).
pub(crate) fn mean_logprob(tokens: &[Token]) -> Option<f32> {
    let sum: f64 = tokens.iter().map(|token| f64::from(token.logprob)).sum();
    (!tokens.is_empty()).then(|| (sum / tokens.len() as f64) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tokens of a text, their log-probabilities -1, -2 and so on.
    fn tokens(ends: &[usize]) -> Vec<Token> {
        let numbered = ends.iter().zip(1_u8..);
        let token = |(end, number): (&usize, u8)| Token {
            end: *end,
            logprob: -f32::from(number),
        };
        numbered.map(token).collect()
    }

    #[test]
    fn a_part_is_spelt_by_its_own_tokens_and_by_blanks_before_it() {
        // `So it is:| how| deep|?\n|\nMore`
        let (text, all) = (b"So it is: how deep?\n\nMore", tokens(&[9, 13, 18, 20, 25]));
        let means = |part: Range<usize>| mean_logprob(&within(text, &all, &part));
        assert_eq!(means(10..18), Some(-2.5));
        assert_eq!(means(10..19), Some(-2.5), "its last token spells more");
        assert_eq!(means(11..18), Some(-3.0), "its first token spells more");
        assert_eq!(means(0..25), Some(-3.0));
        assert_eq!(means(11..13), None);
        assert_eq!(
            within(text, &all, &(14..18)),
            [Token {
                end: 4,
                logprob: -3.0
            }]
        );
    }

    /// The first token of a character in two has no bytes of its own.
    #[test]
    fn tokens_of_one_character_are_all_kept() {
        let all = tokens(&[2, 4, 4, 5]);
        assert_eq!(within("ahéb".as_bytes(), &all, &(0..4)).len(), 3);
        assert_eq!(within("ahéb".as_bytes(), &all, &(4..5)).len(), 1);
    }
}
