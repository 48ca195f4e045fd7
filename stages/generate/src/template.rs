//! Texts with slots: what a prompt says, and where the row's own texts go.

use ablate_core::similar;

/// What may stand between braces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// A document as retrieval reads it: its title, a space, its text.
    Document,
    /// Its title; nothing where it has none.
    Title,
    /// Its text without the title.
    Text,
    /// The query of a pair, or of a shot.
    Query,
    /// The poorer query of a shot.
    Poor,
    /// The shots, each in their layout.
    Examples,
    /// The number of a shot from 1; in the template one more than there are shots.
    Number,
}

impl Slot {
    /// Those of templates.
    pub(crate) const TEMPLATE: [Self; 6] = [
        Self::Document,
        Self::Title,
        Self::Text,
        Self::Query,
        Self::Examples,
        Self::Number,
    ];
    /// Those of the layout of a shot.
    pub(crate) const LAYOUT: [Self; 4] = [Self::Document, Self::Query, Self::Poor, Self::Number];

    fn name(self) -> &'static str {
        match self {
            Self::Document => "{document}",
            Self::Title => "{title}",
            Self::Text => "{text}",
            Self::Query => "{query}",
            Self::Poor => "{poor}",
            Self::Examples => "{examples}",
            Self::Number => "{number}",
        }
    }
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// What stands there in every prompt.
    Text(String),
    /// A place for a text of the row.
    Slot(Slot),
}

/// A text with slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

impl Template {
    /// Reads a text in which these slots may stand, each once; braces around anything but a word are text, but for those of Jinja, which
    /// would be taken for what they are not.
    ///
    /// # Errors
    /// Names the slot that is unknown or stands twice, or what is Jinja.
    pub(crate) fn parse(text: &str, slots: &[Slot]) -> Result<Self, String> {
        if let Some(jinja) = ["{{", "{%", "{#"].iter().find(|jinja| text.contains(**jinja)) {
            return Err(format!(
                "`{jinja}` is Jinja, and templates are no Jinja: write single braces around a slot, as in {{document}}"
            ));
        }
        let (mut template, mut rest) = (Self(vec![]), text);
        while let Some(at) = rest.find('{') {
            let (before, braced) = rest.split_at(at);
            let end = slot_end(braced);
            template.push(Part::Text(before.to_owned()));
            template.push(match end {
                Some(end) => Part::Slot(slot(&braced[..end], slots)?),
                None => Part::Text("{".into()),
            });
            rest = &braced[end.unwrap_or(1)..];
        }
        template.push(Part::Text(rest.to_owned()));
        match slots.iter().find(|slot| template.count(**slot) > 1) {
            Some(slot) => Err(format!("`{}` stands there twice", slot.name())),
            None => Ok(template),
        }
    }

    /// Appends a part; texts that meet become one.
    fn push(&mut self, part: Part) {
        match (self.0.last_mut(), part) {
            (_, Part::Text(text)) if text.is_empty() => {}
            (Some(Part::Text(last)), Part::Text(text)) => last.push_str(&text),
            (_, part) => self.0.push(part),
        }
    }

    fn count(&self, slot: Slot) -> usize {
        self.0.iter().filter(|part| **part == Part::Slot(slot)).count()
    }

    /// Whether a slot stands in it.
    pub(crate) fn has(&self, slot: Slot) -> bool {
        self.count(slot) > 0
    }

    /// The same with a text in place of a slot.
    #[must_use]
    pub(crate) fn with(self, slot: Slot, text: &str) -> Self {
        let mut filled = Self(vec![]);
        for part in self.0 {
            filled.push(match part {
                Part::Slot(found) if found == slot => Part::Text(text.to_owned()),
                part => part,
            });
        }
        filled
    }

    /// What stands before a slot; `None` if it is not there.
    pub(crate) fn before(&self, slot: Slot) -> Option<Self> {
        let at = self.0.iter().position(|part| *part == Part::Slot(slot))?;
        Some(Self(self.0[..at].to_vec()))
    }

