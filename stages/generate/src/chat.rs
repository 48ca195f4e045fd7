//! Conversations as the models that were tuned on them read them: chat templates in Jinja, in a sandbox.

use ablate_core::StageError;
use ablate_models::generator::Reader;
use minijinja::{Environment, Error, ErrorKind, context};

/// What a template may do at most, so that none runs for ever.
const FUEL: u64 = 1_000_000;
/// What the template of a model is called.
const NAME: &str = "chat";

/// The chat template of a model, as transformers' `apply_chat_template` with `add_generation_prompt` has it.
pub(crate) struct Conversation<'a> {
    environment: Environment<'a>,
    begin: String,
    end: String,
}

impl<'a> Conversation<'a> {
    /// # Errors
    /// If the model has no chat template, or one that is none.
    pub(crate) fn new(reader: &'a Reader) -> Result<Self, StageError> {
        let Some(template) = &reader.chat_template else {
            return Err(StageError::with_help(
                "the model has no chat template: it was not tuned to answer",
                "set `format: raw`, or name a model whose name ends in -instruct or -it",
            ));
        };
        let text = |token: Option<u32>| {
            let text = token.and_then(|token| reader.tokenizer.id_to_token(token));
            text.unwrap_or_default()
        };
        let tokens = [text(reader.begin), text(reader.ends.first().copied())];
        Self::of(template, tokens).map_err(|error| unusable(&error))
    }

    /// `begin` and `end` stand around texts.
    fn of(template: &'a str, [begin, end]: [String; 2]) -> Result<Self, Error> {
        let mut environment = Environment::new();
        environment.set_fuel(Some(FUEL));
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |why: String| -> Result<String, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, why))
        });
        // The same text on every day: a date would be another prompt.
        environment.add_function("strftime_now", |_: String| "26 Jul 2024".to_owned());
        environment.add_template(NAME, template)?;
        Ok(Self {
            environment,
            begin,
            end,
        })
    }

    /// The conversation in which a user says this and is to be answered.
    ///
    /// # Errors
    /// If the template cannot be used.
    pub(crate) fn asking(&self, message: &str) -> Result<String, StageError> {
        let written = self.render(&[("user", message)], true);
        let written = written.map_err(|error| unusable(&error))?;
        match written.contains(message.trim()) {
            true => Ok(written),
            false => Err(StageError::new(
                "the chat template of the model leaves out what the user says",
            )),
        }
    }

    /// What the template writes behind an answer.
    ///
    /// # Errors
    /// If the template cannot be used.
    pub(crate) fn behind_answer(&self) -> Result<String, StageError> {
        const ANSWER: &str = "An answer.";
        let written = self.render(&[("user", "A question."), ("assistant", ANSWER)], false);
        let written = written.map_err(|error| unusable(&error))?;
        let behind = written.rsplit_once(ANSWER).map_or("", |(_, behind)| behind);
        Ok(behind.to_owned())
    }

    fn render(&self, messages: &[(&str, &str)], ask: bool) -> Result<String, Error> {
        let message = |(role, content): &(&str, &str)| context! { role => role, content => content };
        self.environment.get_template(NAME)?.render(context! {
            messages => messages.iter().map(message).collect::<Vec<_>>(),
            add_generation_prompt => ask,
            enable_thinking => false,
            bos_token => self.begin,
            eos_token => self.end,
        })
    }
}

fn unusable(error: &Error) -> StageError {
    StageError::new(format!("the chat template of the model cannot be used: {error}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn rendered(template: &str) -> Result<String, String> {
        let conversation = Conversation::of(template, ["<s>".into(), "</s>".into()]);
        let written = conversation.and_then(|conversation| conversation.render(&[("user", "say")], true));
        written.map_err(|error| error.to_string())
    }

    /// What jinja2 gives with transformers' settings.
    #[test]
    fn templates_are_rendered_as_transformers_renders_them() {
        let chatml = "{% for message in messages %}\n    {{- '<|im_start|>' + message['role'] + '\\n' + message['content'].strip() + '<|im_end|>' + '\\n' }}\n{% endfor %}\n{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
        assert_eq!(
            rendered(chatml).unwrap(),
            "<|im_start|>user\nsay<|im_end|>\n\n<|im_start|>assistant\n"
        );
        let llama = "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}[INST] {{ messages[0]['content'] | trim }} [/INST]";
        assert_eq!(rendered(llama).unwrap(), "<s>[INST] say [/INST]");
        assert!(
            rendered("{{ raise_exception('no system') }}")
                .unwrap_err()
                .contains("no system")
        );
        assert!(
            rendered("{% for a in range(9999) %}{% for b in range(9999) %}{{ a }}{% endfor %}{% endfor %}")
                .is_err()
        );
    }
}
