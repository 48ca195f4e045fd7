//! Named prompting strategies and the `prompt` stage.

use std::path::PathBuf;

use ablate_core::{
    ArtifactKind, Digest, Input, Io, Output, Places, Preview, Problems, Record, SourceType, Stage,
    StageError,
    rows::{Pair, PromptRow},
    similar,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    asking::Asking,
    published,
    shots::{Draw, Shot},
    strategies::{Manner, NAMES, Strategy, named},
    template::{Slot, Template},
};

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
        names().collect()
    }

    fn check(&self, text: &str) -> Result<(), String> {
        if names().any(|name| name == text) {
            return Ok(());
        }
        Err(match similar(text, names()).first() {
            Some(best) => format!("did you mean the prompt `{best}`?"),
            None => format!(
                "the named prompts are {}; for your own text use a `prompt` stage",
                names().collect::<Vec<_>>().join(", ")
            ),
        })
    }

    fn identity(&self, text: &str, _: &Places) -> String {
        text.to_owned()
    }

    /// Of the text itself, and of what its answers are like: an edited strategy is another prompt.
    fn digest(&self, text: &str, places: &Places) -> Result<Option<Digest>, StageError> {
        if published::is_published(text) {
            return published::digest(text, places);
        }
        let Some(asking) = named(text).map(Asking::of_strategy).transpose()? else {
            return Ok(None);
        };
        let manner = match asking.manner() {
            plain if *plain == Manner::default() => String::new(),
            manner => serde_json::to_string(manner)?,
        };
        let bytes = [asking.text(), manner].concat().into_bytes();
        Ok(Some(Digest::derive("ablate prompt v1", &bytes)))
    }

    fn fetch(&self, text: &str, places: &Places, report: &dyn Fn(&str)) -> Result<PathBuf, StageError> {
        match published::is_published(text) {
            true => published::fetch(text, places, report),
            false => Ok(places.base.clone()),
        }
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    NAMES.into_iter().chain(published::NAMES)
}

/// The strategy of a source.
fn strategy(name: &str, places: &Places) -> Result<Strategy, StageError> {
    named(name).map_or_else(|| published::strategy(name, places), Ok)
}

/// A prompt as an artifact: a named strategy, or a template of the user's own.
pub struct Prompt;

/// Parameters of `prompt`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// A named strategy (ablate/vanilla, ablate/gbq), or a text of your own with {document}, or {title} and {text}, where they
    /// belong; {query} for negatives, {examples} for shots, and {number} for one more than there are. Left out with `base`.
    #[serde(default)]
    #[schemars(length(min = 1), example = "ablate/vanilla")]
    template: Option<String>,
    /// Examples of your own, instead of a named strategy's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    shots: Vec<Shot>,
    /// The text of each example, with {document}, {query}, {poor} and {number}; a named strategy's own if not given, else
    /// `Document:` and `Query:` with a blank line behind.
    #[serde(default)]
    #[schemars(length(min = 1), example = "Abstract: {document}\nClaim: {query}\n\n")]
    layout: Option<String>,
    /// Examples drawn from `shots_from` for each document; 3 if not given.
    #[serde(default)]
    #[schemars(range(min = 1), example = 3)]
    count: Option<u32>,
    /// Seed of that draw; 1 if not given.
    #[serde(default)]
    #[schemars(example = 1)]
    seed: Option<u64>,
}

/// Shots, and how they are drawn; all of them, in their order, if there is no draw.
type Pool = (Vec<Shot>, Option<Draw>);

const LAYOUT: &str = "Document: {document}\nQuery: {query}\n\n";

impl Params {
    /// The strategy of `template`: a named one, or the text in it.
    fn strategy(&self) -> Option<Strategy> {
        let template = self.template.as_deref()?;
        let own = || Strategy {
            template: template.to_owned(),
            layout: LAYOUT.to_owned(),
            shots: vec![],
            manner: Manner::default(),
        };
        Some(named(template).unwrap_or_else(own))
    }