    /// The same with a text in place of all that stands before a slot, where it is there.
    #[must_use]
    pub(crate) fn headed(self, text: &str, slot: Slot) -> Self {
        let at = self.0.iter().position(|part| *part == Part::Slot(slot));
        let mut headed = Self(vec![]);
        headed.push(Part::Text(text.to_owned()));
        let rest = self.0.into_iter().skip(at.unwrap_or(0));
        rest.for_each(|part| headed.push(part));
        headed
    }

    /// Its parts, no two texts beside each other.
    pub(crate) fn parts(&self) -> &[Part] {
        &self.0
    }

    /// As it is written.
    pub(crate) fn text(&self) -> String {
        let text = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Slot(slot) => slot.name().to_owned(),
        };
        self.0.iter().map(text).collect()
    }
}

/// Where the braces end that a text begins with, if they hold a word of small letters.
fn slot_end(braced: &str) -> Option<usize> {
    let end = braced.find('}')?;
    let word = &braced[1..end];
    let is_word = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_word.then_some(end + 1)
}

fn slot(name: &str, slots: &[Slot]) -> Result<Slot, String> {
    let names = || slots.iter().map(|slot| slot.name());
    if let Some(slot) = slots.iter().find(|slot| slot.name() == name) {
        return Ok(*slot);
    }
    Err(match similar(name, names()).first() {
        Some(best) => format!("`{name}` is no slot: did you mean `{best}`?"),
        None => format!(
            "`{name}` is no slot: there are {}",
            names().collect::<Vec<_>>().join(", ")
        ),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Template, String> {
        Template::parse(text, &Slot::TEMPLATE)
    }

    #[test]
    fn a_template_is_texts_and_slots() {
        let template = parse("as {\"x\": {1}}: {title}, {text}").unwrap();
        let text = |text: &str| Part::Text(text.into());
        let parts = [
            text("as {\"x\": {1}}: "),
            Part::Slot(Slot::Title),
            text(", "),
            Part::Slot(Slot::Text),
        ];
        assert_eq!(template.parts(), parts);
        assert_eq!(template.text(), "as {\"x\": {1}}: {title}, {text}");
        let filled = template.with(Slot::Title, "a {text} of mine");
        assert_eq!(
            filled.parts(),
            [
                text("as {\"x\": {1}}: a {text} of mine, "),
                Part::Slot(Slot::Text)
            ]
        );
    }

    #[test]
    fn what_stands_before_a_slot_can_be_another_text() {
        let template = parse("Do {title}.\n{examples}{document}:").unwrap();
        assert_eq!(template.before(Slot::Examples).unwrap().text(), "Do {title}.\n");
        assert_eq!(template.before(Slot::Query), None);
        let headed = template.headed("Ask: ", Slot::Examples);
        assert_eq!(headed.text(), "Ask: {examples}{document}:");
        let bare = parse("{examples}{document}").unwrap();
        assert_eq!(bare.before(Slot::Examples).unwrap().text(), "");
        assert_eq!(
            bare.headed("Ask: ", Slot::Examples).text(),
            "Ask: {examples}{document}"
        );
    }

    #[test]
    fn jinja_is_refused() {
        for text in [
            "Text: {{document}}",
            "{% if title %}{title}{% endif %} {document}",
            "{# why #}",
        ] {
            let told = parse(text).unwrap_err();
            assert!(told.contains("templates are no Jinja"), "{told}");
        }
    }

    #[test]
    fn a_slot_that_is_unknown_or_stands_twice_is_told() {
        assert_eq!(
            parse("{documnet}").unwrap_err(),
            "`{documnet}` is no slot: did you mean `{document}`?"
        );
        assert!(
            parse("{zzz}")
                .unwrap_err()
                .contains("there are {document}, {title}")
        );
        assert_eq!(
            parse("{query} {query}").unwrap_err(),
            "`{query}` stands there twice"
        );
        assert!(Template::parse("{title}", &Slot::LAYOUT).is_err());
    }
}
