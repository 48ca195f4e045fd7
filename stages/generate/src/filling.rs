//! Prompts of many rows: a template whose slots are filled from each.

use ablate_core::{
    StageError,
    rows::{Document, Pair},
};

use crate::{
    shots::Shots,
    template::{Part, Slot, Template},
};

/// The texts of one row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    title: Option<&'a str>,
    text: &'a str,
    query: Option<&'a str>,
}

impl<'a> Row<'a> {
    /// Of a document.
    pub(crate) fn of_document(document: &'a Document) -> Self {
        Self {
            title: document.title.as_deref(),
            text: &document.text,
            query: None,
        }
    }

    /// Of a query with the document it is about.
    pub(crate) fn of_pair(pair: &'a Pair) -> Self {
        Self {
            title: None,
            text: &pair.text,
            query: Some(&pair.query),
        }
    }

    /// As [`Document::full_text`].
    fn full_text(&self) -> String {
        match self.title {
            Some(title) if !title.is_empty() => format!("{title} {}", self.text),
            _ => self.text.to_owned(),
        }
    }
}

/// A text of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) text: String,
    /// Whether it is the document, which is cut where it is too long.
    pub(crate) is_document: bool,
}

/// The prompts of many rows.
pub(crate) struct Prompts<'a> {
    /// What all begin with.
    pub(crate) head: String,
    /// What all end with.
    pub(crate) tail: String,
    middle: Vec<Part>,
    shots: Shots,
    rows: Vec<Row<'a>>,
}

impl<'a> Prompts<'a> {
    /// A template with all that is the same for every row, and its rows.
    pub(crate) fn new(template: &Template, shots: Shots, rows: Vec<Row<'a>>) -> Self {
        let text = |part: Option<&Part>| match part {
            Some(Part::Text(text)) => text.clone(),
            _ => String::new(),
        };
        let parts = template.parts();
        let (head, tail) = (text(parts.first()), text(parts.last()));
        let to = parts.len() - usize::from(!tail.is_empty());
        Self {
            middle: parts[usize::from(!head.is_empty())..to].to_vec(),
            head,
            tail,
            shots,
            rows,
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// What stands between head and tail in the prompt of a row; no two texts beside each other that are not cut.
    ///
    /// # Errors
    /// If there are too few shots to draw from.
    pub(crate) fn pieces(&self, at: usize) -> Result<Vec<Piece>, StageError> {
        let row = &self.rows[at];
        let mut pieces: Vec<Piece> = Vec::new();
        for part in &self.middle {
            let (text, is_document) = match part {
                Part::Text(text) => (text.clone(), false),
                Part::Slot(slot) => (self.fill(*slot, row)?, slot.is_long()),
            };
            match pieces.last_mut() {
                Some(last) if !last.is_document && !is_document => last.text.push_str(&text),
                _ => pieces.push(Piece { text, is_document }),
            }
        }
        Ok(pieces)
    }

    /// The prompt of a row as a text, its document cut to `most` words, and whether it was cut.
    ///
    /// # Errors
    /// As [`Prompts::pieces`].
    pub(crate) fn text(&self, at: usize, most: Option<usize>) -> Result<(String, bool), StageError> {
        let (mut text, mut cut) = (self.head.clone(), false);
        for piece in self.pieces(at)? {
            let kept = match most {
                Some(most) if piece.is_document => beginning(&piece.text, most),
                _ => &piece.text,
            };
            cut |= kept.len() < piece.text.len();
            text.push_str(kept);
        }
        Ok((text + &self.tail, cut))
    }

    fn fill(&self, slot: Slot, row: &Row<'_>) -> Result<String, StageError> {
        Ok(match (slot, self.shots.draw) {
            (Slot::Document, _) => row.full_text(),
            (Slot::Text, _) => row.text.to_owned(),
            (Slot::Title, _) => row.title.unwrap_or_default().to_owned(),
            (Slot::Query, _) => row.query.unwrap_or_default().to_owned(),
            (Slot::Examples, Some(draw)) => self.shots.drawn(draw, &row.full_text())?,
            // Written out already, or no slot of templates.
            (Slot::Examples | Slot::Number | Slot::Poor, _) => String::new(),
        })
    }
}

/// The first `most` words of a text, as they stand there.
pub(crate) fn beginning(text: &str, most: usize) -> &str {
    let mut words = text.split_whitespace().skip(most - 1);
    let last = words.next();
    match (last, words.next()) {
        // Words are slices of the text.
        (Some(last), Some(_)) => &text[..last.as_ptr() as usize - text.as_ptr() as usize + last.len()],
        _ => text,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::asking::Asking;

    #[test]
    fn the_document_is_cut_and_nothing_else() {
        let asking = Asking::new("Of all this: {document}. A question:", "", vec![], None).unwrap();
        let document = Document {
            doc_id: "d".into(),
            title: Some("one".into()),
            text: "two three".into(),
        };
        let prompts = asking.prompts(vec![Row::of_document(&document)]);
        let whole = "Of all this: one two three. A question:".to_owned();
        assert_eq!(prompts.text(0, None).unwrap(), (whole.clone(), false));
        assert_eq!(prompts.text(0, Some(3)).unwrap(), (whole, false));
        let cut = "Of all this: one two. A question:".to_owned();
        assert_eq!(prompts.text(0, Some(2)).unwrap(), (cut, true));
    }

    #[test]
    fn a_document_is_cut_behind_a_word() {
        assert_eq!(beginning("one  two\nthree four", 3), "one  two\nthree");
        assert_eq!(beginning("one two", 2), "one two");
        assert_eq!(beginning("one two ", 5), "one two ");
    }
}
