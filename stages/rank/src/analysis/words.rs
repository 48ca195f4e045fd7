//! Text to words, as Lucene's `StandardTokenizer` (9.5) splits it: UAX #29, with emoji as words, runs of scripts that write no blanks
//! (Thai, Lao, Khmer, Burmese) as one, and no word without a letter or a digit.

use std::ops::RangeInclusive;

use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{Emoji, ExtendedPictographic, LineBreak, Script, WordBreak},
};
use unicode_segmentation::UnicodeSegmentation;

/// Characters of a word at most: longer ones are cut into words of this length.
const LONGEST: usize = 255;
/// Asks for a character as text; it is no part of an emoji.
const AS_TEXT: char = '\u{fe0e}';
/// Makes a key of what stands before it.
const KEY_CAP: char = '\u{20e3}';

/// Pictures of Unicode 12, by which Lucene goes, that later versions have taken from `Extended_Pictographic`: stars, dice, cards.
const OLD_PICTURES: [RangeInclusive<char>; 19] = [
    '\u{2388}'..='\u{2388}',
    '\u{2605}'..='\u{2605}',
    '\u{2607}'..='\u{2612}',
    '\u{2616}'..='\u{2685}',
    '\u{2690}'..='\u{2704}',
    '\u{270e}'..='\u{2711}',
    '\u{2765}'..='\u{2767}',
    '\u{1f000}'..='\u{1f0f5}',
    '\u{1f10d}'..='\u{1f10f}',
    '\u{1f12f}'..='\u{1f12f}',
    '\u{1f16c}'..='\u{1f16f}',
    '\u{1f1ad}'..='\u{1f1ae}',
    '\u{1f260}'..='\u{1f4fe}',
    '\u{1f546}'..='\u{1f5f9}',
    '\u{1f6c6}'..='\u{1f6f2}',
    '\u{1f774}'..='\u{1f77f}',
    '\u{1f7d5}'..='\u{1f7ff}',
    '\u{1f8b0}'..='\u{1f8d8}',
    '\u{1fa00}'..='\u{1fbff}',
];

/// Calls `each` with the words of `text`, in order.
pub(super) fn each_word<'t>(text: &'t str, each: impl FnMut(&'t str)) {
    match text.is_ascii() {
        // There a word is what has a letter or a digit.
        true => text.unicode_words().flat_map(in_pieces).for_each(each),
        false => Words::of(text).flat_map(in_pieces).for_each(each),
    }
}

/// What a piece between two boundaries is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece {
    Word,
    /// Part of a run that is not split.
    Unsplit,
    Other,
}

/// The words of a text.
struct Words<'t> {
    text: &'t str,
    pieces: std::iter::Peekable<unicode_segmentation::UWordBoundIndices<'t>>,
}

impl<'t> Words<'t> {
    fn of(text: &'t str) -> Self {
        Self {
            text,
            pieces: text.split_word_bound_indices().peekable(),
        }
    }
}

impl<'t> Iterator for Words<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        loop {
            let (start, piece) = self.pieces.next()?;
            match kind(piece) {
                Piece::Other => {}
                Piece::Word => return Some(piece.trim_end_matches(AS_TEXT)),
                Piece::Unsplit => {
                    let mut end = start + piece.len();
                    while let Some((at, more)) = self.pieces.next_if(|(_, more)| kind(more) == Piece::Unsplit)
                    {
                        end = at + more.len();
                    }
                    return Some(&self.text[start..end]);
                }
            }
        }
    }
}

fn kind(piece: &str) -> Piece {
    if piece.is_ascii() {
        return match piece.contains(|character: char| character.is_ascii_alphanumeric()) {
            true => Piece::Word,
            false => Piece::Other,
        };
    }
    let breaks = CodePointMapData::<LineBreak>::new();
    let is_unsplit = |character: char| breaks.get(character) == LineBreak::ComplexContext;
    if piece.starts_with(is_unsplit) {
        Piece::Unsplit
    } else if piece.contains(is_of_words) || is_emoji(piece) {
        Piece::Word
    } else {
        Piece::Other
    }
}

/// Whether a character makes a word: a letter, a digit, an ideograph.
fn is_of_words(character: char) -> bool {
    let word = CodePointMapData::<WordBreak>::new().get(character);
    let script = || CodePointMapData::<Script>::new().get(character);
    [
        WordBreak::ALetter,
        WordBreak::HebrewLetter,
        WordBreak::Numeric,
        WordBreak::Katakana,
    ]
    .contains(&word)
        || [Script::Han, Script::Hiragana].contains(&script())
}

/// Whether a piece is an emoji: a picture, two letters of a flag, or a key.
fn is_emoji(piece: &str) -> bool {
    let mut characters = piece.chars().skip_while(|character| *character == '\u{200d}');
    let Some(first) = characters.next() else {
        return false;
    };
    let word = |character| CodePointMapData::<WordBreak>::new().get(character);
    if word(first) == WordBreak::RegionalIndicator {
        return characters.any(|character| word(character) == WordBreak::RegionalIndicator);
    }
    if matches!(first, '#' | '*' | '0'..='9') {
        return piece.contains(KEY_CAP);
    }
    CodePointSetData::new::<ExtendedPictographic>().contains(first)
        || CodePointSetData::new::<Emoji>().contains(first)
        || OLD_PICTURES.iter().any(|pictures| pictures.contains(&first))
}

/// A word in pieces of [`LONGEST`] characters.
fn in_pieces(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        let end = match rest.len() <= LONGEST {
            true => rest.len(),
            false => rest
                .char_indices()
                .nth(LONGEST)
                .map_or(rest.len(), |(end, _)| end),
        };
        let (piece, more) = rest.split_at(end);
        rest = more;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// tests/fixtures/lucene_words.py
    #[test]
    fn words_are_lucene_s() {
        let fixture = include_str!("../../../../tests/fixtures/lucene_words.json");
        let fixture: Value = serde_json::from_str(fixture).unwrap();
        for case in fixture["cases"].as_array().unwrap() {
            let text = case["text"].as_str().unwrap();
            let mut words = Vec::new();
            each_word(text, |word| words.push(word));
            assert_eq!(Value::from(words), case["words"], "{text}");
        }
    }
}
