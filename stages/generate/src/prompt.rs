//! Named prompting strategies and the `prompt` stage.

use std::path::PathBuf;

use ablate_core::{
    ArtifactKind, Digest, Input, Io, Output, Places, Problems, SourceType, Stage, StageError,
    rows::PromptRow, similar,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shots::{SHOTS, Shot};

/// The strategies known by name.
const STRATEGIES: [&str; 2] = ["ablate/gbq", "ablate/vanilla"];

/// Where the document stands in a template.
const SLOT: &str = "{document}";

/// A prompt around one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Instruction and examples, up to the document: the same for every row.
    pub head: String,
    /// What follows the document.
    pub tail: String,
}

impl Template {
    /// Splits a text at `{document}`.
    pub fn parse(text: &str) -> Result<Self, StageError> {
        let (head, tail) = text.split_once(SLOT).ok_or_else(|| {
            StageError::with_help(
                "the prompt has no place for the document",
                format!("write {SLOT} where it belongs"),
            )
        })?;
        Ok(Self {
            head: head.to_owned(),
            tail: tail.to_owned(),
        })
    }

    /// The template of a named strategy.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "ablate/vanilla" => Some(few_shot(vanilla_example, "Relevant Query:")),
            "ablate/gbq" => Some(few_shot(gbq_example, "Good Question:")),
            _ => None,
        }
    }

    /// The whole text, with the slot.
    pub fn text(&self) -> String {
        format!("{}{SLOT}{}", self.head, self.tail)
    }
}

/// The layout of InPars (Bonifacio et al. 2022): numbered examples, then the document with an open cue.
fn few_shot(example: fn(usize, &Shot) -> String, cue: &str) -> Template {
    let examples: String = SHOTS
        .iter()
        .enumerate()
        .map(|(at, shot)| example(at + 1, shot))
        .collect();
    let head = format!("{examples}Example {}:\nDocument: ", SHOTS.len() + 1);
    Template {
        head,
        tail: format!("\n{cue}"),
    }
}

fn vanilla_example(number: usize, shot: &Shot) -> String {
    format!(
        "Example {number}:\nDocument: {}\nRelevant Query: {}\n\n",
        shot.document, shot.query
    )
}

/// Guided by bad questions: a poor query beside each good one.
fn gbq_example(number: usize, shot: &Shot) -> String {
    let Shot {
        document,
        query,
        poor,
    } = shot;
    format!("Example {number}:\nDocument: {document}\nGood Question: {query}\nBad Question: {poor}\n\n")
}

/// The prompt sources.
pub static PROMPT_SOURCE: PromptSource = PromptSource;

/// Resolves the name of a prompting strategy.
pub struct PromptSource;

impl SourceType for PromptSource {
    fn name(&self) -> &'static str {
        "prompt"
    }

    fn about(&self) -> &'static str {
        "a named strategy; for a text of your own use a stage of the kind `prompt`"
    }

    fn examples(&self) -> Vec<&'static str> {
        STRATEGIES.to_vec()
    }

    fn check(&self, text: &str) -> Result<(), String> {
        if STRATEGIES.contains(&text) {
            return Ok(());
        }
        Err(match similar(text, STRATEGIES).first() {
            Some(best) => format!("did you mean the prompt `{best}`?"),
            None => format!(
                "the named prompts are {}; for your own text use a `prompt` stage",
                STRATEGIES.join(", ")
            ),
        })
    }

    fn identity(&self, text: &str, _: &Places) -> String {
        text.to_owned()
    }

    /// Of the text itself: an edited strategy is another prompt.
    fn digest(&self, text: &str, _: &Places) -> Result<Option<Digest>, StageError> {
        Ok(Template::named(text)
            .map(|template| Digest::derive("ablate prompt v1", template.text().as_bytes())))
    }

    fn fetch(&self, _: &str, places: &Places, _: &dyn Fn(&str)) -> Result<PathBuf, StageError> {
        Ok(places.base.clone())
    }
}

/// A prompt as an artifact: a named strategy, or a template of the user's own.
pub struct Prompt;

/// Parameters of `prompt`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// A named strategy (ablate/vanilla, ablate/gbq), or a text of your own with {document} where the document belongs.
    #[schemars(length(min = 1), example = "ablate/vanilla")]
    template: String,
}

impl Stage for Prompt {
    const NAME: &'static str = "prompt";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "a prompt: a named strategy, or your own text with {document}";
    const EXAMPLE: &'static str =
        "asking: {use: prompt, template: \"Passage: {document}\\nA question it answers:\"}";
    const INPUTS: &'static [Input] = &[];
    const OUTPUTS: &'static [Output] =
        &[Output::of("prompt", ArtifactKind::Prompt).about("the prompt, ready for `generate`")];
    type Params = Params;

    fn check(params: &Params, problems: &mut Problems) {
        if !params.template.contains(SLOT)
            && let Err(why) = PROMPT_SOURCE.check(&params.template)
        {
            problems.require(
                false,
                "template",
                format!("neither a text with {SLOT} nor a named prompt: {why}"),
            );
        }
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let template =
            Template::named(&params.template).map_or_else(|| Template::parse(&params.template), Ok)?;
        io.put(
            "prompt",
            vec![PromptRow {
                part: "template".into(),
                text: template.text(),
            }],
        )
    }
}

/// The template at a stage's `prompt` port: an artifact, or a named strategy.
pub(crate) fn at_port(io: &Io<'_>) -> Result<Template, StageError> {
    if let Some(name) = io.source("prompt") {
        return Template::named(&name).ok_or_else(|| StageError::new(format!("no prompt `{name}`")));
    }
    let rows: Vec<PromptRow> = io.rows("prompt")?;
    let row = rows.iter().find(|row| row.part == "template");
    Template::parse(
        &row.ok_or_else(|| StageError::new("the prompt has no template"))?
            .text,
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_those_of_inpars() {
        let vanilla = Template::named("ablate/vanilla").unwrap();
        assert!(vanilla.head.starts_with("Example 1:\nDocument: Swifts"));
        assert!(vanilla.head.ends_with("older adults\n\nExample 4:\nDocument: "));
        assert_eq!(vanilla.tail, "\nRelevant Query:");
        let gbq = Template::named("ablate/gbq").unwrap();
        assert!(gbq.head.contains("Good Question: why should new concrete be kept wet\nBad Question: what is sand used for\n\nExample 3:"));
        assert_eq!(gbq.tail, "\nGood Question:");
    }

    #[test]
    fn a_template_without_a_slot_is_refused() {
        assert!(Template::parse("no place").is_err());
        assert_eq!(Template::parse("a {document} b").unwrap().tail, " b");
    }
}
