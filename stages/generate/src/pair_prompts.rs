//! Prompts as texts, for stages that train what `generate` runs.

use std::cell::Cell;

use ablate_core::{Io, StageError, rows::Pair};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{asking::Asking, cutting::Cut, filling::Row, prompt::at_port, template::Slot};

/// Parameters of stages that write such prompts.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Prompting {
    /// Longer documents are cut to this many words in prompts, as a generator behind a server has them cut: about those that the
    /// `max_document_tokens` of `generate` are. If not given, a prompt that is too long loses its first tokens to the trainer.
    #[serde(default)]
    #[schemars(range(min = 1), example = 200)]
    max_document_words: Option<u32>,
}

/// The prompt a generator is asked for the query of a document with.
pub struct PairPrompts {
    asking: Asking,
    prompting: Prompting,
    /// Documents that were cut.
    cut: Cell<usize>,
}

impl PairPrompts {
    /// What stands at the port `prompt`.
    ///
    /// # Errors
    /// If nothing does, or it has a place for the query, which is what is to be written.
    pub fn at_port(io: &Io<'_>, prompting: &Prompting) -> Result<Self, StageError> {
        let asking = at_port(io)?.ok_or_else(|| StageError::new("no input at port `prompt`"))?;
        asking.require("a trainer", &[], &[(Slot::Query, "{query}")])?;
        Ok(Self::new(asking, prompting))
    }

    /// A template without examples; no document is cut.
    ///
    /// # Errors
    /// If it has no place for the document.
    pub fn parse(template: &str) -> Result<Self, StageError> {
        let asking = Asking::new(template, "", vec![], None)?;
        Ok(Self::new(asking, &Prompting::default()))
    }

    fn new(asking: Asking, prompting: &Prompting) -> Self {
        Self {
            asking,
            prompting: prompting.clone(),
            cut: Cell::new(0),
        }
    }

    /// The prompt for the document of a pair.
    ///
    /// # Errors
    /// If there are too few shots to draw from.
    pub fn text(&self, pair: &Pair) -> Result<String, StageError> {
        let most = self.prompting.max_document_words;
        let cut = most.map_or(Cut::Never, |most| Cut::Words(most as usize));
        let filled = self.asking.prompts(vec![Row::of_pair(pair)], cut)?.filled(0)?;
        self.cut.set(self.cut.get() + usize::from(filled.is_cut));
        Ok(filled.text)
    }

    /// A line on how many documents were cut so far, if any were.
    pub fn told(&self) -> Option<String> {
        let (cut, most) = (self.cut.get(), self.prompting.max_document_words?);
        (cut > 0).then(|| format!("{cut} documents were cut to {most} words"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::samples::pair;

    #[test]
    fn long_documents_are_cut_and_told() {
        let asking = Asking::new("Of {document}:", "", vec![], None).unwrap();
        let prompting = Prompting {
            max_document_words: Some(2),
        };
        let prompts = PairPrompts::new(asking, &prompting);
        assert_eq!(prompts.text(&pair("why", "one two")).unwrap(), "Of one two:");
        assert_eq!(prompts.told(), None);
        assert_eq!(
            prompts.text(&pair("why", "one two three")).unwrap(),
            "Of one two:"
        );
        assert_eq!(prompts.told().unwrap(), "1 documents were cut to 2 words");
    }
}
