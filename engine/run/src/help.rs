//! The other side of [`Helpers`](crate::Helpers): computing parts of the rows of nodes another process runs.

use std::{
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ablate_cache::{Store, Trace};
use ablate_core::{ActionKey, Part, StageError};
use ablate_plan::Plan;
use petgraph::graph::NodeIndex;

use crate::{
    Answer, Decision, Lookup, Options, Question,
    execute::Purpose,
    host::{compute, store_error},
    lookup,
    models::Models,
    runner::Runner,
};

/// The questions as they come; `None` for the end of a node.
pub type Questions = Box<dyn Iterator<Item = Option<Question>> + Send>;

/// Takes an answer.
pub type Tell = Box<dyn FnMut(String) -> io::Result<()> + Send>;

/// Where a helper is asked and answers.
pub(crate) struct Desk {
    /// Its part of all rows.
    part: Part,
    ends: Mutex<Ends>,
}

struct Ends {
    questions: Questions,
    tell: Tell,
    /// What was asked and not answered yet.
    open: Option<Question>,
}

/// Computes the missing rows of `part` of every node that is asked for, and tells how it went. Rows go to the memo of the
/// store; nothing is committed. Models stay in memory from one node to the next.
///
/// # Errors
/// If an answer cannot be given: who asked is gone.
pub fn help(
    plan: &Plan,
    store: &Store,
    options: &Options<'_>,
    part: Part,
    questions: Questions,
    tell: Tell,
) -> io::Result<()> {
    let ends = Ends {
        questions,
        tell,
        open: None,
    };
    let desk = Desk {
        part,
        ends: Mutex::new(ends),
    };
    let mut models = Models::default();
    while let Some(Question { key, .. }) = desk.next() {
        let worked = work(plan, store, options, (&desk, key), &mut models);
        desk.close(key, worked)?;
    }
    Ok(())
}

impl Desk {
    /// The next node: one that was asked for while another was under way, or the next to be asked for.
    fn next(&self) -> Option<Question> {
        let mut ends = self.ends();
        while ends.open.is_none() {
            ends.open = ends.questions.next()?;
        }
        ends.open
    }

    /// The part of the rows of a map that is asked for. Those of the maps before it are known, all of them.
    pub(crate) fn part(&self, map: u32) -> Part {
        match self.ends().open {
            Some(question) if question.map == map => self.part,
            _ => Part::ALL,
        }
    }

    /// Answers that the part of the rows is done, and waits until a later map of the same node is asked for.
    ///
    /// # Errors
    /// If it is not: another node is asked for, or none.
    pub(crate) fn done(&self, key: ActionKey, tokens: u64) -> Result<(), StageError> {
        let mut ends = self.ends();
        ends.answer(key, &Answer::Done(tokens))?;
        ends.open = ends.questions.next().flatten();
        match ends.open {
            Some(question) if question.key == key => Ok(()),
            _ => Err(StageError::Cancelled),
        }
    }

    /// Answers what the stage of a node left unanswered when it ended.
    fn close(&self, key: ActionKey, worked: Result<Answer, StageError>) -> io::Result<()> {
        let mut ends = self.ends();
        if ends.open.is_none_or(|question| question.key != key) {
            return Ok(());
        }
        let answer = worked.unwrap_or_else(|error| match error {
            StageError::Cancelled => Answer::Left("it was interrupted".into()),
            failed @ StageError::Failed { .. } => Answer::Left(failed.to_string()),
        });
        ends.answer(key, &answer)
    }

    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ends {
    fn answer(&mut self, key: ActionKey, answer: &Answer) -> io::Result<()> {
        self.open = None;
        (self.tell)(answer.line(key))
    }
}

fn work(
    plan: &Plan,
    store: &Store,
    options: &Options<'_>,
    (desk, key): (&Desk, ActionKey),
    models: &mut Models,
) -> Result<Answer, StageError> {
    let found = lookup(plan, store, options.places, &|_| None).map_err(store_error)?;
    let Some(index) = node_of(plan, &found, key) else {
        return Ok(Answer::Left("its file says something else now".into()));
    };
    let silent = |_| ();
    let mut runner = Runner::new(plan, store, &found, options, &silent);
    runner.models = std::mem::take(models);
    let answer = rows(&runner, index, desk, key);
    *models = runner.models;
    answer
}

/// The node that runs under `key`.
fn node_of(plan: &Plan, found: &Lookup, key: ActionKey) -> Option<NodeIndex> {
    let is_it = |index: &NodeIndex| match &found.decisions[index] {
        Decision::Run { preimage, .. } => Trace::key_of(preimage) == key,
        _ => false,
    };
    plan.order.iter().copied().find(is_it)
}

/// Runs the stage as far as it is asked for rows.
fn rows(runner: &Runner<'_>, index: NodeIndex, desk: &Desk, key: ActionKey) -> Result<Answer, StageError> {
    let Some(_room) = runner.room_at_once(index)? else {
        return Ok(Answer::Left("its device or the memory is taken".into()));
    };
    let host = runner.host(index, key, Purpose::Rows(desk));
    compute(&host)?;
    Ok(Answer::Done(host.tokens()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::mpsc;

    use ablate_core::Digest;

    use super::*;

    fn desk(asked: Vec<Option<Question>>) -> (Desk, mpsc::Receiver<String>) {
        let (send, told) = mpsc::channel();
        let ends = Ends {
            questions: Box::new(asked.into_iter()),
            tell: Box::new(move |line| send.send(line).map_err(io::Error::other)),
            open: None,
        };
        let ends = Mutex::new(ends);
        let part = Part::new(1, 2);
        (Desk { part, ends }, told)
    }

    #[test]
    fn every_question_is_answered_once_and_maps_before_it_are_passed() {
        let [one, other] = [b"one", b"two"].map(|name| ActionKey(Digest::of(name)));
        let ask = |key, map| Some(Question { key, map });
        let (desk, told) = desk(vec![None, ask(one, 1), ask(one, 4), None, ask(other, 0)]);
        assert_eq!(desk.next(), ask(one, 1));
        assert_eq!([0, 1].map(|map| desk.part(map)), [Part::ALL, desk.part]);
        desk.done(one, 5).unwrap();
        assert_eq!(
            [2, 3, 4].map(|map| desk.part(map)),
            [Part::ALL, Part::ALL, desk.part]
        );
        assert!(
            matches!(desk.done(one, 6), Err(StageError::Cancelled)),
            "the node is over"
        );
        desk.close(one, Err(StageError::Cancelled)).unwrap();
        assert_eq!(desk.next(), ask(other, 0));
        desk.close(other, Err(StageError::new("it broke"))).unwrap();
        assert_eq!(desk.next(), None);
        let lines = [
            format!("{one} done 5"),
            format!("{one} done 6"),
            format!("{other} left it broke"),
        ];
        assert_eq!(told.try_iter().collect::<Vec<_>>(), lines);
    }
}