    /// The strategy at the port `base`, or else of `template`; its shots are those of the user, where there are any.
    fn asking(&self, io: &Io<'_>) -> Result<Asking, StageError> {
        let base = io.source("base").map(|name| strategy(&name, io.places()));
        let mut strategy = match (base, self.strategy()) {
            (Some(base), None) => base?,
            (None, Some(own)) => own,
            _ => {
                return Err(StageError::with_help(
                    "a prompt has either `template` or `base`",
                    "leave one of them out",
                ));
            }
        };
        if let Some(layout) = &self.layout {
            strategy.layout.clone_from(layout);
        }
        match self.shots(io)? {
            Some((pool, draw)) => {
                let asking = Asking::new(&strategy.template, &strategy.layout, pool, draw)?;
                Ok(asking.answered(strategy.manner))
            }
            None => Asking::of_strategy(strategy),
        }
    }

    fn draw(&self) -> Draw {
        Draw {
            count: self.count.unwrap_or(3),
            seed: self.seed.unwrap_or(1),
        }
    }

    /// `None` if there are none of the user's own.
    fn shots(&self, io: &Io<'_>) -> Result<Option<Pool>, StageError> {
        let pairs: Option<Vec<Pair>> = io.optional_rows("shots_from")?;
        let given = (!self.shots.is_empty()).then(|| (self.shots.clone(), None));
        match (given, pairs) {
            (Some(_), Some(_)) => Err(StageError::with_help(
                "`shots` and `shots_from` are both given",
                "leave one of them out",
            )),
            (given, None) if self.count.or(self.seed.map(|_| 1)).is_some() => {
                let what = given.map_or("without `shots_from`", |_| "beside `shots`");
                Err(StageError::with_help(
                    format!("`count` and `seed` draw from nothing {what}"),
                    "connect `shots_from`, or leave them out",
                ))
            }
            (given, None) => Ok(given),
            (None, Some(pairs)) => {
                let shot = |pair: &Pair| Shot::new(&pair.text, &pair.query, None);
                Ok(Some((pairs.iter().map(shot).collect(), Some(self.draw()))))
            }
        }
    }
}

impl Stage for Prompt {
    const NAME: &'static str = "prompt";
    const VERSION: u32 = 3;
    const ABOUT: &'static str = "a prompt: a named strategy, or your own text with {document}, and examples";
    const EXAMPLE: &'static str =
        "asking: {use: prompt, template: \"Passage: {document}\\nA question it answers:\"}";
    const INPUTS: &'static [Input] = &[
        Input::of("shots_from", ArtifactKind::Pairs)
            .optional()
            .about("queries with their documents: each prompt has some of them as examples, drawn anew for its document"),
        Input::of("base", ArtifactKind::Prompt)
            .or_source(&PROMPT_SOURCE)
            .optional()
            .about("a named strategy, published ones too, to put examples into; instead of `template`"),
    ];
    const OUTPUTS: &'static [Output] =
        &[Output::of("prompt", ArtifactKind::Prompt).about("the prompt, ready for `generate`")];
    type Params = Params;

    fn check(params: &Params, problems: &mut Problems) {
        let is_name = |template: &str| !template.contains('{');
        if let Some(name) = params.template.as_deref().filter(|text| is_name(text))
            && let Err(why) = check_name(name)
        {
            return problems.require(false, "template", why);
        }
        if let Some(Err(why)) = params
            .layout
            .as_ref()
            .map(|layout| Template::parse(layout, &Slot::LAYOUT))
        {
            problems.require(false, "layout", why);
        }
        match params
            .strategy()
            .map(|strategy| Template::parse(&strategy.template, &Slot::TEMPLATE))
        {
            Some(Err(why)) => problems.require(false, "template", why),
            Some(Ok(template)) => check_slots(params, &template, problems),
            None => {}
        }
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        io.put("prompt", params.asking(io)?.rows()?)
    }
}

fn check_name(name: &str) -> Result<(), String> {
    if published::is_published(name) {
        return Err(format!(
            "`{name}` is fetched: name it as `base`, or at the port `prompt` of `generate`"
        ));
    }
    let neither = |why| format!("neither a text with {{document}} nor a named prompt: {why}");
    PROMPT_SOURCE.check(name).map_err(neither)
}

fn check_slots(params: &Params, template: &Template, problems: &mut Problems) {
    let texts = [Slot::Document, Slot::Text].map(|slot| template.has(slot));
    problems.require(
        texts != [false; 2],
        "template",
        "has no place for the document: write {document} or {text} where it belongs",
    );
    problems.require(
        texts != [true; 2],
        "template",
        "has {document} and {text}: {document} holds the text already",
    );
    let shown = template.has(Slot::Examples);
    problems.require(
        shown || params.shots.is_empty(),
        "shots",
        "the template has no place for them: write {examples} where they belong",
    );
    problems.require(
        shown || params.layout.is_none(),
        "layout",
        "the template has no place for examples: write {examples} where they belong",
    );
}

