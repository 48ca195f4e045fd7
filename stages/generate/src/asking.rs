//! A prompt at work: what is the same for every row, and what each row puts in.

use ablate_core::{StageError, rows::PromptRow};

use crate::{
    cutting::Cut,
    filling::{Prompts, Row},
    shots::{Draw, Shot, Shots},
    strategies::{Manner, Strategy},
    template::{Slot, Template},
};

/// The part of an artifact that holds what answers are like.
const MANNER: &str = "manner";

/// A template with its shots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asking {
    template: Template,
    shots: Shots,
    manner: Manner,
}

impl Asking {
    /// A template with these shots.
    ///
    /// # Errors
    /// Names a slot that is unknown, and what is missing.
    pub(crate) fn new(
        template: &str,
        layout: &str,
        pool: Vec<Shot>,
        draw: Option<Draw>,
    ) -> Result<Self, StageError> {
        let parse = |text: &str, slots: &[Slot]| {
            Template::parse(text, slots).map_err(|why| StageError::new(format!("the prompt: {why}")))
        };
        let shots = Shots {
            layout: parse(layout, &Slot::LAYOUT)?,
            pool,
            draw,
        };
        let asking = Self {
            template: parse(template, &Slot::TEMPLATE)?,
            shots,
            manner: Manner::default(),
        };
        asking.check()?;
        Ok(asking)
    }

    fn check(&self) -> Result<(), StageError> {
        let has = |slot| self.template.has(slot);
        let refuse = |what: &str, help: &str| Err(StageError::with_help(what, help));
        if !has(Slot::Document) && !has(Slot::Text) {
            return refuse(
                "the prompt has no place for the document",
                "write {document} where it belongs",
            );
        }
        if !has(Slot::Examples) && !self.shots.pool.is_empty() {
            return refuse(
                "the prompt has no place for examples",
                "write {examples} where they belong",
            );
        }
        Ok(())
    }

    /// A named strategy with its own shots.
    pub(crate) fn of_strategy(strategy: Strategy) -> Result<Self, StageError> {
        let asking = Self::new(&strategy.template, &strategy.layout, strategy.shots, None)?;
        Ok(asking.answered(strategy.manner))
    }

    /// The same with answers of this manner.
    pub(crate) fn answered(self, manner: Manner) -> Self {
        Self { manner, ..self }
    }

    /// Whether a slot stands in its template.
    pub(crate) fn has(&self, slot: Slot) -> bool {
        self.template.has(slot)
    }

    /// What its answers are like.
    pub(crate) fn manner(&self) -> &Manner {
        &self.manner
    }

    /// Its shots.
    pub(crate) fn shots(&self) -> &[Shot] {
        &self.shots.pool
    }

    /// Whether its shots are drawn anew for each document.
    pub(crate) fn draws(&self) -> bool {
        self.shots.draw.is_some()
    }

    /// Whether its shots are laid out with this slot.
    pub(crate) fn lays_out(&self, slot: Slot) -> bool {
        self.shots.layout.has(slot)
    }

    /// What stands before its shots; `None` if it has no place for any.
    pub(crate) fn instruction(&self) -> Option<String> {
        Some(self.template.before(Slot::Examples)?.text())
    }

    /// The same with another text before its shots, set apart by a blank line.
    pub(crate) fn instructed(&self, instruction: &str) -> Self {
        Self {
            template: self
                .template
                .clone()
                .headed(&format!("{}\n\n", instruction.trim_end()), Slot::Examples),
            shots: self.shots.clone(),
            manner: self.manner.clone(),
        }
    }

    /// The same with these shots in the place of its own, which goes where there are none.
    ///
    /// # Errors
    /// If it has no place for the document.
    pub(crate) fn shown(&self, pool: Vec<Shot>) -> Result<Self, StageError> {
        let template = match pool.is_empty() {
            true => self.template.clone().with(Slot::Examples, ""),
            false => self.template.clone(),
        };
        let (layout, draw) = (self.shots.layout.clone(), None);
        let shots = Shots { layout, pool, draw };
        let asking = Self {
            template,
            shots,
            manner: self.manner.clone(),
        };
        asking.check().map(|()| asking)
    }

