//! The prompts that are tried.

use std::collections::BTreeSet;

use ablate_core::{Seed, StageError, Stream};

use super::{Demonstration, Params, Trying};
use crate::asking::Asking;

/// Draws for each prompt that is asked for, before there are held to be no more different ones.
const PATIENCE: usize = 20;

/// A prompt to try.
pub(super) struct Candidate {
    pub(super) instruction: String,
    /// Places in the pool.
    pub(super) demonstrations: Vec<usize>,
    pub(super) asking: Asking,
    /// With the longest document there may be.
    pub(super) tokens: usize,
}

/// What prompts are made of.
pub(super) struct Space<'a> {
    params: &'a Params,
    /// The prompt given, and the same with each other instruction.
    instructed: Vec<Asking>,
    pool: &'a [Demonstration],
    trying: &'a Trying<'a>,
}

impl<'a> Space<'a> {
    /// The prompt given or one of the instructions, with demonstrations of the pool.
    ///
    /// # Errors
    /// If an instruction does not fit the budget without any demonstration.
    pub(super) fn new(
        params: &'a Params,
        base: &Asking,
        instructions: &[String],
        pool: &'a [Demonstration],
        trying: &'a Trying<'a>,
    ) -> Result<Self, StageError> {
        let others = instructions.iter().map(|text| base.instructed(text));
        let space = Self {
            params,
            instructed: std::iter::once(base.clone()).chain(others).collect(),
            pool,
            trying,
        };
        for instruction in 0..space.instructed.len() {
            space.require_room(instruction)?;
        }
        Ok(space)
    }

    fn require_room(&self, instruction: usize) -> Result<(), StageError> {
        let bare = self.candidate(instruction, vec![])?;
        let (tokens, budget, unit) = (bare.tokens, self.trying.budget(), self.trying.unit());
        if tokens <= budget {
            return Ok(());
        }
        let text = bare.instruction.trim_end();
        Err(StageError::with_help(
            format!(
                "with the instruction `{text}` and no demonstration the prompt takes {tokens} {unit}, and {budget} are allowed"
            ),
            "raise max_prompt_tokens as far as the model goes, or lower max_document_tokens",
        ))
    }

    /// The prompt as it was given, then others drawn by chance until there are as many as are asked for, or no more are found.
    /// Instructions take turns, so that each is tried as often.
    ///
    /// # Errors
    /// If a prompt cannot be made into tokens.
    pub(super) fn candidates(&self) -> Result<Vec<Candidate>, StageError> {
        let given = self.pool.len().min(self.instructed[0].shots().len());
        let first = self.fitting(0, (0..given).collect())?;
        let wanted = self.params.trials as usize;
        let (mut seen, mut found) = (BTreeSet::from([(0, first.demonstrations.clone())]), vec![first]);
        let seed = Seed::root(self.params.queries.seed).child("trials");
        for draw in 1..=wanted * PATIENCE {
            if found.len() == wanted {
                break;
            }
            let instruction = draw % self.instructed.len();
            let demonstrations = self.drawn(&mut seed.child(&draw.to_string()).stream());
            let candidate = self.fitting(instruction, demonstrations)?;
            if seen.insert((instruction, candidate.demonstrations.clone())) {
                found.push(candidate);
            }
        }
        Ok(found)
    }

    /// None to `max_demonstrations` of the pool, in an order by chance.
    fn drawn(&self, stream: &mut Stream) -> Vec<usize> {
        let most = self.pool.len().min(self.params.max_demonstrations as usize);
        let count = stream.below(most + 1);
        let mut drawn = Vec::new();
        while drawn.len() < count {
            let at = stream.below(self.pool.len());
            if !drawn.contains(&at) {
                drawn.push(at);
            }
        }
        drawn
    }

    /// The last demonstrations are left out until the prompt fits the budget.
    fn fitting(&self, instruction: usize, mut demonstrations: Vec<usize>) -> Result<Candidate, StageError> {
        loop {
            let candidate = self.candidate(instruction, demonstrations)?;
            if candidate.tokens <= self.trying.budget() || candidate.demonstrations.is_empty() {
                return Ok(candidate);
            }
            demonstrations = candidate.demonstrations;
            demonstrations.pop();
        }
    }

    fn candidate(&self, instruction: usize, demonstrations: Vec<usize>) -> Result<Candidate, StageError> {
        let shots = demonstrations.iter().map(|at| self.pool[*at].shot.clone());
        let instructed = &self.instructed[instruction];
        let asking = instructed.shown(shots.collect())?;
        Ok(Candidate {
            instruction: instructed.instruction().unwrap_or_default(),
            tokens: self.trying.tokens(&asking)?,
            demonstrations,
            asking,
        })
    }
}
