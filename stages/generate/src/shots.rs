//! Few-shot examples: how they are laid out and drawn, and our own passages and queries.

use std::collections::BTreeSet;

use ablate_core::{Digest, Seed, StageError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    cutting::Cut,
    template::{Slot, Template},
};

/// A passage with a query it answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shot {
    /// The passage.
    #[schemars(length(min = 1))]
    pub(crate) document: String,
    /// A query it answers.
    #[schemars(length(min = 1))]
    pub(crate) query: String,
    /// A poorer query, for layouts with {poor}.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) poor: Option<String>,
}

impl Shot {
    pub(crate) fn new(document: &str, query: &str, poor: Option<&str>) -> Self {
        Self {
            document: document.to_owned(),
            query: query.to_owned(),
            poor: poor.map(str::to_owned),
        }
    }

    /// The same about as much of its document as a prompt has.
    fn shortened(&self, cut: Cut<'_>) -> Result<Self, StageError> {
        let document = cut.beginning(&self.document)?.to_owned();
        Ok(Self {
            document,
            ..self.clone()
        })
    }

    /// Its text, as the shot of this number.
    fn laid_out(&self, layout: &Template, number: usize) -> String {
        let poor = self.poor.as_deref().unwrap_or_default();
        let filled = layout
            .clone()
            .with(Slot::Document, &self.document)
            .with(Slot::Query, &self.query)
            .with(Slot::Poor, poor)
            .with(Slot::Number, &number.to_string());
        filled.text()
    }
}

/// How many shots are drawn for each document, and by which seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Draw {
    pub(crate) count: u32,
    pub(crate) seed: u64,
}

/// The shots of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shots {
    pub(crate) layout: Template,
    pub(crate) pool: Vec<Shot>,
    /// All of the pool, in its order, if there is none.
    pub(crate) draw: Option<Draw>,
}

impl Shots {
    /// Shots in one prompt.
    pub(crate) fn count(&self) -> usize {
        self.draw.map_or(self.pool.len(), |draw| draw.count as usize)
    }

    /// A template with all of them that is the same for every document.
    pub(crate) fn written_into(&self, template: &Template) -> Template {
        let next = (self.count() + 1).to_string();
        let template = template.clone().with(Slot::Number, &next);
        match self.draw {
            Some(_) => template,
            None => template.with(Slot::Examples, &self.laid_out(&self.pool)),
        }
    }

    /// Shots about as much of their documents as a prompt has, and whether one was longer.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub(crate) fn shortened<'s>(
        shots: impl IntoIterator<Item = &'s Shot>,
        cut: Cut<'_>,
    ) -> Result<(Vec<Shot>, bool), StageError> {
        let (mut shortened, mut has_cut) = (Vec::new(), false);
        for shot in shots {
            let short = shot.shortened(cut)?;
            has_cut |= short.document.len() < shot.document.len();
            shortened.push(short);
        }
        Ok((shortened, has_cut))
    }

    /// The shots drawn for a document, never one about the same text: Promptagator (Dai et al. 2022) gives its
    /// generator other examples each time. The stream is the text's own, so that a row does not depend on its batch.
    ///
    /// # Errors
    /// If the pool has too few.
    pub(crate) fn drawn(&self, draw: Draw, document: &str) -> Result<Vec<&Shot>, StageError> {
        let key = Digest::of(document.as_bytes()).to_string();
        let mut stream = Seed::root(draw.seed).child("shots").child(&key).stream();
        let (mut seen, mut taken) = (BTreeSet::new(), Vec::new());
        while taken.len() < draw.count as usize && seen.len() < self.pool.len() {
            let at = stream.below(self.pool.len());
            if seen.insert(at) && self.pool[at].document != document {
                taken.push(&self.pool[at]);
            }
        }
        if taken.len() < draw.count as usize {
            let message = format!(
                "`shots_from` has {} pairs of other documents, {} are asked for",
                taken.len(),
                draw.count
            );
            return Err(StageError::with_help(
                message,
                "give more pairs, or lower `count`",
            ));
        }
        Ok(taken)
    }

    /// The text of some shots.
    pub(crate) fn laid_out(&self, shots: &[Shot]) -> String {
        shots
            .iter()
            .zip(1..)
            .map(|(shot, number)| shot.laid_out(&self.layout, number))
            .collect()
    }
}

/// The passages, queries and poorer queries of `ablate/vanilla` and `ablate/gbq`.
pub(crate) const SHOTS: [[&str; 3]; 3] = [
    [
        "Swifts spend almost their whole lives on the wing. They feed, drink and even sleep in the air, gliding at \
            height while one half of the brain rests at a time. Young birds that leave the nest may not land again for two or \
            three years, until they are old enough to breed and look for a hole under a roof of their own.",
        "do swifts ever stop flying to sleep",
        "swifts and roofs",
    ],
    [
        "Concrete does not dry, it cures. Cement reacts with water and grows crystals that lock sand and gravel \
            together, and the reaction goes on for weeks. If the surface loses its water too soon, in sun or wind, the crystals \
            stop growing and the slab stays weak and dusty. This is why fresh concrete is kept wet or covered for at least a week.",
        "why should new concrete be kept wet",
        "what is sand used for",
    ],
    [
        "In a trial with 212 adults who slept badly, half were told to stay out of bed except when sleepy and to get up \
            at the same hour every day. After eight weeks they fell asleep nineteen minutes sooner than the others and woke less \
            often. The gain was still there a year later, and was largest in people over sixty.",
        "does restricting time in bed improve insomnia in older adults",
        "how many adults took part",
    ],
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn pool(size: usize) -> Shots {
        let shot = |at: usize| Shot::new(&format!("d{at}"), &format!("q{at}"), None);
        Shots {
            layout: Template::parse("{number}. {document}: {query}\n", &Slot::LAYOUT).unwrap(),
            pool: (0..size).map(shot).collect(),
            draw: None,
        }
    }

    #[test]
    fn shots_are_numbered_in_their_layout() {
        let all = |shots: &Shots| shots.laid_out(&shots.pool);
        assert_eq!(all(&pool(2)), "1. d0: q0\n2. d1: q1\n");
        let braces = Shots {
            pool: vec![Shot::new("{query} {number}", "q", None)],
            ..pool(0)
        };
        assert_eq!(all(&braces), "1. {query} {number}: q\n");
    }

    #[test]
    fn draws_are_a_documents_own_and_leave_it_out() {
        let (shots, draw) = (pool(5), Draw { count: 4, seed: 1 });
        let of_d3 = shots.drawn(draw, "d3").unwrap();
        assert!(of_d3.len() == 4 && of_d3.iter().all(|shot| shot.document != "d3"));
        assert_eq!(shots.drawn(draw, "d3").unwrap(), of_d3);
        let queries =
            |shots: Vec<&Shot>| -> Vec<String> { shots.iter().map(|shot| shot.query.clone()).collect() };
        let draws: BTreeSet<Vec<String>> = (5..25)
            .map(|at| queries(shots.drawn(draw, &format!("d{at}")).unwrap()))
            .collect();
        assert!(draws.len() > 10, "other documents, other shots");
        let other = Draw { seed: 2, ..draw };
        assert!((5..9).any(|at| {
            let document = format!("d{at}");
            shots.drawn(draw, &document).unwrap() != shots.drawn(other, &document).unwrap()
        }));
        let short = Draw { count: 5, ..draw };
        assert!(
            shots
                .drawn(short, "d3")
                .unwrap_err()
                .to_string()
                .contains("4 pairs of other documents, 5")
        );
    }
}
