//! What a model is taught to answer: a text that `generate`, with the same prompt, takes the query out of again.

use ablate_core::{StageError, rows::Pair};

use crate::{
    answers::{Failure, Rule},
    decode::Finish,
    strategies::Manner,
};

/// Writes the answers to a prompt out of pairs.
pub(crate) struct Teaching {
    after: Option<String>,
    stop: Vec<String>,
    rule: Rule,
}

impl Teaching {
    /// For a prompt whose answers are of this manner.
    ///
    /// # Errors
    /// If its `until` is no regular expression.
    pub(crate) fn new(manner: &Manner) -> Result<Self, StageError> {
        let (after, until) = (manner.answer_after.as_deref(), manner.until.as_deref());
        Ok(Self {
            after: manner.answer_after.clone(),
            stop: manner.stop.clone().unwrap_or_default(),
            rule: Rule::new(after, until).map_err(StageError::new)?,
        })
    }

    /// The answer that the query of a pair is taken from: the query, and where the prompt has its model reason first, the reasoning
    /// before it.
    ///
    /// # Errors
    /// Why the pair is no example.
    pub(crate) fn answer(&self, pair: &Pair) -> Result<String, Failure> {
        if pair.finish == Finish::Length.word() {
            return Err("end where their tokens ran out");
        }
        let query = pair.query.trim();
        let answer = match (&self.after, pair.reasoning.as_deref().map(str::trim)) {
            (None, _) => query.to_owned(),
            (Some(after), Some(reasoning)) => format!("{reasoning}\n{after} {query}"),
            // A model that is shown none learns to leave it out.
            (Some(_), None) => return Err("have no reasoning, and the prompt asks for one before the query"),
        };
        let stops = self.stop.iter().any(|stop| answer.contains(stop));
        match self.rule.apply(&answer) {
            Ok(taken) if taken.query == query && !stops => Ok(answer),
            _ => Err("would not be taken out of an answer to the prompt as they stand there"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{samples::pair, strategies::named};

    fn teaching(prompt: &str) -> Teaching {
        Teaching::new(&named(prompt).unwrap().manner).unwrap()
    }

    fn reasoned(query: &str, reasoning: &str) -> Pair {
        Pair {
            reasoning: Some(reasoning.into()),
            ..pair(query, "A lake.")
        }
    }

    #[test]
    fn an_answer_holds_what_the_prompt_asks_for() {
        let pair = reasoned("how deep is it", "It is deep.\nQuery: a draft");
        assert_eq!(
            teaching("ablate/cot").answer(&pair).unwrap(),
            "It is deep.\nQuery: a draft\nQuery: how deep is it"
        );
        for prompt in ["ablate/vanilla", "ablate/chat"] {
            assert_eq!(teaching(prompt).answer(&pair).unwrap(), "how deep is it");
        }
    }

    #[test]
    fn what_would_be_read_otherwise_is_no_example() {
        let cot = teaching("ablate/cot");
        let told = |pair: &Pair| cot.answer(pair).unwrap_err();
        assert!(told(&pair("how deep", "A lake.")).contains("have no reasoning"));
        for broken in [
            reasoned("what does Query: mean", "It is deep."),
            reasoned("how\ndeep", "It is deep."),
            reasoned("how deep", "It is deep.\n\nDocument: another"),
            reasoned("how deep", "<think> it never ends"),
        ] {
            assert!(told(&broken).contains("taken out"), "{broken:?}");
        }
        let unfinished = Pair {
            finish: "length".into(),
            ..reasoned("how deep", "It is deep.")
        };
        assert!(told(&unfinished).contains("ran out"));
    }
}
