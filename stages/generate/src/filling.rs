//! Prompts of many rows: a template whose slots are filled from each.

use ablate_core::{
    StageError,
    rows::{Document, Pair},
};

use crate::{
    cutting::Cut,
    shots::Shots,
    template::{Part, Slot, Template},
};

/// The texts of one row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    /// What errors call it.
    name: &'a str,
    title: Option<&'a str>,
    text: &'a str,
    query: Option<&'a str>,
}

impl<'a> Row<'a> {
    /// Of a document.
    pub(crate) fn of_document(document: &'a Document) -> Self {
        Self {
            name: &document.doc_id,
            title: document.title.as_deref(),
            text: &document.text,
            query: None,
        }
    }

    /// Of a query with the document it is about.
    pub(crate) fn of_pair(pair: &'a Pair) -> Self {
        Self {
            name: &pair.query_id,
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

/// The text of a prompt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Filled {
    pub(crate) text: String,
    /// Whether its document was cut.
    pub(crate) is_cut: bool,
    /// Whether the document of one of its examples was.
    pub(crate) has_cut_examples: bool,
}

/// The prompts of many rows.
pub(crate) struct Prompts<'a> {
    /// With all that is the same for every row.
    template: Template,
    shots: Shots,
    rows: Vec<Row<'a>>,
    cut: Cut<'a>,
    /// Whether the template holds examples whose documents were cut.
    has_cut_examples: bool,
}

impl<'a> Prompts<'a> {
    /// Of a template with these shots.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub(crate) fn new(
        template: &Template,
        shots: &Shots,
        rows: Vec<Row<'a>>,
        cut: Cut<'a>,
    ) -> Result<Self, StageError> {
        let (mut shots, mut has_cut_examples) = (shots.clone(), false);
        if shots.draw.is_none() {
            (shots.pool, has_cut_examples) = Shots::shortened(&shots.pool, cut)?;
        }
        Ok(Self {
            template: shots.written_into(template),
            shots,
            rows,
            cut,
            has_cut_examples,
        })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// What documents are cut to.
    pub(crate) fn cut(&self) -> Cut<'a> {
        self.cut
    }

    /// What the row of a prompt is called.
    pub(crate) fn name(&self, at: usize) -> &str {
        self.rows[at].name
    }

    /// The prompt of a row: documents are cut where they are too long, and nothing else is.
    ///
    /// # Errors
    /// If there are too few shots to draw from, or the tokenizer fails.
    pub(crate) fn filled(&self, at: usize) -> Result<Filled, StageError> {
        let row = &self.rows[at];
        let mut filled = Filled {
            text: String::new(),
            is_cut: false,
            has_cut_examples: self.has_cut_examples,
        };
        for part in self.template.parts() {
            match part {
                Part::Text(text) => filled.text.push_str(text),
                Part::Slot(Slot::Document) => self.put(&row.full_text(), &mut filled)?,
                Part::Slot(Slot::Text) => self.put(row.text, &mut filled)?,
                Part::Slot(Slot::Examples) => self.put_examples(row, &mut filled)?,
                Part::Slot(Slot::Title) => filled.text.push_str(row.title.unwrap_or_default()),
                Part::Slot(Slot::Query) => filled.text.push_str(row.query.unwrap_or_default()),
                // No slots of templates, or written out already.
                Part::Slot(Slot::Number | Slot::Poor) => {}
            }
        }
        Ok(filled)
    }

    fn put(&self, document: &str, filled: &mut Filled) -> Result<(), StageError> {
        let kept = self.cut.beginning(document)?;
        filled.text.push_str(kept);
        filled.is_cut |= kept.len() < document.len();
        Ok(())
    }

    /// Examples that are drawn for a row.
    fn put_examples(&self, row: &Row<'_>, filled: &mut Filled) -> Result<(), StageError> {
        let Some(draw) = self.shots.draw else {
            return Ok(());
        };
        let drawn = self.shots.drawn(draw, &row.full_text())?;
        let (drawn, has_cut) = Shots::shortened(drawn, self.cut)?;
        filled.text.push_str(&self.shots.laid_out(&drawn));
        filled.has_cut_examples |= has_cut;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{
        asking::Asking,
        shots::{Draw, Shot},
    };

    fn document() -> Document {
        Document {
            doc_id: "d".into(),
            title: Some("one".into()),
            text: "two three".into(),
        }
    }

    fn filled(asking: &Asking, cut: Cut<'_>) -> Filled {
        let document = document();
        let prompts = asking.prompts(vec![Row::of_document(&document)], cut).unwrap();
        prompts.filled(0).unwrap()
    }

    #[test]
    fn the_document_is_cut_and_nothing_else() {
        let asking = Asking::new("Of all this: {document}. A question:", "", vec![], None).unwrap();
        let of = |cut| {
            let filled = filled(&asking, cut);
            (filled.text, filled.is_cut)
        };
        let whole = "Of all this: one two three. A question:".to_owned();
        assert_eq!(of(Cut::Words(3)), (whole, false));
        let cut = "Of all this: one two. A question:".to_owned();
        assert_eq!(of(Cut::Words(2)), (cut, true));
    }

    #[test]
    fn documents_of_examples_are_cut_too_drawn_or_not() {
        let shots = vec![Shot::new("four five six seven", "q of all that", None)];
        for draw in [None, Some(Draw { count: 1, seed: 1 })] {
            let asking = Asking::new(
                "{examples}{document}",
                "{document}: {query}\n",
                shots.clone(),
                draw,
            )
            .unwrap();
            let short = filled(&asking, Cut::Words(3));
            assert_eq!(short.text, "four five six: q of all that\none two three");
            assert!(short.has_cut_examples && !short.is_cut);
            let whole = filled(&asking, Cut::Words(4));
            assert_eq!(whole.text, "four five six seven: q of all that\none two three");
            assert!(!whole.has_cut_examples);
        }
    }
}
