//! The decoding engine: all rows known up front and sorted by length, the common head of the prompt computed once, and lanes
//! that decode rows together, one on each core or one on a device. A slot whose row is over takes the next row.

use std::{
    collections::BTreeSet,
    mem::take,
    sync::{Mutex, PoisonError},
    vec::IntoIter,
};

use ablate_core::{StageError, Stream};
use ablate_models::{decoder::Decoder, generator::Generator};
use rayon::prelude::*;

use crate::{
    decode::{Decoding, Draft, DraftSink, Request, finished},
    sampling::choose,
};

/// A request and its place.
type Placed = (usize, Request);

/// Decodes every request behind `head`.
pub(crate) fn decode<D: Decoder>(
    generator: &Generator,
    model: &D,
    head: &[u32],
    requests: Vec<Request>,
    decoding: &Decoding,
    each: DraftSink<'_>,
) -> Result<(), StageError> {
    let mut rows: Vec<Placed> = requests.into_iter().enumerate().collect();
    rows.sort_by_key(|(at, request)| (request.tokens.len(), *at));
    let lanes = match D::GROUPS_AT_ONCE {
        true => rayon::current_num_threads().min(rows.len()),
        false => 1,
    };
    let lane = Lane {
        generator,
        model,
        head,
        prefix: &model.prefix(head)?,
        decoding,
        each,
        slots: slots(model, head.len(), &rows, decoding, lanes.max(1)),
    };
    let queue = Mutex::new(rows.into_iter());
    (0..lanes).into_par_iter().try_for_each(|_| lane.run(&queue))
}

/// Rows of a lane: as many as are asked for, or as their keys and values have room, up to where more gain nothing. Never by a speed measured on the way: on a device, what is
/// decoded together moves last digits, and the next run must decode the same.
fn slots<D: Decoder>(model: &D, head: usize, rows: &[Placed], decoding: &Decoding, lanes: usize) -> usize {
    if let Some(batch) = decoding.batch {
        return batch.max(1);
    }
    let longest = rows.last().map_or(0, |(_, request)| request.tokens.len()) + decoding.max_new_tokens;
    let room = model.cache_bytes() / lanes / model.row_bytes(head, longest).max(1);
    room.min(D::MOST_ROWS).min(rows.len().div_ceil(lanes)).max(1)
}

/// What rows are decoded with.
struct Lane<'a, D: Decoder> {
    generator: &'a Generator,
    model: &'a D,
    head: &'a [u32],
    prefix: &'a D::Prefix,
    decoding: &'a Decoding,
    each: DraftSink<'a>,
    slots: usize,
}

/// A row under way.
struct Live {
    at: usize,
    stream: Stream,
    /// Fed next: the prompt at first, then the last token.
    feed: Vec<u32>,
    draft: Draft,
    /// The tokens of prompt and draft, where repeating one costs something.
    seen: BTreeSet<u32>,
}

impl<D: Decoder> Lane<'_, D> {
    /// Decodes rows until the queue is empty. Slots are refilled some at a time, since a prompt alone keeps no machine busy.
    fn run(&self, queue: &Mutex<IntoIter<Placed>>) -> Result<(), StageError> {
        let mut group = None;
        let mut rows: Vec<Live> = Vec::new();
        loop {
            let free = self.slots - rows.len();
            if rows.is_empty() || free * 4 >= self.slots {
                let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
                let next: Vec<Placed> = queue.by_ref().take(free).collect();
                drop(queue);
                if next.is_empty() && rows.is_empty() {
                    return Ok(());
                }
                self.begin(next, &mut group, &mut rows)?;
            }
            if let Some(under_way) = &mut group {
                self.step(under_way, &mut rows)?;
            }
            if rows.is_empty() {
                group = None;
            }
        }
    }

    /// Reads the prompts of new rows, writes their first token, and puts them to the others.
    fn begin(
        &self,
        next: Vec<Placed>,
        group: &mut Option<D::Group>,
        rows: &mut Vec<Live>,
    ) -> Result<(), StageError> {
        if next.is_empty() {
            return Ok(());
        }
        let mut new = self.model.group(self.prefix, next.len())?;
        let mut live: Vec<Live> = next.into_iter().map(|row| self.live(row)).collect();
        self.step(&mut new, &mut live)?;
        if live.is_empty() {
            return Ok(());
        }
        match group {
            Some(group) => self.model.join(group, new)?,
            None => *group = Some(new),
        }
        rows.append(&mut live);
        Ok(())
    }

    fn live(&self, (at, Request { tokens, stream }): Placed) -> Live {
        let seen = match self.decoding.sampling.repetition_penalty {
            Some(_) => self.head.iter().chain(&tokens).copied().collect(),
            None => BTreeSet::new(),
        };
        Live {
            at,
            stream,
            feed: tokens,
            draft: Draft::default(),
            seen,
        }
    }

    /// Writes a token of every row, and gives away the rows that are over.
    fn step(&self, group: &mut D::Group, rows: &mut Vec<Live>) -> Result<(), StageError> {
        let chosen = self.chosen(group, rows)?;
        let advance = |(row, chosen): (&mut Live, (u32, f32))| self.advance(row, chosen);
        let advanced = rows.par_iter_mut().zip(chosen).map(advance);
        let over: Vec<bool> = advanced.collect::<Result<_, _>>()?;
        let going: Vec<usize> = (0..rows.len()).filter(|row| !over[*row]).collect();
        self.model.keep(group, &going)?;
        let (finished, going): (Vec<_>, Vec<_>) = rows.drain(..).zip(over).partition(|(_, over)| *over);
        for (row, _) in finished {
            (self.each)(row.at, row.draft)?;
        }
        rows.extend(going.into_iter().map(|(row, _)| row));
        Ok(())
    }

    /// The next token of every row with its log-probability.
    fn chosen(&self, group: &mut D::Group, rows: &mut [Live]) -> Result<Vec<(u32, f32)>, StageError> {
        let feeds: Vec<Vec<u32>> = rows.iter_mut().map(|row| take(&mut row.feed)).collect();
        let feeds: Vec<&[u32]> = feeds.iter().map(Vec::as_slice).collect();
        let sampling = self.decoding.sampling;
        if sampling.takes_likeliest() {
            return self.model.step_likeliest(self.prefix, group, &feeds);
        }
        let logits = self.model.step(self.prefix, group, &feeds)?;
        // A vocabulary's worth of exponentials a row.
        let choose =
            |(row, logits): (&mut Live, &Vec<f32>)| choose(logits, &row.seen, sampling, &mut row.stream);
        Ok(rows.par_iter_mut().zip(&logits).map(choose).collect())
    }

    /// Gives a row its next token; whether the row is over.
    fn advance(&self, row: &mut Live, (token, logprob): (u32, f32)) -> Result<bool, StageError> {
        if self.decoding.sampling.repetition_penalty.is_some() {
            row.seen.insert(token);
        }
        if !logprob.is_finite() {
            return Err(not_finite());
        }
        row.draft.tokens.push(token);
        row.draft.logprobs.push(logprob);
        row.feed = vec![token];
        let Draft { tokens, logprobs } = &row.draft;
        Ok(finished(self.generator, tokens, logprobs, self.decoding)?.is_some())
    }
}

/// One logit that is no number is enough: no probability can be told.
fn not_finite() -> StageError {
    StageError::with_help(
        "the model predicts what is no number (NaN or infinite logits)",
        "its weights are damaged, or computing in another `precision` than f32 overflows",
    )
}