    /// What is the same for every row, with slots for the rest.
    pub(crate) fn text(&self) -> String {
        self.shots.written_into(&self.template).text()
    }

    /// As an artifact: `template`, `manner` where its answers are no plain ones, and where there is a place for shots `layout`, `shot/NUMBER` and `draw`.
    pub(crate) fn rows(&self) -> Result<Vec<PromptRow>, StageError> {
        let row = |part: String, text: String| PromptRow { part, text };
        let mut rows = vec![row("template".into(), self.template.text())];
        if self.manner != Manner::default() {
            rows.push(row(MANNER.into(), serde_json::to_string(&self.manner)?));
        }
        if !self.template.has(Slot::Examples) {
            return Ok(rows);
        }
        rows.push(row("layout".into(), self.shots.layout.text()));
        for (shot, number) in self.shots.pool.iter().zip(1..) {
            rows.push(row(format!("shot/{number:08}"), serde_json::to_string(shot)?));
        }
        if let Some(draw) = &self.shots.draw {
            rows.push(row("draw".into(), serde_json::to_string(draw)?));
        }
        Ok(rows)
    }

    /// From an artifact; a table of `template` alone is enough.
    pub(crate) fn from_rows(rows: &[PromptRow]) -> Result<Self, StageError> {
        let part = |name: &str| {
            rows.iter()
                .find(|row| row.part == name)
                .map(|row| row.text.as_str())
        };
        let template = part("template").ok_or_else(|| StageError::new("the prompt has no template"))?;
        let draw = part("draw").map(serde_json::from_str).transpose()?;
        let manner = part(MANNER).map(serde_json::from_str).transpose()?;
        let shots = rows.iter().filter(|row| row.part.starts_with("shot/"));
        let pool: Result<Vec<Shot>, _> = shots.map(|row| serde_json::from_str(&row.text)).collect();
        let asking = Self::new(template, part("layout").unwrap_or_default(), pool?, draw)?;
        Ok(asking.answered(manner.unwrap_or_default()))
    }

    /// Refuses templates that lack a slot of `needs`, or have one of `lacks`, for which `stage` has no text, or a place for
    /// examples where there are none.
    pub(crate) fn require(
        &self,
        stage: &str,
        needs: &[(Slot, &str)],
        lacks: &[(Slot, &str)],
    ) -> Result<(), StageError> {
        if self.template.has(Slot::Examples) && self.shots.pool.is_empty() {
            return Err(StageError::with_help(
                "the prompt has a place for examples, and there are none",
                "give `shots`, connect `shots_from`, or let `prompt/optimise` find some",
            ));
        }
        if let Some((_, name)) = needs.iter().find(|(slot, _)| !self.template.has(*slot)) {
            let help = format!("`{stage}` needs a template with {name}");
            return Err(StageError::with_help(format!("the prompt has no {name}"), help));
        }
        if let Some((_, name)) = lacks.iter().find(|(slot, _)| self.template.has(*slot)) {
            let help = format!("`{stage}` has no text for it: take {name} out of the template");
            return Err(StageError::with_help(format!("the prompt has {name}"), help));
        }
        Ok(())
    }

    /// The prompts of rows, documents cut where they are too long.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub(crate) fn prompts<'a>(&self, rows: Vec<Row<'a>>, cut: Cut<'a>) -> Result<Prompts<'a>, StageError> {
        Prompts::new(&self.template, &self.shots, rows, cut)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use ablate_core::rows::Document;

    use super::*;
    use crate::strategies::named;

    fn document() -> Document {
        Document {
            doc_id: "d".into(),
            title: Some("Title".into()),
            text: "a {query} text".into(),
        }
    }

    fn written(asking: &Asking, row: Row<'_>) -> String {
        let prompts = asking.prompts(vec![row], Cut::Words(99)).unwrap();
        prompts.filled(0).unwrap().text
    }

    #[test]
    fn slots_take_the_texts_of_a_row_and_nothing_in_them_is_a_slot() {
        let asking = Asking::new("T: {title} X: {text}", "", vec![], None).unwrap();
        let row = |asking: &Asking| written(asking, Row::of_document(&document()));
        assert_eq!(row(&asking), "T: Title X: a {query} text");
        let whole = Asking::new("{document}", "", vec![], None).unwrap();
        assert_eq!(row(&whole), "Title a {query} text");
    }

