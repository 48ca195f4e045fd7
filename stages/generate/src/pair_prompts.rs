//! Prompts as texts, and the answers to them, for stages that train what `generate` runs.

use ablate_core::{Io, StageError, rows::Pair};
use ablate_models::generator::Reader;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    asking::Asking,
    cutting::{Cut, Cuts},
    filling::Row,
    prompt::at_port,
    query_writing::max_document_tokens,
    reading::Format,
    teaching::Teaching,
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
pub struct PairPrompts {
    asking: Asking,
    teaching: Teaching,
    max_document_tokens: usize,
}

impl PairPrompts {
    /// What stands at the port `prompt` of `stage`.
    ///
    /// # Errors
    /// If nothing does, or it has a place for the query, which is what is to be written, or one for a part of the document: pairs hold
    /// title and text as one, and what was learnt would not be what is asked.
    pub fn at_port(io: &Io<'_>, stage: &str, prompting: &Prompting) -> Result<Self, StageError> {
        let asking = at_port(io)?.ok_or_else(|| StageError::new("no input at port `prompt`"))?;
        asking.require(stage, &[], &[(Slot::Query, "{query}")])?;
        for (slot, name) in [(Slot::Title, "{title}"), (Slot::Text, "{text}")] {
            if asking.has(slot) {
                let help = format!(
                    "the pairs that `{stage}` reads hold title and text as one: write {{document}} instead, and give `generate` the same prompt"
                );
                return Err(StageError::with_help(format!("the prompt has {name}"), help));
            }
        }
        Self::new(asking, prompting.max_document_tokens)
    }

    fn new(asking: Asking, max_document_tokens: u32) -> Result<Self, StageError> {
        Ok(Self {
            teaching: Teaching::new(asking.manner())?,
            asking,
            max_document_tokens: max_document_tokens as usize,
        })
    }

    /// How the prompt asks to reach a model, where it says so.
    pub fn format(&self) -> Option<Format> {
        self.asking.manner().format
    }

    /// What a model is to answer for the query of a pair.
    ///
    /// # Errors
    /// Why the pair is no example, as it continues "3 of 200 queries".
    pub fn answer(&self, pair: &Pair) -> Result<String, &'static str> {
        self.teaching.answer(pair)
    }

    /// The prompts for the documents of pairs, in their order, cut by the tokens of the model that reads by `reader`, where it is known;
    /// what was cut is told.
    ///
    /// # Errors
    /// If there are too few shots to draw from, or the tokenizer fails.
    pub fn texts<'p>(
        &self,
        pairs: impl IntoIterator<Item = &'p Pair>,
        reader: Option<&Reader>,
        io: &Io<'_>,
    ) -> Result<Vec<String>, StageError> {
        let most = self.max_document_tokens;
        let cut = reader.map_or(Cut::Words(most), |reader| Cut::Tokens(reader, most));
        let (texts, cuts) = self.filled(pairs, cut)?;
        cuts.tell(cut, io);
        Ok(texts)
    }

    fn filled<'p>(
        &self,
        pairs: impl IntoIterator<Item = &'p Pair>,
        cut: Cut<'_>,
    ) -> Result<(Vec<String>, Cuts), StageError> {
        // One for all: each holds the shots that there are to draw from.
        let prompts = self
            .asking
            .prompts(pairs.into_iter().map(Row::of_pair).collect(), cut)?;
        let text = |at: usize| prompts.filled(at).map(|filled| (Cuts::of(&filled), filled.text));
        let filled: Result<Vec<_>, StageError> = (0..prompts.len()).into_par_iter().map(text).collect();
        let mut cuts = Cuts::default();
        let count = |(cut, text)| {
            cuts.add(cut);
            text
        };
        let texts = filled?.into_iter().map(count).collect();
        Ok((texts, cuts))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{
        samples::pair,
        shots::{Draw, Shot},
    };

    #[test]
    fn long_documents_are_cut_and_counted() {
        let asking = Asking::new("Of {document}:", "", vec![], None).unwrap();
        let prompts = PairPrompts::new(asking, 2).unwrap();
        let pairs = [pair("why", "one two"), pair("how", "one two three")];
        let (texts, cuts) = prompts.filled(&pairs, Cut::Words(2)).unwrap();
        assert_eq!(texts, ["Of one two:", "Of one two:"]);
        assert_eq!((cuts.documents, cuts.prompts), (1, 2));
    }

    /// It is a matter of a moment; were the shots copied for each pair, one of minutes.
    #[test]
    fn many_pairs_draw_from_many_shots() {
        let pairs: Vec<Pair> = (0..40_000).map(|at| pair("why", &format!("text {at}"))).collect();
        let shots = pairs.iter().map(|pair| Shot::new(&pair.text, &pair.query, None));
        let draw = Some(Draw { count: 1, seed: 1 });
        let asking = Asking::new(
            "{examples}{document}:",
            "{document}: {query}\n",
            shots.collect(),
            draw,
        );
        let prompts = PairPrompts::new(asking.unwrap(), 9).unwrap();
        let (texts, _) = prompts.filled(&pairs, Cut::Words(9)).unwrap();
        assert_eq!(texts.len(), pairs.len());
        let last = texts.last().unwrap();
        assert!(
            last.contains(": why\n") && last.ends_with("\ntext 39999:"),
            "{last}"
        );
    }
}
