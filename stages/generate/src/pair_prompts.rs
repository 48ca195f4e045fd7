//! Prompts as texts, for stages that train what `generate` runs.

use std::cell::Cell;

use ablate_core::{Io, StageError, rows::Pair};
use ablate_models::generator::Reader;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    asking::Asking,
    cutting::{Cut, Cuts},
    decode::Finish,
    filling::Row,
    prompt::at_port,
    query_writing::max_document_tokens,
    template::Slot,
};

/// Parameters of stages that write such prompts.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Prompting {
    /// Longer documents are cut to this many tokens in prompts (words, where no model is given whose tokens they are), as `generate` cuts
    /// them; the rest of the prompt is never cut.
    #[serde(default = "max_document_tokens")]
    #[schemars(range(min = 1))]
    max_document_tokens: u32,
}

/// The prompt a generator is asked for the query of a document with.
pub struct PairPrompts<'a> {
    asking: Asking,
    cut: Cut<'a>,
    cuts: Cell<Cuts>,
}

impl<'a> PairPrompts<'a> {
    /// What stands at the port `prompt`, for the model that reads by `reader`, where it is known.
    ///
    /// # Errors
    /// If nothing does, or it has a place for the query, which is what is to be written.
    pub fn at_port(
        io: &Io<'_>,
        prompting: &Prompting,
        reader: Option<&'a Reader>,
    ) -> Result<Self, StageError> {
        let asking = at_port(io)?.ok_or_else(|| StageError::new("no input at port `prompt`"))?;
        asking.require("a trainer", &[], &[(Slot::Query, "{query}")])?;
        let most = prompting.max_document_tokens as usize;
        let cut = reader.map_or(Cut::Words(most), |reader| Cut::Tokens(reader, most));
        Ok(Self::new(asking, cut))
    }

    /// A template without examples; no document is cut.
    ///
    /// # Errors
    /// If it has no place for the document.
    pub fn parse(template: &str) -> Result<Self, StageError> {
        Ok(Self::new(Asking::new(template, "", vec![], None)?, Cut::Never))
    }

    fn new(asking: Asking, cut: Cut<'a>) -> Self {
        Self {
            asking,
            cut,
            cuts: Cell::default(),
        }
    }

    /// The prompt for the document of a pair.
    ///
    /// # Errors
    /// If there are too few shots to draw from, or the tokenizer fails.
    pub fn text(&self, pair: &Pair) -> Result<String, StageError> {
        let prompts = self.asking.prompts(vec![Row::of_pair(pair)], self.cut)?;
        let filled = prompts.filled(0)?;
        let mut cuts = self.cuts.get();
        cuts.count(&filled);
        self.cuts.set(cuts);
        Ok(filled.text)
    }

    /// Tells what was cut so far, if anything.
    pub fn tell(&self, io: &Io<'_>) {
        self.cuts.get().tell(self.cut, io);
    }
}

/// Whether a query ends where its writer ran out of tokens: no example of how to end one.
pub fn is_unfinished(pair: &Pair) -> bool {
    pair.finish == Finish::Length.word()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::samples::pair;

    #[test]
    fn long_documents_are_cut_and_counted() {
        let asking = Asking::new("Of {document}:", "", vec![], None).unwrap();
        let prompts = PairPrompts::new(asking, Cut::Words(2));
        for (document, cut) in [("one two", 0), ("one two three", 1)] {
            assert_eq!(prompts.text(&pair("why", document)).unwrap(), "Of one two:");
            assert_eq!(prompts.cuts.get().documents, cut);
        }
    }
}