/// The prompt at a stage's `prompt` port, an artifact or a named strategy; `None` if nothing is connected.
pub(crate) fn at_port(io: &Io<'_>) -> Result<Option<Asking>, StageError> {
    if let Some(name) = io.source("prompt") {
        return Asking::of_strategy(strategy(&name, io.places())?).map(Some);
    }
    let rows: Option<Vec<PromptRow>> = io.optional_rows("prompt")?;
    rows.as_deref().map(Asking::from_rows).transpose()
}

/// The same before the stage runs, where the prompt is there.
pub(crate) fn previewed(preview: &dyn Preview) -> Option<Asking> {
    match preview.source("prompt") {
        Some(name) => Asking::of_strategy(strategy(name, preview.places()).ok()?).ok(),
        None => Asking::from_rows(&PromptRow::decode(&preview.sample("prompt")?).ok()?).ok(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn text(name: &str) -> String {
        Asking::of_strategy(named(name).unwrap()).unwrap().text()
    }

    #[test]
    fn layouts_are_those_of_inpars() {
        let vanilla = text("ablate/vanilla");
        assert!(vanilla.starts_with("Example 1:\nDocument: Swifts"));
        assert!(vanilla.ends_with("older adults\n\nExample 4:\nDocument: {document}\nRelevant Query:"));
        let gbq = text("ablate/gbq");
        assert!(gbq.contains("Good Question: why should new concrete be kept wet\nBad Question: what is sand used for\n\nExample 3:"));
        assert!(gbq.ends_with("\nGood Question:"));
    }

    #[test]
    fn every_name_is_a_prompt_and_its_digest_that_of_its_text() {
        assert!(NAMES.is_sorted());
        for name in NAMES {
            let template = Template::parse(&text(name), &Slot::TEMPLATE).unwrap();
            assert!(template.has(Slot::Document), "{name}");
            assert!(
                !template.has(Slot::Examples) && !template.has(Slot::Number),
                "{name}"
            );
            assert_eq!(template.has(Slot::Query), name == "ablate/negative");
        }
        assert!(text("ablate/promptagator-arguana").ends_with("Argument: {document}\nCounter-argument:"));
        let digest = |name| PROMPT_SOURCE.digest(name, &Places::default()).unwrap();
        // As of 0.1.0: they enter keys.
        assert_eq!(
            digest("ablate/vanilla").unwrap().to_string(),
            "b544f55eb14b14044572842641755fe44a72a0371bfe6dab65059d89f27f06e6"
        );
        assert_eq!(
            digest("ablate/gbq").unwrap().to_string(),
            "d03cd11436fb63c0650180dcb141bc508a65fbe71548086ebf0675d426601cf5"
        );
        assert_eq!(digest("ablate/none"), None);
    }

    fn problems(params: serde_json::Value) -> String {
        let mut problems = Problems::default();
        Prompt::check(&serde_json::from_value(params).unwrap(), &mut problems);
        format!("{problems:?}")
    }

    #[test]
    fn what_is_wrong_with_a_template_is_told() {
        use serde_json::json;
        let told = |params: serde_json::Value, what: &str| {
            let problems = problems(params);
            assert!(problems.contains(what), "{problems}");
        };
        told(json!({"template": "ablate/vanila"}), "ablate/vanilla");
        told(json!({"template": "inpars/gbq"}), "name it as `base`");
        told(json!({"template": "{documents}"}), "did you mean `{document}`");
        told(json!({"template": "{title}"}), "no place for the document");
        told(json!({"template": "{document}{text}"}), "holds the text already");
        let shots = json!([{"document": "d", "query": "q"}]);
        told(
            json!({"template": "{document}", "shots": shots}),
            "write {examples}",
        );
        told(
            json!({"template": "{examples}{document}", "shots": shots, "layout": "{title}"}),
            "`{title}` is no slot",
        );
        told(
            json!({"template": "ablate/chat", "shots": shots}),
            "no place for them",
        );
    }
}
