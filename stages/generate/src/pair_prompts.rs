//! Prompts as texts, for stages that train what `generate` runs.

use ablate_core::{Io, StageError, rows::Pair};

use crate::{asking::Asking, filling::Row, prompt::at_port, template::Slot};

/// The prompt a generator is asked for the query of a document with.
pub struct PairPrompts {
    asking: Asking,
    /// Words that documents are cut to.
    most: Option<usize>,
}

impl PairPrompts {
    /// What stands at the port `prompt`, around documents that are cut to `most` words, at least one.
    ///
    /// # Errors
    /// If nothing does, or it has a place for the query, which is what is to be written.
    pub fn at_port(io: &Io<'_>, most: Option<u32>) -> Result<Self, StageError> {
        let asking = at_port(io)?.ok_or_else(|| StageError::new("no input at port `prompt`"))?;
        asking.require("a trainer", &[], &[(Slot::Query, "{query}")])?;
        let most = most.map(|most| most as usize);
        Ok(Self { asking, most })
    }

    /// A template without examples; no document is cut.
    ///
    /// # Errors
    /// If it has no place for the document.
    pub fn parse(template: &str) -> Result<Self, StageError> {
        let asking = Asking::new(template, "", vec![], None)?;
        Ok(Self { asking, most: None })
    }

    /// The prompt for the document of a pair.
    ///
    /// # Errors
    /// If there are too few shots to draw from.
    pub fn text(&self, pair: &Pair) -> Result<String, StageError> {
        let prompts = self.asking.prompts(vec![Row::of_pair(pair)]);
        Ok(prompts.text(0, self.most)?.0)
    }
}