    #[test]
    fn shots_stand_in_the_head_and_drawn_ones_do_not() {
        let shots = vec![Shot::new("d1 {title}", "q1", None), Shot::new("d2", "q2", None)];
        let asking = |draw| {
            Asking::new(
                "Do.\n{examples}{number}. {document}:",
                "{number}. {document}: {query}\n",
                shots.clone(),
                draw,
            )
            .unwrap()
        };
        let document = document();
        let row = Row::of_document(&document);
        let (fixed, draw) = (asking(None), Draw { count: 1, seed: 1 });
        assert_eq!(
            written(&fixed, row),
            "Do.\n1. d1 {title}: q1\n2. d2: q2\n3. Title a {query} text:"
        );
        let drawn = written(&asking(Some(draw)), row);
        assert!(
            drawn.starts_with("Do.\n1. d") && drawn.ends_with("\n2. Title a {query} text:"),
            "{drawn}"
        );
        for asking in [fixed, asking(Some(draw))] {
            assert_eq!(Asking::from_rows(&asking.rows().unwrap()).unwrap(), asking);
        }
    }

    #[test]
    fn another_instruction_and_other_shots_leave_the_rest() {
        let shots = |count: usize| {
            (0..count)
                .map(|at| Shot::new(&format!("d{at}"), "q", None))
                .collect()
        };
        let asking = Asking::new(
            "Do.\n{examples}{number}. {document}:",
            "{document}: {query}\n",
            shots(1),
            None,
        );
        let asking = asking.unwrap();
        assert_eq!(asking.instruction().unwrap(), "Do.\n");
        assert_eq!(asking.text(), "Do.\nd0: q\n2. {document}:");
        let other = asking.instructed("Ask {1}. ");
        assert_eq!(other.text(), "Ask {1}.\n\nd0: q\n2. {document}:");
        let bare = other.shown(vec![]).unwrap();
        assert_eq!(bare.text(), "Ask {1}.\n\n1. {document}:");
        assert!(bare.require("generate", &[], &[]).is_ok());
        let more = other.shown(shots(2)).unwrap();
        assert_eq!(more.text(), "Ask {1}.\n\nd0: q\nd1: q\n3. {document}:");
        assert_eq!(Asking::from_rows(&more.rows().unwrap()).unwrap(), more);
    }

    #[test]
    fn an_artifact_says_what_answers_are_like() {
        for name in ["ablate/chat", "ablate/cot", "ablate/gbq"] {
            let asking = Asking::of_strategy(named(name).unwrap()).unwrap();
            let rows = asking.rows().unwrap();
            assert_eq!(Asking::from_rows(&rows).unwrap().manner(), asking.manner());
            let told = rows.iter().any(|row| row.part == MANNER);
            assert_eq!(told, name != "ablate/gbq");
        }
    }

    #[test]
    fn places_and_texts_must_fit() {
        let shot = || vec![Shot::new("d", "q", None)];
        let told = |template: &str, pool| Asking::new(template, "", pool, None).unwrap_err().to_string();
        assert!(told("no place", vec![]).contains("no place for the document"));
        assert!(told("{document}", shot()).contains("no place for examples"));
        let asking = Asking::new("{query} {document}", "", vec![], None).unwrap();
        assert!(
            asking
                .require("negatives/llm", &[(Slot::Query, "{query}")], &[])
                .is_ok()
        );
        let refused = asking.require("generate", &[], &[(Slot::Query, "{query}")]);
        assert!(
            refused
                .unwrap_err()
                .to_string()
                .contains("the prompt has {query}")
        );
        let empty = Asking::new("{examples}{document}", "{query}", vec![], None).unwrap();
        let refused = empty.require("generate", &[], &[]).unwrap_err().to_string();
        assert!(refused.contains("there are none"), "{refused}");
        assert_eq!(Asking::from_rows(&empty.rows().unwrap()).unwrap(), empty);
    }
}
