//! Where documents end that are too long for a prompt.

use ablate_core::{Io, StageError};
use ablate_models::generator::Reader;

use crate::filling::Filled;

/// What documents are cut to.
#[derive(Clone, Copy)]
pub(crate) enum Cut<'a> {
    /// So many words, for a model whose tokens are not known here.
    Words(usize),
    /// So many tokens of a model.
    Tokens(&'a Reader, usize),
}

impl Cut<'_> {
    /// As much of a text as a prompt has of it.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub(crate) fn beginning<'t>(&self, text: &'t str) -> Result<&'t str, StageError> {
        match self {
            Self::Words(most) => Ok(words(text, *most)),
            Self::Tokens(reader, most) => reader.beginning(text, *most),
        }
    }
}

/// How many prompts had something cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cuts {
    /// Of all prompts, those with a document that was cut, and those with an example whose document was.
    pub(crate) documents: usize,
    pub(crate) examples: usize,
    pub(crate) prompts: usize,
}

impl Cuts {
    /// Of one prompt.
    pub(crate) fn of(filled: &Filled) -> Self {
        Self {
            documents: usize::from(filled.is_cut),
            examples: usize::from(filled.has_cut_examples),
            prompts: 1,
        }
    }

    /// Counts the prompts of another count, too.
    pub(crate) fn add(&mut self, other: Self) {
        self.documents += other.documents;
        self.examples += other.examples;
        self.prompts += other.prompts;
    }

    /// Tells what was cut, if anything.
    pub(crate) fn tell(&self, cut: Cut<'_>, io: &Io<'_>) {
        let to = match cut {
            Cut::Words(most) => format!("{most} words"),
            Cut::Tokens(_, most) => format!("{most} tokens"),
        };
        let all = self.prompts;
        for (count, what) in [(self.documents, "documents"), (self.examples, "examples")] {
            if count > 0 {
                io.note(format!("the {what} of {count} of {all} prompts were cut to {to}"));
            }
        }
    }
}

/// The first `most` words of a text, as they stand there.
fn words(text: &str, most: usize) -> &str {
    let mut words = text.split_whitespace().skip(most - 1);
    let last = words.next();
    match (last, words.next()) {
        // Words are slices of the text.
        (Some(last), Some(_)) => &text[..last.as_ptr() as usize - text.as_ptr() as usize + last.len()],
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_cut_behind_a_word() {
        assert_eq!(words("one  two\nthree four", 3), "one  two\nthree");
        assert_eq!(words("one two", 2), "one two");
        assert_eq!(words("one two ", 5), "one two ");
    }
}
