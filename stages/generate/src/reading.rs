//! From the text of a prompt to the tokens that a model reads: one way for all that write with it or train it.

use ablate_core::StageError;
use ablate_models::generator::Reader;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chat::Conversation;

/// How a prompt reaches a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// As a text to go on with.
    #[default]
    Raw,
    /// As a user's message to a model that was tuned to answer, by the chat template it comes with.
    Chat,
}

impl Format {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Chat => "chat",
        }
    }

    /// The format of a word.
    pub fn of(word: &str) -> Option<Self> {
        [Self::Raw, Self::Chat]
            .into_iter()
            .find(|format| format.word() == word)
    }
}

/// Makes prompts into tokens.
pub struct Reading<'a> {
    reader: &'a Reader,
    conversation: Option<Conversation<'a>>,
}

impl<'a> Reading<'a> {
    /// For a model that is asked in this format.
    ///
    /// # Errors
    /// If it has no chat template where one is asked for, or one that is none.
    pub fn new(reader: &'a Reader, format: Format) -> Result<Self, StageError> {
        let conversation = match format {
            Format::Raw => None,
            Format::Chat => Some(Conversation::new(reader)?),
        };
        Ok(Self { reader, conversation })
    }

    /// What the model reads of a prompt: the conversation around it, where there is one.
    ///
    /// # Errors
    /// If the chat template fails.
    pub fn text(&self, prompt: &str) -> Result<String, StageError> {
        match &self.conversation {
            None => Ok(prompt.to_owned()),
            Some(conversation) => conversation.asking(prompt),
        }
    }

    /// The tokens of a prompt. It is made into tokens as one text: where two texts meet, one token may spell the end of the first and
    /// the beginning of the second.
    ///
    /// # Errors
    /// If the tokenizer or the chat template fails.
    pub fn tokens(&self, prompt: &str) -> Result<Vec<u32>, StageError> {
        let text = self.reader.tokens(&self.text(prompt)?)?;
        // The chat template writes what begins a text itself.
        let begin = self.reader.begin.filter(|_| self.conversation.is_none());
        Ok(begin.into_iter().chain(text).collect())
    }

    /// The token that ends an answer: in a conversation the one its template puts behind it.
    ///
    /// # Errors
    /// If the tokenizer or the chat template fails.
    pub fn end(&self) -> Result<Option<u32>, StageError> {
        let ends = &self.reader.ends;
        let behind = match &self.conversation {
            None => vec![],
            Some(conversation) => self.reader.tokens(&conversation.behind_answer()?)?,
        };
        let written = behind.into_iter().find(|token| ends.contains(token));
        Ok(written.or(ends.first().copied()))
    }
}
